"""Compare the settings of `liverseg plan` with those of the presets in equal time.

    python benchmarks/plan.py --btcv DATA --minutes 10
    python benchmarks/plan.py --table

The tasks are the livers of BTCV (--btcv: the data set), phantoms of CT with tumours, and phantoms
of MR with three organs. For each of them, the plan and the preset `fast` get the same cases, the
same split and the same regions. What preprocessing, a step and the end of an epoch cost is measured
first, in processor seconds of one core that both share at that time; every training then gets the
steps that fit into the minutes, so that other work on the machine cannot change a result. The test
cases are scored on their native grid.

Finished trainings are kept in --results; the same command goes on where it was interrupted. The
time that `liverseg plan` itself takes is printed, but not paid for from the minutes.
"""

import argparse
import json
import shlex
import signal
import subprocess
import sys
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
from contest.contestants import Command, Place
from contest.costs import measure_costs, run_on_core, stop_all
from contest.jobs import claim
from contest.results import Results, describe_version
from contest.task import Length
from measure import print_hardware

from liverseg_tf.bootstrap import bootstrap_interval

LIVER = ("liver=1,2",)
TASKS = {  # regions, what makes the data set, and what the presets need besides `fast`
    "btcv": (LIVER, None, ("--window", "75", "400")),  # HU of this copy are clipped to -125...275
    "ct": ((*LIVER, "tumour=2"), ("--seed", "0"), ("--window", "25", "450")),
    "mr": (
        (*LIVER, "spleen=3", "kidneys=4"),
        ("--seed", "300", "--organs", "--modality", "mr"),
        ("--percentiles", "0.5", "99.5"),
    ),
}
PHANTOMS = 20
SPLIT = ("--val", "0.15", "--test", "0.3")
EPOCHS = 12


@dataclass(frozen=True)
class Contestant:
    """Settings of the plan or of the presets; see `contest.contestants.Contestant`.

    Args:
        title: 'plan', 'presets', or the name of a variant of the plan.
        task: One of `TASKS`.
        plan: File of the plan; None for the presets.
        options: Further options of `liverseg train`.
        seed: Seed of the training.
        probes: Numbers of steps from which the time of a step is measured.
    """

    title: str
    task: str
    plan: Path | None
    options: tuple[str, ...] = ()
    seed: int = 0
    probes: tuple[int, int] = (10, 110)
    probe_epochs: int = 4

    def preparation(self, place: Place, _: object) -> list[Command]:
        given = [*SPLIT, "--workers", "1"]
        if self.plan is None:
            given += [*TASKS[self.task][2], "--spacing", "1.5", "--tile", "256"]
            given += _regions(self.task)
        return [self._command("preprocess", place.fold, place.prepared, *given)]

    def training(self, place: Place, _: object, length: Length) -> Command:
        given = ["--epochs", length.epochs, "--steps-per-epoch", length.steps_per_epoch]
        given += ["--seed", self.seed, *self.options]
        if self.plan is None:
            given += _regions(self.task)
        return self._command("train", place.prepared, place.run, *given)

    def _command(self, *words: object) -> Command:
        settings = ["--preset", "fast"] if self.plan is None else ["--config", str(self.plan)]
        return [sys.executable, "-m", "liverseg_tf", *settings, *map(str, words)]


def _regions(task: str) -> list[str]:
    return [word for one in TASKS[task][0] for word in ("--region", one)]


def _liverseg(*words: object) -> Command:
    return [sys.executable, "-m", "liverseg_tf", *map(str, words)]


def main() -> None:
    options = parse_arguments()
    print_hardware()
    results = Results(options.results)
    if not options.table:
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, lambda *_: stop_all())
        for task in options.tasks:
            compare(task, results, options)
    print_tables(results)


def compare(task: str, results: Results, options: argparse.Namespace) -> None:
    """Train with the presets, the plan and its variants, unless their results are there."""
    work = options.work / task
    data = find_data(task, work, options)
    plan = write_plan(task, data, work, options)
    contestants = [Contestant("presets", task, None), Contestant("plan", task, plan)]
    for text in options.ablate:
        name, _, words = text.partition("=")
        contestants.append(Contestant(name, task, plan, tuple(shlex.split(words))))
    places = [
        Place(data, *(work / one.title / name for name in ("store", "run", "masks")))
        for one in contestants
    ]
    identities = [
        {"contestant": one.title, "variant": "default", "task": task} for one in contestants
    ]
    if options.rates or not all(results.cost(**identity) for identity in identities):
        probes = [Place(data, *(work / "cost" / one.title / n for n in ("store", "run", "masks")))
                  for one in contestants]  # fmt: skip
        call = datetime.now(UTC).isoformat(timespec="seconds")
        costs = measure_costs(contestants, probes, None, options.core, call)
        for identity, cost in zip(identities, costs, strict=True):
            results.add_cost(cost, **identity)
            print(f"{task}, {identity['contestant']}: {cost}", flush=True)
    for seed in options.seeds:
        for one, place, identity in zip(contestants, places, identities, strict=True):
            row = identity | {"minutes": options.minutes, "fold": seed}
            if results.find(**row) is None:
                with claim(work / one.title / "lock") as lock:
                    if lock is None:
                        print(f"{task}, {one.title}: another process trains it", flush=True)
                        continue
                    seeded = replace(one, seed=seed)
                    cost = results.cost(**identity)
                    assert cost is not None, "measured above"
                    first = results.seconds_like(cost, options.minutes, seed, **identities[0])
                    length = cost.length(first or 60 * options.minutes, EPOCHS)
                    results.add(row | train(seeded, place, length, options))


def find_data(task: str, work: Path, options: argparse.Namespace) -> Path:
    """Return the folder of the data set; phantoms are made if they are missing."""
    made = TASKS[task][1]
    if made is None:
        return options.btcv
    folder = work / "data"
    if not (folder / "dataset.json").exists():
        words = ["phantom", folder, "--count", options.phantoms, *made]
        if options.shape is not None:
            slices, rows, cols = options.shape
            words += ["--shape", *options.shape, "--spacing", 200 / slices, 416 / rows, 416 / cols]
        subprocess.run(_liverseg(*words), check=True)
    return folder


def write_plan(task: str, data: Path, work: Path, options: argparse.Namespace) -> Path:
    """Write the plan of the data set for a processor, if it is missing."""
    path = work / "plan.toml"
    if not path.exists():
        words = ["plan", data, "--out", path, "--minutes", options.minutes, "--device", "cpu"]
        words += ["--workers", 1, *_regions(task)]
        seconds = run_on_core(_liverseg(*words), options.core, work / "plan.log")
        print(f"{task}: liverseg plan took {seconds:.0f} processor seconds", flush=True)
    return path


def train(one: Contestant, place: Place, length: Length, options: argparse.Namespace) -> dict:
    """Preprocess, train, predict the test cases and score them; return a row of results."""
    run = place.run.with_name(f"run-{options.minutes:g}min-{one.seed}")
    place = Place(place.fold, place.prepared, run, run.with_name(f"masks-{run.name}"))
    log, scores = run.parent / "log.txt", run.with_name(f"scores-{run.name}")
    for command in one.preparation(place, None):
        run_on_core(command, options.core, log)
    seconds = run_on_core(one.training(place, None, length), options.core, log)
    predict = ["predict", place.fold, "--model", run, "--out", place.masks, "--side", "test"]
    run_on_core(_liverseg(*predict), options.core, log)
    evaluate = ["evaluate", place.fold, place.masks, "--out", scores, "--predicted-only"]
    evaluate += ["--no-report", "--no-distances", "--workers", 1, *_regions(one.task)]
    run_on_core(_liverseg(*evaluate), options.core, log)
    record = json.loads((run / "run.json").read_text())
    return {
        "epochs": length.epochs,
        "steps": length.steps,
        "processor_s": round(seconds),
        "tiles": record["network"]["tiles"],
        "settings": {
            name: record["settings"][name]
            for name in ("context", "context_spacing_mm", "patch", "base_filters", "batch_size")
        },
        "version": describe_version(),
        "cases": [
            {name: row[name] for name in ("case", "region", "dice")}
            for row in json.loads((scores / "scores.json").read_text())["rows"]
        ],
    }


def print_tables(results: Results) -> None:
    """Print a row for each training, and the paired differences of plan and presets."""
    print("\n| task | minutes | settings | tiles | steps | Dice |\n|---|---|---|---|---|---|")
    for row in results.rows:
        shape, spacing = row["tiles"]["tile_shape"], row["tiles"]["spacing_mm"]
        dice = ", ".join(f"{name} {mean:.3f}" for name, mean in _mean_dice(row).items())
        print(
            f"| {row['task']} | {row['minutes']:g} | {row['contestant']}, seed {row['fold']} | "
            f"{shape[0]} x {shape[1]}, {spacing:g} mm | {row['steps']} | {dice} |"
        )
    print("\n| task | region | settings | Dice minus that of the presets | 95 % interval | cases |")
    print("|---|---|---|---|---|---|")
    for (task, region, title), found in sorted(_differences(results.rows).items()):
        low, high = bootstrap_interval(found)
        print(
            f"| {task} | {region} | {title} | {np.mean(found):+.3f} | {low:+.3f} to {high:+.3f} | "
            f"{len(found)} |"
        )


def _dice(row: dict) -> dict[tuple[str, str], float]:
    return {
        (one["case"], one["region"]): one["dice"] for one in row["cases"] if one["dice"] is not None
    }


def _mean_dice(row: dict) -> dict[str, float]:
    by_region: dict[str, list[float]] = {}
    for (_, region), dice in _dice(row).items():
        by_region.setdefault(region, []).append(dice)
    return {region: float(np.mean(values)) for region, values in by_region.items()}


def _differences(rows: list[dict]) -> dict[tuple[str, str, str], list[float]]:
    """Differences by task, region and settings: one for each case, the mean over the seeds."""
    by_case: dict[tuple[str, str, str, str], list[float]] = {}
    for row in rows:
        same = {name: row[name] for name in ("task", "minutes", "fold")}
        for other in rows:
            is_other = row["contestant"] != "presets" == other["contestant"]
            if not (is_other and same.items() <= other.items()):
                continue
            for (case, region), dice in _dice(row).items():
                if (case, region) in _dice(other):
                    key = (row["task"], region, row["contestant"], case)
                    by_case.setdefault(key, []).append(dice - _dice(other)[case, region])
    found: dict[tuple[str, str, str], list[float]] = {}
    for (task, region, title, _), values in by_case.items():
        found.setdefault((task, region, title), []).append(float(np.mean(values)))
    return found


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--btcv", type=Path, metavar="DATA", help="Data set of the task btcv.")
    parser.add_argument("--tasks", nargs="+", choices=TASKS, help="All whose data are there.")
    parser.add_argument("--minutes", type=float, default=10, help="Minutes of one core.")
    parser.add_argument(
        "--ablate", action="append", default=[], metavar="NAME=OPTIONS",
        help="Also train the plan with other options of `liverseg train`.",
    )  # fmt: skip
    parser.add_argument("--seeds", type=int, nargs="+", default=[0])
    parser.add_argument("--core", type=int, default=0, help="The core that trains.")
    parser.add_argument("--rates", action="store_true", help="Measure the costs again.")
    parser.add_argument("--phantoms", type=int, default=PHANTOMS, help="Phantoms of each task.")
    parser.add_argument(
        "--shape", type=int, nargs=3, metavar=("Z", "ROWS", "COLS"),
        help="Size of the phantoms, which is a random one otherwise; small ones for a quick try.",
    )  # fmt: skip
    parser.add_argument("--work", type=Path, default=Path("data_cache/plan"))
    parser.add_argument(
        "--results", type=Path, default=Path(__file__).parent / "results" / "plan.json"
    )
    parser.add_argument("--table", action="store_true", help="Only print the tables.")
    options = parser.parse_args()
    options.work = options.work.absolute()
    options.tasks = options.tasks or [task for task in TASKS if task != "btcv" or options.btcv]
    if "btcv" in options.tasks and options.btcv is None and not options.table:
        parser.error("Expected --btcv with the task btcv.")
    return options


if __name__ == "__main__":
    main()
