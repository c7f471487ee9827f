"""The commands of each contestant: preparation and training, which are timed, and prediction."""

import json
import shlex
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from contest.task import Length, Task

PEERS = Path(__file__).resolve().parents[1] / "peers"
Command = list[str]


@dataclass(frozen=True)
class Place:
    """Folders of one training.

    Args:
        fold: Folder with `train` and `test`, each with images/ and masks/.
        prepared: Folder for what is made of the training cases, which other trainings may share.
        run: Folder of the training.
        masks: Folder of the masks of the test cases.
    """

    fold: Path
    prepared: Path
    run: Path
    masks: Path


@dataclass(frozen=True)
class Contestant:
    """A way of training and predicting.

    Args:
        name: 'ours', 'monai' or 'nnunet'.
        variant: Name of the variant; 'default' for that with default options.
        options: Further options of `liverseg train`.
        python: Python executable of a peer's environment.
        epochs: Number of epochs into which the training is divided.
        probes: Numbers of steps from which the time of a step is measured.
    """

    name: str
    variant: str = "default"
    options: tuple[str, ...] = ()
    python: str = sys.executable
    epochs: int = 1
    probes: tuple[int, int] = (10, 60)

    @property
    def title(self) -> str:
        return self.name if self.variant == "default" else f"{self.name}-{self.variant}"

    @property
    def probe_epochs(self) -> int:
        """Number of epochs of the training that measures the end of an epoch."""
        return 1 if self.epochs == 1 else min(4, self.probes[1])

    def preparation(self, place: Place, task: Task) -> list[Command]:
        """Commands that come before the training, and whose time counts."""
        if self.name == "ours":
            low, high = task.limits
            given = ["--window", str((low + high) / 2), str(high - low)]
            given += ["--spacing", "1.5", "--tile", "256", "--workers", "1"]
            given += ["--test", "0", "--val", str(task.validation)]
            return [_ours(task, "preprocess", place.fold / "train", place.prepared, *given)]
        if self.name == "nnunet":
            return [self._peer("train_nnunet.py", "prepare", place, "--classes", *task.classes)]
        return []

    def training(self, place: Place, task: Task, length: Length) -> Command:
        """Command that trains; it can be interrupted and repeated."""
        if self.name == "ours":
            given = ["--epochs", str(length.epochs), *self.options]
            given += ["--steps-per-epoch", str(length.steps_per_epoch)]
            return _ours(task, "train", place.prepared, place.run, *given)
        if self.name == "nnunet":
            given = ["--epochs", str(length.epochs), "--steps", str(length.steps_per_epoch)]
            return self._peer("train_nnunet.py", "train", place, *given)
        given = ["--steps", str(length.steps)]
        return self._monai(place, task, given)

    def prediction(self, place: Place, task: Task, length: Length) -> Command:
        """Command that writes the masks of the test cases."""
        if self.name == "ours":
            given = ["--model", place.run, "--out", place.masks]
            for region in task.regions.names:
                given += ["--largest", region]
            return _ours(task, "predict", place.fold / "test", *given)
        if self.name == "nnunet":
            return self._peer("train_nnunet.py", "predict", place, "--classes", *task.classes)
        given = ["--steps", str(length.steps), "--predict", str(place.fold / "test" / "images")]
        return self._monai(place, task, given)

    def describe_run(self, place: Place) -> tuple[int, dict]:
        """Return the number of images in a step, and what is worth recording of the network."""
        if self.name == "ours":
            record = json.loads((place.run / "run.json").read_text())
            details = {name: record.get(name) for name in ("parameters", "hardware")}
            details["postprocessing"] = record.get("postprocessing")
            return record["settings"]["batch_size"], details
        record = json.loads((place.run / "network.json").read_text())
        return record["batch"], record

    def _monai(self, place: Place, task: Task, given: Sequence[str]) -> Command:
        low, high = map(str, task.limits)
        fixed = [str(place.fold / "train"), str(place.run), "--masks", str(place.masks)]
        return [
            self.python, str(PEERS / "train_monai.py"), *fixed, *given,
            "--window", low, high, "--classes", *task.classes, *self.options,
        ]  # fmt: skip

    def _peer(self, script: str, action: str, place: Place, *given: str) -> Command:
        folders = [place.fold, place.prepared, place.run, place.masks]
        return [self.python, str(PEERS / script), action, *map(str, folders), *given]


def _ours(task: Task, command: str, *given: object) -> Command:
    regions = [
        f"--region={name}={','.join(map(str, labels))}" for name, labels in task.regions.items
    ]
    if command == "predict":
        regions = []
    start = [sys.executable, "-m", "liverseg_tf", "--preset", task.preset, command]
    return [*start, *map(str, given), *regions]


def parse_variant(text: str) -> Contestant:
    """Make a contestant of NAME=OPTIONS, with further options of `liverseg train`."""
    name, separator, options = text.partition("=")
    if not name or not separator:
        raise SystemExit(f"Expected --ablate as NAME=OPTIONS. Received '{text}'.")
    return ours(name, tuple(shlex.split(options)))


def ours(variant: str = "default", options: tuple[str, ...] = ()) -> Contestant:
    return Contestant("ours", variant, options, epochs=12)


def monai(python: str) -> Contestant:
    return Contestant("monai", python=python)


def nnunet(python: str) -> Contestant:
    return Contestant("nnunet", python=python, epochs=5, probes=(1, 3))
