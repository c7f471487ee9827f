"""Measure the Dice on unseen cases after a few minutes of training.

    python benchmarks/accuracy.py CASES_DIR TEST_CASE... --minutes 15 --preset fast

CASES_DIR contains CASE_ct.nii.gz and CASE_label.nii.gz (1 liver, 2 tumour). The commands of this
package train on all cases except the TEST_CASEs. Preprocessing, training and tuning together take
the given minutes of wall-clock time. The TEST_CASEs are then predicted, and the masks are scored on
the native grid with the definitions of LiTS. With --peer PYTHON (an environment with
benchmarks/peers/requirements-train.txt), MONAI's 2D U-Net is trained on the same cases, on the same
cores and for the same time.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from measure import print_hardware

from liverseg_tf.ct.nifti import read_labels
from liverseg_tf.evaluate.protocols.lits import LitsCase, score_lits_case, summarise_lits

# with fewer training cases, no case is used for validation
ENOUGH_TO_VALIDATE = 8
PEER = Path(__file__).parent / "peers" / "train_monai.py"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("cases", type=Path, metavar="CASES_DIR")
    parser.add_argument("tests", nargs="+", metavar="TEST_CASE")
    parser.add_argument("--minutes", type=float, default=15, help="Wall-clock time.")
    parser.add_argument("--preset", choices=["tiny", "fast", "accurate"], default="fast")
    parser.add_argument("--peer", help="Python executable of the peers' environment.")
    parser.add_argument("--work", type=Path, help="Folder in which all files are kept.")
    parser.add_argument(
        "--option", action="append", default=[], help="Further argument of `liverseg train`."
    )
    options = parser.parse_args()
    print_hardware()
    with tempfile.TemporaryDirectory() as folder:
        work = options.work or Path(folder)
        report("RESULT", options, *learn(options, work))
        if options.peer:
            masks = work / "peer"
            command = [options.peer, PEER, work / "train", masks, "--minutes", options.minutes]
            command += ["--predict", work / "test" / "images"]
            subprocess.run([*map(str, command)], check=True)
            report("MONAI", options, masks, json.loads((masks / "seconds.json").read_text()))


def learn(options: argparse.Namespace, work: Path) -> tuple[Path, float]:
    """Preprocess, train and predict; return the masks, and the seconds until the model existed."""
    started = time.monotonic()
    for name in options.tests:
        if not (options.cases / f"{name}_ct.nii.gz").exists():
            raise SystemExit(
                f"Expected {name}_ct.nii.gz in {options.cases}. There is no such file."
            )
    for kind, end in (("images", "ct"), ("masks", "label")):
        for path in sorted(options.cases.glob(f"*_{end}.nii.gz")):
            name = path.name.removesuffix(f"_{end}.nii.gz")
            side = "test" if name in options.tests else "train"
            link = work / side / kind / f"{name}.nii.gz"
            link.parent.mkdir(parents=True, exist_ok=True)
            link.unlink(missing_ok=True)
            link.symlink_to(path.resolve())
    learnt = len(list((work / "train" / "images").iterdir()))
    validation = 0.1 if learnt >= ENOUGH_TO_VALIDATE else 0
    store, run, masks = work / "store", work / "run", work / "masks"
    call(options, "preprocess", work / "train", store, "--test", 0, "--val", validation)
    left = options.minutes - (time.monotonic() - started) / 60
    call(options, "train", store, run, "--minutes", round(left, 3), *options.option)
    seconds = time.monotonic() - started
    call(options, "predict", work / "test", "--model", run, "--out", masks, "--force")
    return masks, seconds


def call(options: argparse.Namespace, command: str, *arguments: object) -> None:
    given = [
        sys.executable,
        "-m",
        "liverseg_tf",
        "--preset",
        "liver",
        "--preset",
        options.preset,
    ]
    done = subprocess.run(
        [*given, command, *map(str, arguments)],
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False, env=os.environ,
    )  # fmt: skip
    lines = done.stdout.strip().splitlines()
    print(f"# {command}: {lines[-1] if lines else ''}", flush=True)
    if done.returncode:
        raise SystemExit(done.stdout)


def report(title: str, options: argparse.Namespace, masks: Path, seconds: float) -> None:
    """Print a line for each test case, and one for their mean if there are several."""
    cases = [score(options.cases, masks, name) for name in options.tests]
    for case in cases:
        print(line(title, case.case, [case], seconds), flush=True)
    if len(cases) > 1:
        print(line(title, "MEAN", cases, seconds), flush=True)


def score(cases: Path, masks: Path, name: str) -> LitsCase:
    truth = read_labels(cases / f"{name}_label.nii.gz")
    found = read_labels(masks / f"{name}.nii.gz")
    return score_lits_case(name, truth.array, found.array, truth.spacing_mm)


def line(title: str, name: str, cases: list[LitsCase], seconds: float) -> str:
    figures = summarise_lits(cases)
    liver = statistics.mean(case.liver.dice for case in cases)
    tumour = statistics.mean(case.lesion_dice for case in cases)
    return (
        f"{title} {name} liver {liver:.4f} tumour {tumour:.4f} lesions "
        f"{figures['lesion_precision']:.3f} {figures['lesion_recall']:.3f} seconds {seconds:.0f}"
    )


if __name__ == "__main__":
    main()
