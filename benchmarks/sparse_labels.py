"""Measure the Dice against the share of labelled slices.

    python benchmarks/sparse_labels.py --data DATA --picture sparse_labels.png

The patients of DATA are divided into five folds. The training patients get a labelled_slices.csv
that lists every n-th slice, evenly spaced, and all other slices are unknown. Each share is trained
for the same steps, and the patients of the fold are predicted and scored in all of their slices.
Finished trainings and their scores are kept in --results; the same command goes on where it was
interrupted, and several with different --core may run at once. --table only prints the table.
"""

import argparse
import math
import shutil
import signal
import statistics
from pathlib import Path

from contest.contestants import Contestant, Place
from contest.costs import run_on_core, stop_all
from contest.folds import FOLDS, make_fold
from contest.results import describe_hardware
from contest.scores import score_test_cases
from contest.task import TASKS, Length, Task
from measure import print_hardware
from rows import add_row, dice_by_case, is_of, read_rows

from liverseg_tf.bootstrap import bootstrap_interval
from liverseg_tf.ct.annotation import read_annotation
from liverseg_tf.dataset.labelled_slices import FILE_NAME
from liverseg_tf.model.run_record import RunRecord
from liverseg_tf.tiles.store import TileStore

IDENTITY = ("task", "preset", "options", "steps", "share", "fold", "seed")
EPOCH = 100  # steps, after which the training validates


def main() -> None:
    options = parse_arguments()
    print_hardware()
    if not options.table:
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, lambda *_: stop_all())
        for seed in options.seeds:
            for fold in options.folds:
                for share in options.shares:
                    measure(options, share, fold, seed)
    rows = [row for row in read_rows(options.results) if is_of(row, settings_of(options))]
    print(make_table(rows))
    if options.picture:
        draw(rows, options.picture)


def measure(options: argparse.Namespace, share: int, fold: int, seed: int) -> None:
    """Train on a share of the slices and score the patients of a fold, unless this was done."""
    identity = settings_of(options) | {"share": share, "fold": fold, "seed": seed}
    if any(is_of(row, identity) for row in read_rows(options.results)):
        return
    task = Task(options.task, tuple(options.limits), preset=options.preset)
    folder = options.work / f"{options.task}-{fold}" / f"{share}"
    run = folder / f"{options.preset}-{options.steps}-{seed}"
    place = Place(folder / "data", folder / "store", run / "run", run / "masks")
    trained = Contestant("ours", options=("--seed", str(seed), *options.option))
    log = folder / "log.txt"
    if not place.fold.exists():
        make_fold(place.fold, options.data, [], fold)
    list_slices(place.fold / "train", share)
    for command in trained.preparation(place, task):
        run_on_core(command, options.core, log)
    epochs = max(1, options.steps // EPOCH)
    length = Length(epochs, options.steps // epochs)
    seconds = None
    if not is_finished(place.run):
        seconds = run_on_core(trained.training(place, task, length), options.core, log)
    shutil.rmtree(place.masks, ignore_errors=True)
    run_on_core(trained.prediction(place, task, length), options.core, log)
    labelled, slices = count_slices(place.prepared)
    row = {
        **identity,
        "labelled_slices": labelled,
        "training_slices": slices,
        "processor_s": None if seconds is None else round(seconds),
        "hardware": describe_hardware(),
        "cases": score_test_cases(place.fold, place.masks, task),
    }
    add_row(options.results, row, IDENTITY, options.work)
    print(f"{share} % of the slices, fold {fold}, seed {seed}: {describe(row)}", flush=True)


def settings_of(options: argparse.Namespace) -> dict:
    """Return what all trainings of a call have in common."""
    return {
        "task": options.task,
        "preset": options.preset,
        "options": " ".join(options.option),
        "steps": options.steps,
    }


def is_finished(run: Path) -> bool:
    return (run / "run.json").exists() and RunRecord.read(run).finished


def list_slices(data: Path, share: int) -> None:
    """List every n-th slice of all cases of a data set; a list of all slices is left out."""
    step = round(100 / share)
    if step > 1:
        (data / FILE_NAME).write_text(f"case,slices\n*,{step // 2}-end/{step}\n")


def count_slices(folder: Path) -> tuple[int, int]:
    """Return the number of labelled slices of a store, and of all."""
    labelled = total = 0
    for case in TileStore.open(folder).cases.values():
        listed = read_annotation(case).slices
        labelled += case["slices"] if listed is None else int(listed.mask(case["slices"]).sum())
        total += case["slices"]
    return labelled, total


def describe(row: dict) -> str:
    dice = dice_by_case([row])
    return f"Dice {statistics.mean(dice.values()):.4f} of {len(dice)} patients"


def make_table(rows: list[dict]) -> str:
    """Return a table in Markdown: a row for each share, compared with the largest one."""
    lines = [
        "| share | labelled slices | Dice | lowest | difference to the first row, 95 % interval |",
        "|---|---|---|---|---|",
    ]
    shares = sorted({row["share"] for row in rows}, reverse=True)
    base = dice_by_case([row for row in rows if row["share"] == shares[0]]) if shares else {}
    for share in shares:
        chosen = [row for row in rows if row["share"] == share]
        dice = dice_by_case(chosen)
        slices = statistics.mean(row["labelled_slices"] for row in chosen)
        differences = [dice[name] - base[name] for name in dice if name in base]
        low, high = bootstrap_interval(differences)
        text = ""
        if share != shares[0] and differences:
            interval = "" if math.isnan(low) else f" ({low:+.4f} to {high:+.4f})"
            text = f"{statistics.mean(differences):+.4f}{interval}"
        lines.append(
            f"| {share} % | {slices:.0f} | {statistics.mean(dice.values()):.4f} | "
            f"{min(dice.values()):.4f} | {text} |"
        )
    return "\n".join(lines)


def draw(rows: list[dict], path: Path) -> None:
    """Draw the mean Dice against the share of labelled slices, with the Dice of each patient."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(5, 3.5), layout="constrained")
    axes = figure.add_subplot()
    shares = sorted({row["share"] for row in rows})
    by_share = [dice_by_case([row for row in rows if row["share"] == one]) for one in shares]
    for share, dice in zip(shares, by_share, strict=True):
        axes.plot([share] * len(dice), list(dice.values()), "o", color="0.7", markersize=4)
    axes.plot(shares, [statistics.mean(dice.values()) for dice in by_share], "o-", color="C0")
    axes.set_xscale("log")
    axes.set_xticks(shares, [f"{share} %" for share in shares])
    axes.minorticks_off()
    axes.set_xlabel("labelled slices of the training patients")
    axes.set_ylabel("Dice of other patients")
    figure.savefig(path, dpi=150)


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data", type=Path, help="Data set with the patients.")
    parser.add_argument("--task", choices=TASKS, default="liver")
    parser.add_argument("--shares", type=int, nargs="+", default=[100, 50, 20, 10, 5])
    parser.add_argument("--folds", type=int, nargs="+", choices=range(FOLDS), default=[0])
    parser.add_argument("--seeds", type=int, nargs="+", default=[0])
    parser.add_argument("--steps", type=int, default=800, help="Training steps.")
    parser.add_argument("--preset", default=Task.preset)
    parser.add_argument(
        "--option", action="append", default=[], help="Further argument of `liverseg train`."
    )
    parser.add_argument(
        "--limits", type=float, nargs=2, default=Task.limits, metavar="HU",
        help="Range of the window, to which the HU of DATA may be clipped.",
    )  # fmt: skip
    parser.add_argument("--core", type=int, default=0)
    parser.add_argument("--work", type=Path, default=Path("data_cache/sparse_labels"))
    parser.add_argument(
        "--results", type=Path, default=Path(__file__).parent / "results" / "sparse_labels.json"
    )
    parser.add_argument("--table", action="store_true", help="Only print the table.")
    parser.add_argument("--picture", type=Path, metavar="PNG", help="Draw the curve.")
    options = parser.parse_args()
    if not options.table and options.data is None:
        parser.error("Expected --data or --table.")
    options.work = options.work.absolute()
    return options


if __name__ == "__main__":
    main()
