"""Score the model `abdomen-ct`: cross-validation, other hospitals, tumours, unsuitable images.

    bash scripts/train_abdomen_ct.sh --crossval 5 DATA CV
    bash scripts/train_abdomen_ct.sh --without-crlm DATA TWIN
    python benchmarks/abdomen_ct.py --data DATA/btcv --crossval CV/crossval --twin TWIN/run \\
        --external "Colorectal-Liver-Metastases=DATA/crlm" --external "Decathlon=Task03_Liver" \\
        --image "without contrast agent" CT.nii.gz LIVER.nii.gz
    python benchmarks/abdomen_ct.py --table

Each network of the cross-validation predicts the patients of its fold, the same patients with
synthetic lesions, and altered copies of one of them; the twin predicts the data sets of other
hospitals and the images that --image names. Every image is a row of --results; the same command
goes on where it was interrupted, and measures again what another training or post-processing has
changed. --card writes the model card with the tables of what was measured.
"""

import argparse
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from abdomen.altered import HEAD, write_altered, write_head
from abdomen.card import by_part, write_card
from abdomen.picture import write_worst_cases
from abdomen.scoring import Subject, score_subject
from abdomen.tables import (
    lesion_table,
    liver_dice,
    organ_table,
    stress_table,
    warning_list,
    worst_cases,
)
from measure import print_hardware
from rows import add_row, is_of, read_rows

from liverseg_tf.ct.images import read_label_image
from liverseg_tf.dataset.cases import Case, find_cases
from liverseg_tf.model.run_record import RunRecord, compute_model_checksum, read_run

RESULTS = Path(__file__).parent / "results" / "abdomen_ct.json"
PATIENTS = "BTCV"
WITH_LESIONS = "BTCV with synthetic lesions"
TUMOUR = 2
PATIENT_PARTS = ("folds", "external")
IDENTITY = ("part", "kind", "source", "case")


def main() -> None:
    options = parse_arguments()
    if options.card and not (options.crossval or options.twin):
        write_card(options.card, read_rows(options.results))
        return
    print_hardware()
    found = list(jobs(options))
    for run, subjects in found:
        measure(run, subjects, options)
    rows = read_rows(options.results)
    print(make_tables(rows))
    if options.picture:
        subjects = [subject for _, own in found for subject in own]
        write_worst_cases(options.picture, lowest(rows, subjects, options.work))
    if options.card:
        write_card(options.card, rows)


def jobs(options: argparse.Namespace) -> Iterator[tuple[Path, list[Subject]]]:
    """Yield the runs, each with the images from which it has not learnt."""
    runs = sorted(options.crossval.glob("fold_*")) if options.crossval else []
    if runs:
        cases = {case.name: case for case in find_cases(options.data)}
        with_lesions = {one.name: one for one in find_cases(make_lesions(options))}
    for run in runs:
        names = [name for name in RunRecord.read(run).split["val"] if name in cases]
        subjects = [subject_of("folds", PATIENTS, cases[name]) for name in names]
        subjects += [
            subject_of("lesions", WITH_LESIONS, with_lesions[name], True) for name in names
        ]
        if names:
            subjects += altered(cases[names[0]], options.work)
        yield run, subjects
    last = options.twin or (runs[0] if runs else None)
    if last is not None:
        yield last, list(other_images(options))


def other_images(options: argparse.Namespace) -> Iterator[Subject]:
    """Images of other hospitals, and those of which a mask is a mistake."""
    if options.twin:
        for source, folder in options.external:
            cases = find_cases(folder)
            has_lesions = any(np.any(read_label_image(one.mask).array == TUMOUR) for one in cases)
            yield from (subject_of("external", source, one, has_lesions) for one in cases)
    for kind, image, mask in options.image:
        name = Path(image).name.removesuffix(".nii.gz")
        truth = None if mask == "-" else Path(mask)
        yield Subject("stress", kind, "", name, Path(image), truth)
    head = options.work / "made" / "head.nii.gz"
    if not head.exists():
        write_head(head)
    yield Subject("stress", HEAD, "", "head", head, None)


def altered(case: Case, work: Path) -> list[Subject]:
    """Altered copies of a case."""
    found = []
    folder = work / "altered" / case.name
    for kind, path in write_altered(folder, case.image, case.mask, seed=0):
        mask = folder / "masks" / path.name
        found.append(Subject("stress", kind, PATIENTS, case.name, path, mask))
    return found


def subject_of(part: str, source: str, case: Case, has_lesions: bool = False) -> Subject:
    return Subject(part, "", source, case.name, case.image, case.mask, has_lesions)


def make_lesions(options: argparse.Namespace) -> Path:
    """Draw lesions into the livers of the patients, once."""
    folder = options.work / "with_lesions"
    if not folder.exists():
        partial = options.work / "with_lesions.partial"
        subprocess.run(["rm", "-rf", partial], check=True)
        command = ["phantom", partial, "--lesions-in", options.data, "--seed", "1"]
        subprocess.run([sys.executable, "-m", "liverseg_tf", *map(str, command)], check=True)
        partial.rename(folder)
    return folder


def measure(run: Path, subjects: list[Subject], options: argparse.Namespace) -> None:
    """Predict and score the images of a run that have no row of the same model."""
    record = RunRecord.read(run)
    record.check_finished(run)
    model = {
        "model": compute_model_checksum(run)[:12],
        "postprocessing": str(record.postprocessing),
    }
    known = [row for row in read_rows(options.results) if is_of(row, model)]
    missing = [one for one in subjects if not any(is_of(row, one.identity) for row in known)]
    if not missing:
        return
    from liverseg_tf.cli.shared.tensorflow import import_backend

    import_backend()
    from liverseg_tf.predict.models.run import RunPredictor

    settings = read_run(run)["settings"]
    steps = settings["epochs"] * settings["steps_per_epoch"]
    predictor = RunPredictor(run)
    for subject in missing:
        folder = mask_folder(subject.identity, options.work)
        row = score_subject(subject, predictor, folder)
        add_row(options.results, row | model | {"steps": steps}, IDENTITY, options.work)
        print(describe(row), flush=True)


def lowest(rows: list[dict], subjects: list[Subject], work: Path) -> dict:
    """Find the case with the lowest Dice of the liver in each table of patients.

    Returns:
        By title, the paths of the image, of its mask and of the predicted mask.
    """
    found = {}
    for source in dict.fromkeys(one.source for one in subjects if one.part in PATIENT_PARTS):
        dice = {
            subject: liver_dice(row)
            for subject in subjects
            for row in rows
            if (subject.source, subject.kind) == (source, "")
            and is_of(row, subject.identity)
            and liver_dice(row)
        }
        if dice:
            worst = min(dice, key=dice.__getitem__)
            mask = mask_folder(worst.identity, work) / f"{worst.case}.nii.gz"
            found[f"{source}: Dice {dice[worst]:.3f}"] = (worst.image, worst.mask, mask)
    return found


def mask_folder(identity: dict, work: Path) -> Path:
    words = (identity[name] for name in ("part", "source", "kind"))
    return work / "masks" / "-".join(filter(None, words)).replace(" ", "_")


def describe(row: dict) -> str:
    words = " ".join(filter(None, (row[name] for name in ("source", "kind", "case"))))
    if row["failure"]:
        return f"{words}: {row['failure']}"
    dice = ", ".join(
        f"{one['region']} {one['dice']:.3f}" for one in row["regions"] if one["truth_ml"]
    )
    return f"{words}: {dice or 'no region'}; {row['processor_s']} s"


def make_tables(rows: list[dict]) -> str:
    """Return all tables, and after them what names cases."""
    of = by_part(rows)
    parts = [f"Cross-validation:\n\n{organ_table(of['folds'])}"]
    for source in dict.fromkeys(row["source"] for row in of["external"]):
        chosen = [row for row in of["external"] if row["source"] == source]
        parts.append(f"{source}:\n\n{organ_table(chosen)}")
    scored = [*of["lesions"], *of["external"]]
    parts.append(f"Tumours:\n\n{lesion_table(scored)}")
    parts.append(f"Other images:\n\n{stress_table(of['stress'], of['folds'])}")
    parts.append(f"Lowest Dice:\n{worst_cases([*of['folds'], *of['external']])}")
    parts.append(f"Warnings and failures:\n{warning_list(rows)}")
    return "\n\n".join(parts)


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data", type=Path, help="Data set of the cross-validation: BTCV.")
    parser.add_argument("--crossval", type=Path, metavar="FOLDER", help="Its cross-validation.")
    parser.add_argument("--twin", type=Path, metavar="RUN", help="Run for the other data sets.")
    parser.add_argument(
        "--external", type=_named_folder, action="append", default=[], metavar="NAME=FOLDER",
        help="Data set of another hospital.",
    )  # fmt: skip
    parser.add_argument(
        "--image", nargs=3, action="append", default=[], metavar=("KIND", "CT", "MASK"),
        help="An image unlike those of the training; MASK is - if it shows none of the organs.",
    )  # fmt: skip
    parser.add_argument("--work", type=Path, default=Path("data_cache/abdomen_ct"))
    parser.add_argument("--results", type=Path, default=RESULTS)
    parser.add_argument("--table", action="store_true", help="Only print the tables.")
    parser.add_argument("--picture", type=Path, metavar="PNG", help="Draw the worst livers.")
    parser.add_argument("--card", type=Path, metavar="MD", help="Write the model card.")
    options = parser.parse_args()
    if options.crossval and options.data is None:
        parser.error("Expected --data together with --crossval.")
    if options.table and (options.crossval or options.twin):
        parser.error("Expected --table without --crossval and --twin, which are measured.")
    if options.external and not options.twin:
        parser.error("Expected --twin together with --external.")
    options.work = options.work.absolute()
    return options


def _named_folder(text: str) -> tuple[str, Path]:
    name, sign, folder = text.partition("=")
    if not (name and sign and folder):
        raise argparse.ArgumentTypeError(f"Expected NAME=FOLDER. Received {text}.")
    return name, Path(folder)


if __name__ == "__main__":
    main()
