"""Measure what `train --from MODEL` gains over a training from scratch.

    python benchmarks/fine_tuning.py --data DATA --base CV/crossval/fold_1 --task organs
    python benchmarks/fine_tuning.py --data DATA --base CV/crossval/fold_1 --task others
    python benchmarks/fine_tuning.py --table --picture fine_tuning.png

BASE is a run that has not learnt from all patients of DATA, such as a run of a cross-validation.
Some of the patients that it has not seen are predicted; the others are those from which both
trainings learn. If there are too few, patients follow that the base has seen, and the table says
how many. Both trainings have the network, the tiles and the number of steps in common, so that
--steps-per-minute is the same for both. The length varies with the most patients, and the number of
patients with the longest training. The task organs has regions that the base knows, and others has
structures that it has never learnt; --region names those of another data set.

Finished trainings and their scores are kept in --results; the same command goes on where it was
interrupted, and several with different --core may run at once.
"""

import argparse
import math
import random
import shutil
import signal
import statistics
import sys
from dataclasses import dataclass
from pathlib import Path

from contest.costs import run_on_core, stop_all
from contest.results import describe_hardware
from contest.scores import score_test_cases
from measure import print_hardware
from rows import add_row, dice_by_case, is_of, read_rows

from liverseg_tf import plural
from liverseg_tf.bootstrap import bootstrap_interval
from liverseg_tf.choices import SIDES
from liverseg_tf.ct.regions import Regions
from liverseg_tf.dataset.cases import Case, find_cases
from liverseg_tf.model.run_record import RunRecord, compute_model_checksum, read_run

TASKS = {
    "organs": Regions({"liver": (1, 2), "spleen": (3,), "right kidney": (4,), "left kidney": (5,)}),
    "others": Regions(
        {"oesophagus": (7,), "inferior vena cava": (10,), "portal and splenic vein": (11,)}
    ),
}
FROM_MODEL, FROM_SCRATCH = "model", "scratch"
TITLES = {FROM_MODEL: "from the model", FROM_SCRATCH: "from scratch"}
IDENTITY = ("task", "start", "patients", "minutes", "seed", "steps_per_minute", "base", "options")
# settings of the base that decide its input and its weights: both trainings have the same
NETWORK = (
    *("context", "context_spacing_mm", "base_filters", "depth", "patch", "stem_filters"),
    *("residual", "attention", "normalisation", "dropout", "encoder"),
)
FOREGROUND = 0.67  # as in the preset fast


@dataclass(frozen=True)
class Task:
    """What is learnt; `score_test_cases` takes its regions."""

    name: str
    regions: Regions

    @property
    def options(self) -> list[str]:
        return [f"--region={name}={','.join(map(str, of))}" for name, of in self.regions.items]


@dataclass(frozen=True)
class Patients:
    """Which patients are predicted, and from which a training may learn, in this order."""

    test: tuple[Case, ...]
    pool: tuple[Case, ...]
    seen: frozenset[str]


def main() -> None:
    options = parse_arguments()
    print_hardware()
    if not options.table:
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, lambda *_: stop_all())
        run_all(options)
    rows = read_rows(options.results)
    print(make_table(rows))
    if options.picture:
        draw(rows, options.picture)


def run_all(options: argparse.Namespace) -> None:
    """Train and score everything that has no row yet: short trainings first."""
    regions = Regions.parse(options.region) if options.region else TASKS[options.task]
    task = Task(options.task, regions)
    patients = choose_patients(find_cases(options.data), options)
    identity = {
        "task": task.name,
        "base": compute_model_checksum(options.base)[:12],
        "steps_per_minute": options.steps_per_minute,
        "options": " ".join(options.option),
    }
    known = RunRecord.read(options.base).network.regions.items
    if set(task.regions.items) <= set(known):
        place = identity | {"start": FROM_MODEL, "patients": 0, "minutes": 0, "seed": 0}
        measure(options, task, patients, place)
    most, longest = max(options.patients), max(options.minutes)
    pairs = [(most, minutes) for minutes in sorted(options.minutes)]
    pairs += [(count, longest) for count in sorted(options.patients) if count != most]
    for seed in options.seeds:
        for count, minutes in pairs:
            for start in (FROM_MODEL, FROM_SCRATCH):
                place = {"start": start, "patients": count, "minutes": minutes, "seed": seed}
                measure(options, task, patients, identity | place)


def choose_patients(cases: list[Case], options: argparse.Namespace) -> Patients:
    """Divide the patients; the order is random, and the same for all trainings."""
    split = RunRecord.read(options.base).split
    if not (options.unseen or any(split[side] for side in SIDES)):
        raise SystemExit(
            f"Expected a run at {options.base} that knows from which patients it has learnt. "
            "Received a bundle: add --unseen if it has learnt from none of --data."
        )
    seen = frozenset() if options.unseen else frozenset(split["train"])
    shuffled = random.Random(0).sample(cases, len(cases))
    unseen = [case for case in shuffled if case.name not in seen]
    if len(unseen) <= options.test:
        raise SystemExit(
            f"Expected more than {options.test} patients in {options.data} that {options.base} has "
            f"not learnt from. Received {len(unseen)}: choose another fold, or fewer with --test."
        )
    pool = [*unseen[options.test :], *(case for case in shuffled if case.name in seen)]
    if len(pool) < max(options.patients):
        raise SystemExit(
            f"Expected {max(options.patients)} patients to learn from. Received {len(pool)}."
        )
    return Patients(tuple(unseen[: options.test]), tuple(pool), seen)


def measure(options: argparse.Namespace, task: Task, patients: Patients, identity: dict) -> None:
    """Train, predict and score, unless this was done."""
    if any(is_of(row, identity) for row in read_rows(options.results)):
        return
    count, minutes = identity["patients"], identity["minutes"]
    work = options.work / f"{task.name}-{identity['base']}"
    folder = work / f"{count}"
    run = folder / f"{identity['start']}-{minutes:g}-{identity['seed']}"
    log, seconds = run / "log.txt", None
    chosen = patients.pool[:count]
    link_cases(work / "test", patients.test)
    model = options.base
    if count:
        link_cases(folder / "train", chosen)
        run_on_core(preprocessing(options.base, task, folder), options.core, log)
        model = run / "run"
        if not ((model / "run.json").exists() and RunRecord.read(model).finished):
            steps = max(1, round(minutes * options.steps_per_minute))
            seconds = run_on_core(
                training(options, task, folder / "store", model, (identity, steps)),
                options.core,
                log,
            )
    masks = run / "masks"
    shutil.rmtree(masks, ignore_errors=True)
    run_on_core(prediction(task, work / "test", model, masks), options.core, log)
    row = {
        **identity,
        "seen_patients": sum(case.name in patients.seen for case in chosen),
        "processor_s": None if seconds is None else round(seconds),
        "hardware": describe_hardware(),
        "cases": score_test_cases(work, masks, task),
    }
    add_row(options.results, row, IDENTITY, options.work)
    place = f"{TITLES[identity['start']]}, {plural.count(count, 'patient')}, {minutes:g} minutes"
    dice = statistics.mean(dice_by_case([row]).values())
    print(f"{task.name}, {place}: Dice {dice:.4f}", flush=True)


def link_cases(folder: Path, cases: tuple[Case, ...]) -> None:
    for case in cases:
        for kind, path in (("images", case.image), ("masks", case.mask)):
            link = folder / kind / f"{case.name}.nii.gz"
            link.parent.mkdir(parents=True, exist_ok=True)
            if not link.exists():  # another process may be reading it
                link.unlink(missing_ok=True)
                link.symlink_to(Path(path).resolve())


def preprocessing(base: Path, task: Task, folder: Path) -> list[str]:
    """Return the command that cuts the tiles of the training patients as those of the base."""
    tiles = RunRecord.read(base).network.tiles
    given = [word for one in tiles.windows for word in ("--window", one.level_hu, one.width_hu)]
    given += ["--spacing", "native" if tiles.spacing_mm is None else tiles.spacing_mm]
    given += [
        "--tile",
        "whole" if tiles.tile_shape is None else "x".join(map(str, tiles.tile_shape)),
    ]
    given += ["--val", "0", "--test", "0", "--workers", "1", "--accept", "clipped"]
    return _liverseg("preprocess", folder / "train", folder / "store", *given, *task.options)


def training(
    options: argparse.Namespace, task: Task, store: Path, run: Path, length: tuple[dict, int]
) -> list[str]:
    """Return the command that trains; all of its steps are one epoch, without a validation."""
    identity, steps = length
    given: list[object] = [*network_options(options.base), *task.options]
    if identity["start"] == FROM_MODEL:
        given += ["--from", options.base]
    given += ["--epochs", 1, "--steps-per-epoch", steps, "--seed", identity["seed"]]
    given += ["--foreground-fraction", FOREGROUND, *options.option]
    return _liverseg("train", store, run, *given)


def network_options(base: Path) -> list[str]:
    """Return the options of `liverseg train` that make the network of a run."""
    settings, found = read_run(base)["settings"], []
    for name in NETWORK:
        value, option = settings.get(name), f"--{name.replace('_', '-')}"
        if value is True:
            found.append(option)
        elif value not in (None, False, 0) and not (name == "depth" and settings.get("encoder")):
            found += [option, str(value)]
    return found


def prediction(task: Task, images: Path, model: Path, masks: Path) -> list[str]:
    given = ["--out", masks, "--accept", "clipped", "--only", ",".join(task.regions.names)]
    return _liverseg("predict", images, "--model", model, *given)


def _liverseg(command: str, *given: object) -> list[str]:
    return [sys.executable, "-m", "liverseg_tf", command, *map(str, given)]


def make_table(rows: list[dict]) -> str:
    """Return a table in Markdown: both trainings of each length and number of patients."""
    lines = [
        "| task | patients | minutes | from the model | from scratch | difference, 95 % interval |",
        "|---|---|---|---|---|---|",
    ]
    for key in sorted({(row["task"], row["patients"], row["minutes"]) for row in rows}):
        task, count, minutes = key
        chosen = [row for row in rows if (row["task"], row["patients"], row["minutes"]) == key]
        dice = {one: dice_by_case([row for row in chosen if row["start"] == one]) for one in TITLES}
        means = {one: f"{statistics.mean(d.values()):.4f}" if d else "" for one, d in dice.items()}
        both = dice[FROM_MODEL].keys() & dice[FROM_SCRATCH].keys()
        text = ""
        if both:
            gains = [dice[FROM_MODEL][name] - dice[FROM_SCRATCH][name] for name in sorted(both)]
            low, high = bootstrap_interval(gains)
            interval = "" if math.isnan(low) else f" ({low:+.4f} to {high:+.4f})"
            text = f"{statistics.mean(gains):+.4f}{interval}"
        seen = chosen[0]["seen_patients"]
        patients = f"{count} ({seen} seen by the model)" if seen else f"{count}"
        lines.append(
            f"| {task} | {patients} | {minutes:g} | {means[FROM_MODEL]} | {means[FROM_SCRATCH]} | "
            f"{text} |"
        )
    return "\n".join(lines)


def draw(rows: list[dict], path: Path) -> None:
    """Draw the Dice against minutes and against patients, a row of plots for each task."""
    from matplotlib.figure import Figure

    tasks = sorted({row["task"] for row in rows})
    figure = Figure(figsize=(8, 3.2 * len(tasks)), layout="constrained")
    grid = figure.subplots(len(tasks), 2, squeeze=False, sharey="row")
    for task, (left, right) in zip(tasks, grid, strict=True):
        trained = [row for row in rows if row["task"] == task and row["patients"]]
        untrained = [row for row in rows if row["task"] == task and not row["patients"]]
        most = max((row["patients"] for row in trained), default=0)
        longest = max((row["minutes"] for row in trained), default=0)
        for axes, name, other in ((left, "minutes", "patients"), (right, "patients", "minutes")):
            fixed = [row for row in trained if row[other] == (most, longest)[other == "minutes"]]
            _draw_lines(axes, fixed, name)
            if untrained:
                mean = statistics.mean(dice_by_case(untrained).values())
                axes.axhline(mean, color="0.4", linestyle=":", label="the model as it is")
            axes.grid(color="0.92")
        left.set(xlabel=f"minutes of one core ({most} patients)", ylabel=f"Dice, {task}")
        right.set(xlabel=f"patients ({longest:g} minutes)")
    lines = {line.get_label(): line for row in grid for line in row[0].get_lines()}
    named = {name: line for name, line in lines.items() if not name.startswith("_")}
    figure.legend(named.values(), named.keys(), loc="outside upper center", ncols=3, frameon=False)
    figure.savefig(path, dpi=150)


def _draw_lines(axes, rows: list[dict], name: str) -> None:
    """Draw a line for each start, and the Dice of each patient as a dot."""
    values = sorted({row[name] for row in rows})
    for start, colour in ((FROM_MODEL, "C0"), (FROM_SCRATCH, "C1")):
        by_value = {
            one: dice_by_case([row for row in rows if row["start"] == start and row[name] == one])
            for one in values
        }
        by_value = {one: dice for one, dice in by_value.items() if dice}
        for one, dice in by_value.items():
            axes.plot([one] * len(dice), list(dice.values()), "o", color=colour, alpha=0.3, ms=3)
        means = [statistics.mean(dice.values()) for dice in by_value.values()]
        axes.plot(list(by_value), means, "o-", color=colour, label=TITLES[start])
    if values:
        axes.set_xscale("log")
        axes.set_xticks(values, [f"{value:g}" for value in values])
        axes.minorticks_off()


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data", type=Path, help="Data set with the patients.")
    parser.add_argument("--base", type=Path, metavar="RUN", help="Model to fine-tune.")
    parser.add_argument(
        "--unseen", action="store_true", help="The base has learnt from no patient of --data."
    )
    parser.add_argument("--task", default="organs", help=f"{', '.join(TASKS)}, or a new name.")
    parser.add_argument(
        "--region", action="append", default=[], metavar="NAME=LABELS",
        help="Region of a new task.",
    )  # fmt: skip
    parser.add_argument("--minutes", type=float, nargs="+", default=[1, 2, 5, 10])
    parser.add_argument("--patients", type=int, nargs="+", default=[1, 3, 10])
    parser.add_argument("--test", type=int, default=4, help="Number of patients to predict.")
    parser.add_argument(
        "--steps-per-minute", type=float, default=71,
        help="Steps of a training in a minute of one core. 3,000 steps of abdomen-ct took 42 "
        "minutes on a core that multiplies bfloat16.",
    )  # fmt: skip
    parser.add_argument("--seeds", type=int, nargs="+", default=[0])
    parser.add_argument(
        "--option", action="append", default=[], help="Further argument of `liverseg train`."
    )
    parser.add_argument("--core", type=int, default=0)
    parser.add_argument("--work", type=Path, default=Path("data_cache/fine_tuning"))
    parser.add_argument(
        "--results", type=Path, default=Path(__file__).parent / "results" / "fine_tuning.json"
    )
    parser.add_argument("--table", action="store_true", help="Only print the table.")
    parser.add_argument("--picture", type=Path, metavar="PNG", help="Draw the curves.")
    options = parser.parse_args()
    if not options.table and None in (options.data, options.base):
        parser.error("Expected --data and --base, or --table.")
    if not options.region and options.task not in TASKS:
        parser.error(f"Expected --task {' or '.join(TASKS)}, or --region.")
    options.work = options.work.absolute()
    return options


if __name__ == "__main__":
    main()
