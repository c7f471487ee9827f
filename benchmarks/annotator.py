"""A simulated annotator: does correcting the most uncertain image help more than a random one?

    python benchmarks/annotator.py phantoms
    python benchmarks/annotator.py btcv --data BTCV
    python benchmarks/annotator.py --table --picture annotator.png

In each repeat, the patients are divided at random: a few train the first model, some test, and
the others are the images of `liverseg serve`. A server is started for each strategy, with the same
first model. In each round, the annotator asks for the next images, replaces their masks by the
truth, and lets the server fine-tune for a number of steps, which take about two minutes on one
core. The model that the server then uses predicts the test images.

Every round is kept in --results; the same command goes on where it was interrupted, and several
with different --repeats and --core may run at once.
"""

import argparse
import contextlib
import json
import os
import shutil
import signal
import statistics
import sys
import time
import urllib.error
import urllib.request
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from contest.costs import ENVIRONMENT, run_on_core, stop_all
from contest.results import describe_hardware
from label_client import serving
from label_server import form
from measure import print_hardware
from rows import add_row, read_rows

from liverseg_tf.atomic import read_json, write_json
from liverseg_tf.ct.images import read_label_image
from liverseg_tf.ct.nifti import write_labels
from liverseg_tf.ct.regions import Regions
from liverseg_tf.dataset.cases import Case, find_cases
from liverseg_tf.model.run_record import RunRecord

STRATEGIES = ("uncertain", "random")
IDENTITY = ("data", "settings", "repeat", "strategy", "round")


@dataclass(frozen=True)
class Material:
    """What is annotated.

    Args:
        regions: Regions of the model.
        spacing_mm: Spacing of the tiles.
        tile: Size of the tiles in pixels.
        training: Number of cases of the first model.
        test: Number of test cases.
    """

    regions: tuple[str, ...]
    spacing_mm: float
    tile: int
    training: int
    test: int


MATERIALS = {
    "phantoms": Material(("liver=1,2", "tumour=2"), 2.5, 128, 4, 8),
    "btcv": Material(("liver=1,2",), 1.5, 256, 4, 8),
}


def main() -> None:
    options = parse_arguments()
    print_hardware()
    if not options.table:
        os.sched_setaffinity(0, {options.core})
        os.environ.update(ENVIRONMENT)
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, lambda *_: stop_all())
        for repeat in options.repeats:
            Annotation(options, repeat).run()
    rows = read_rows(options.results)
    print(make_table(rows))
    if options.picture:
        draw(rows, options.picture)


class Annotation:
    """A repeat: a first model, and each strategy from there.

    Args:
        options: Options of the command.
        repeat: Number of the repeat, from which the division of the patients follows.
    """

    def __init__(self, options: argparse.Namespace, repeat: int):
        self.options, self.repeat = options, repeat
        self.material = MATERIALS[options.material]
        self.regions = Regions.parse(self.material.regions)
        self.folder = options.work / f"{options.material}-{repeat}"
        self.log = self.folder / "log.txt"
        cases = find_cases(self._data())
        order = np.random.default_rng(repeat).permutation(len(cases))
        shuffled = [cases[index] for index in order]
        first, second = self.material.training, self.material.training + self.material.test
        self.training, self.test = shuffled[:first], shuffled[first:second]
        self.pool = {case.name: case for case in shuffled[second:]}

    def run(self) -> None:
        """Do what is missing."""
        model = self._first_model()
        last = min(self.options.rounds, len(self.pool) // self.options.per_round)
        for strategy in STRATEGIES:
            missing = [number for number in range(last + 1) if not self._is_done(strategy, number)]
            if not missing:
                continue
            folder = self.folder / strategy
            folder.mkdir(exist_ok=True)
            given = ["--model", model, "--studies", self._link("pool", list(self.pool.values()))]
            given += ["--out", folder / "out"]
            with serving(folder / "server.txt", *given) as url:
                for number in missing:
                    self._round(url, strategy, number)

    def _round(self, url: str, strategy: str, number: int) -> None:
        """Correct images, fine-tune and score; go on if this was interrupted."""
        started = time.perf_counter()
        (model,) = call(url, "GET", "/info/")["models"]
        corrected = [one["image"] for one in call(url, "GET", "/datastore/?output=train")]
        while len(corrected) < number * self.options.per_round:
            name = self._choose(url, strategy, corrected)
            body, headers = form({}, {"label": self._correct(name)})
            call(url, "PUT", f"/datastore/label?image={name}", body, headers)
            corrected.append(name)
        marker = self.folder / strategy / "fine_tuned.json"
        tuned = read_json(marker) if marker.exists() else {"round": 0, "result": ""}
        if tuned["round"] < number:
            tuned = {"round": number, "result": fine_tune(url, model, self.options.steps)}
            write_json(marker, tuned)
        row = {
            **self._identity(strategy, number),
            "corrected": len(corrected),
            "images": corrected,
            "fine_tuning": tuned["result"],
            "version": call(url, "GET", "/info/")["models"][model]["version"],
            "cases": self._score(url, model),
            "seconds": round(time.perf_counter() - started),
            "hardware": describe_hardware(),
        }
        add_row(self.options.results, row, IDENTITY, self.options.work)
        print(
            f"repeat {self.repeat}, {strategy}, {len(corrected)} corrected: Dice "
            f"{mean_dice(row):.4f}  {tuned['result']}",
            flush=True,
        )

    def _choose(self, url: str, strategy: str, corrected: list[str]) -> str:
        """Return the next image to correct."""
        if strategy == "random":
            order = np.random.default_rng([self.repeat, 1]).permutation(sorted(self.pool)).tolist()
            return next(name for name in order if name not in corrected)
        while True:  # until the server has measured all images with the present model
            with contextlib.suppress(urllib.error.HTTPError):
                answer = call(url, "POST", "/activelearning/uncertain")
                if answer["scored"] == answer["total"]:
                    return answer["id"]
            time.sleep(1)

    def _correct(self, name: str) -> Path:
        """Write the true mask of an image with the labels of the model, without other organs."""
        truth = read_label_image(self.pool[name].mask)
        labels = np.zeros_like(truth.array)
        for region, value in zip(self.regions.names, self.regions.written_labels, strict=True):
            labels[self.regions.mask(truth.array, region)] = value
        path = self.folder / "label.nii.gz"
        write_labels(path, truth.with_array(labels))
        return path

    def _score(self, url: str, model: str) -> list[dict]:
        """Return the Dice of the server's masks of the test images."""
        rows = []
        path = self.folder / "mask.nii.gz"
        for case in self.test:
            body, headers = form({}, {"file": Path(case.image)})
            path.write_bytes(send(url, "POST", f"/infer/{model}?output=image", body, headers))
            mask, truth = read_label_image(path).array, read_label_image(case.mask).array
            for region in self.regions.names:
                one, other = self.regions.mask(mask, region), self.regions.mask(truth, region)
                total = int(one.sum()) + int(other.sum())
                if total:
                    dice = 2 * int((one & other).sum()) / total
                    rows.append({"case": case.name, "region": region, "dice": round(dice, 5)})
        return rows

    def _first_model(self) -> Path:
        """Train the model with which all strategies begin."""
        store, run = self.folder / "store", self.folder / "first"
        if run.exists() and RunRecord.read(run).finished:
            return run
        regions = [word for one in self.material.regions for word in ("--region", one)]
        start = [sys.executable, "-m", "liverseg_tf", "--preset", "fast"]
        given = ["--window", "75", "400", "--spacing", str(self.material.spacing_mm)]
        given += ["--tile", str(self.material.tile), "--val", "0.25", "--test", "0"]
        source = self._link("training", self.training)
        command = [*start, "preprocess", source, store, *given, "--workers", "1", *regions]
        run_on_core([*map(str, command)], self.options.core, self.log)
        epochs = max(1, self.options.first_steps // 100)
        length = ["--epochs", epochs, "--steps-per-epoch", self.options.first_steps // epochs]
        command = [*start, "train", store, run, *length, "--mirror", "--seed", self.repeat]
        run_on_core([*map(str, [*command, *regions])], self.options.core, self.log)
        return run

    def _data(self) -> Path:
        if self.options.material != "phantoms":
            return self.options.data
        folder = self.options.work / "phantoms"
        if not folder.exists():
            partial = folder.with_name("phantoms.partial")
            shutil.rmtree(partial, ignore_errors=True)
            command = [sys.executable, "-m", "liverseg_tf", "phantom", partial, "--count", 30]
            run_on_core([*map(str, command)], self.options.core, self.options.work / "log.txt")
            partial.rename(folder)
        return folder

    def _link(self, name: str, cases: list[Case]) -> Path:
        """Return a folder with links to cases; images only for the server."""
        folder = self.folder / name
        kinds = {"images": "image"} if name == "pool" else {"images": "image", "masks": "mask"}
        for case in cases:
            for kind, attribute in kinds.items():
                link = folder / kind / f"{case.name}.nii.gz"
                link.parent.mkdir(parents=True, exist_ok=True)
                link.unlink(missing_ok=True)
                link.symlink_to(Path(getattr(case, attribute)).resolve())
        return folder / "images" if name == "pool" else folder

    def _identity(self, strategy: str, number: int) -> dict:
        one = self.options
        settings = f"{one.first_steps} first, {one.steps} fine, {one.per_round} per round"
        values = (one.material, settings, self.repeat, strategy, number)
        return dict(zip(IDENTITY, values, strict=True))

    def _is_done(self, strategy: str, number: int) -> bool:
        identity = self._identity(strategy, number)
        rows = read_rows(self.options.results)
        return any(all(row[key] == value for key, value in identity.items()) for row in rows)


def fine_tune(url: str, model: str, steps: int) -> str:
    """Let the server fine-tune, and return what came of it."""
    body = json.dumps({"steps": steps}).encode()
    call(url, "POST", f"/train/{model}", body, {"content-type": "application/json"})
    while (task := call(url, "GET", "/train/"))["status"] == "RUNNING":
        time.sleep(1)
    if task["status"] != "DONE":
        raise SystemExit(f"The fine-tuning ended with {task['status']}: {task['details']}")
    return task["result"]


def call(url: str, method: str, selector: str, body: bytes | None = None, headers=None):
    return json.loads(send(url, method, selector, body, headers))


def send(url: str, method: str, selector: str, body: bytes | None = None, headers=None) -> bytes:
    request = urllib.request.Request(url + selector, body, headers or {}, method=method)
    with urllib.request.urlopen(request, timeout=1200) as answer:
        return answer.read()


def mean_dice(row: dict) -> float:
    """Return the mean over the regions, each of them over the cases that contain it."""
    by_region: dict[str, list[float]] = {}
    for case in row["cases"]:
        by_region.setdefault(case["region"], []).append(case["dice"])
    return statistics.mean(statistics.mean(values) for values in by_region.values())


def curves(rows: list[dict]) -> dict[tuple[str, str], dict[str, dict[int, list[float]]]]:
    """Return the Dice of each repeat by data and settings, strategy, and corrected images."""
    found: dict = {}
    for row in sorted(rows, key=lambda one: (one["repeat"], one["round"])):
        strategies = found.setdefault((row["data"], row["settings"]), {})
        curve = strategies.setdefault(row["strategy"], {})
        curve.setdefault(row["corrected"], {})[row["repeat"]] = mean_dice(row)
    return found


def make_table(rows: list[dict]) -> str:
    """Return a table in Markdown: a row for each number of corrected images."""
    lines = [
        "| data | corrected | uncertain | random | difference of each repeat |",
        "|---|---|---|---|---|",
    ]
    for (data, settings), strategies in curves(rows).items():
        for corrected, uncertain in sorted(strategies.get("uncertain", {}).items()):
            chance = strategies.get("random", {}).get(corrected, {})
            both = sorted(set(uncertain) & set(chance))
            if both:
                means = [statistics.mean(one[r] for r in both) for one in (uncertain, chance)]
                differences = ", ".join(f"{uncertain[r] - chance[r]:+.4f}" for r in both)
                cells = [f"{data} ({settings})", corrected, *(f"{one:.4f}" for one in means)]
                lines.append(f"| {' | '.join(map(str, cells))} | {differences} |")
    return "\n".join(lines)


def draw(rows: list[dict], path: Path) -> None:
    """Draw the Dice against the number of corrected images: each repeat, and their mean."""
    from matplotlib.figure import Figure

    found = curves(rows)
    figure = Figure(figsize=(5 * max(1, len(found)), 3.5), layout="constrained")
    for place, ((data, settings), strategies) in enumerate(found.items(), 1):
        axes = figure.add_subplot(1, len(found), place)
        for color, (strategy, curve) in zip(("C0", "C1"), sorted(strategies.items()), strict=False):
            numbers = sorted(curve)
            for repeat in sorted({one for points in curve.values() for one in points}):
                points = [(n, curve[n][repeat]) for n in numbers if repeat in curve[n]]
                axes.plot(*zip(*points, strict=True), color=color, alpha=0.3, linewidth=1)
            means = [statistics.mean(curve[number].values()) for number in numbers]
            axes.plot(numbers, means, "o-", color=color, label=strategy)
        axes.set(title=f"{data}: {settings}", xlabel="corrected images")
        axes.set_ylabel("mean Dice of the test images")
        axes.legend()
    figure.savefig(path, dpi=150)


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("material", nargs="?", choices=MATERIALS)
    parser.add_argument("--data", type=Path, help="Data set of btcv: images and masks.")
    parser.add_argument("--repeats", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--per-round", type=int, default=2, help="Images corrected in a round.")
    parser.add_argument("--first-steps", type=int, default=200, help="Steps of the first model.")
    parser.add_argument("--steps", type=int, default=400, help="Steps of each fine-tuning.")
    parser.add_argument("--core", type=int, default=0)
    parser.add_argument("--work", type=Path, default=Path("data_cache/annotator"))
    parser.add_argument(
        "--results", type=Path, default=Path(__file__).parent / "results" / "annotator.json"
    )
    parser.add_argument("--table", action="store_true", help="Only print the table.")
    parser.add_argument("--picture", type=Path, metavar="PNG", help="Draw the curves.")
    options = parser.parse_args()
    if not options.table and options.material is None:
        parser.error("Expected phantoms, btcv or --table.")
    if options.material == "btcv" and options.data is None and not options.table:
        parser.error("Expected --data for btcv.")
    options.work = options.work.absolute()
    options.work.mkdir(parents=True, exist_ok=True)
    return options


if __name__ == "__main__":
    main()
