"""One run of a comparison: its settings, its validation scores and its curves."""

import csv
import math
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from liverseg_tf.errors import LiverSegError, reason_of
from liverseg_tf.model.run_record import RunRecord, read_run
from liverseg_tf.records import convert_record

LOG_FILE = "log.csv"
_MAX_LOG_BYTES = 64 * 1024**2


@dataclass(frozen=True)
class FoundRun:
    """A run that can be compared with others.

    Args:
        name: Its path as the user sees it.
        folder: Folder of the run.
        finished: Whether the run has finished.
        dice: Validation Dice of each region, mean over the cases, of the saved model; NaN if no
            case labels the region. Empty if the run has not been validated.
        checksums: Checksum of the tiles of each case that was validated, by the name of the case.
        has_validation_cases: Whether these cases are not those of the training.
        steps: Number of training steps.
        seconds: Wall-clock time of the training.
        facts: What was chosen for the run, as JSON values by name: the settings of the training,
            the tiles, the number of training cases, backend, precision and device.
        parameters: Number of parameters; None if it is not recorded.
        versions: Versions of the packages that trained the run.
    """

    name: str
    folder: Path
    finished: bool
    dice: dict[str, float]
    checksums: dict[str, str]
    has_validation_cases: bool
    steps: int
    seconds: float
    facts: dict[str, Any]
    parameters: int | None
    versions: dict[str, str]

    @classmethod
    def read(cls, folder: Path, name: str) -> "FoundRun":
        """Read a run. The checksum of its model is compared if the run has finished.

        Raises:
            LiverSegError: If the folder holds no run, or one that is damaged or of another format.
        """
        record = RunRecord.read(folder)
        if record.finished:
            record.check_model(folder)
        entries = convert_record(read_run(folder), _Entries, f"the run {folder}")
        result = entries.result
        if result is None:
            result = _result_so_far(folder)
        dice = {one: math.nan if value is None else value for one, value in result.dice.items()}
        validated = result.validated_on or record.split["val"] or record.split["train"]
        checksums = {case: entries.store.checksums.get(case, "") for case in sorted(validated)}
        tiles = {f"tiles.{one}": value for one, value in entries.network.get("tiles", {}).items()}
        facts = {
            **entries.settings,
            **tiles,
            "training_cases": len(record.split["train"]),
            "backend": entries.versions.get("backend"),
            **{one: entries.hardware.get(one) for one in ("precision", "device")},
        }
        return cls(
            name,
            Path(folder),
            record.finished,
            dice,
            checksums,
            bool(record.split["val"]),
            result.steps,
            result.seconds,
            facts,
            entries.parameters,
            entries.versions,
        )

    @property
    def mean_dice(self) -> float:
        """Mean of the Dice over the regions without NaN; NaN if there are none."""
        return mean_of_known(self.dice.values())

    def to_json(self) -> dict:
        """Return the run as plain JSON values, NaN included; case names are left out."""
        return {
            "run": self.name,
            "finished": self.finished,
            "dice": self.dice,
            "mean_dice": self.mean_dice,
            "validation_cases": len(self.checksums) if self.has_validation_cases else 0,
            "steps": self.steps,
            "seconds": self.seconds,
            "parameters": self.parameters,
            "settings": self.facts,
            "versions": self.versions,
        }


def mean_of_known(values: Iterable[float]) -> float:
    """Compute the mean of the values that are not NaN; NaN if there are none."""
    known = [value for value in values if not math.isnan(value)]
    return sum(known) / len(known) if known else math.nan


def read_log(folder: Path) -> list[dict[str, float]]:
    """Read the numbers of a run's `log.csv`, one row per epoch; what is missing is NaN.

    Raises:
        LiverSegError: If the file is missing, too large or no such table.
    """
    path = Path(folder) / LOG_FILE
    try:
        if not path.is_file() or path.stat().st_size > _MAX_LOG_BYTES:
            reason = "a file that is too large" if path.is_file() else "no such file"
            raise LiverSegError(f"Expected the table of epochs at {path}. Received: {reason}.")
        with open(path, newline="", encoding="utf-8") as file:
            rows = [
                {name: _finite(text) for name, text in row.items()}
                for row in csv.DictReader(file, strict=True)
            ]
    except (OSError, ValueError, TypeError, csv.Error) as error:
        raise LiverSegError(
            f"Expected the table of epochs at {path}. Received: {reason_of(error)}."
        ) from error
    if not rows or not {"step", "loss"} <= rows[0].keys():
        raise LiverSegError(
            f"Expected the columns step and loss in {path}. Received a table without them."
        )
    return rows


def _finite(text: str) -> float:
    """Return the number that a text says; NaN if it is empty or infinite."""
    value = float(text) if text else math.nan
    return value if math.isfinite(value) else math.nan


def _result_so_far(folder: Path) -> "_Result":
    """Return what an unfinished run has reached: the best validation of its log."""
    rows = read_log(folder)
    scores = [
        {name.removeprefix("dice_"): value for name, value in row.items() if name[:5] == "dice_"}
        for row in rows
    ]
    best = max(scores, key=lambda dice: or_lowest(mean_of_known(dice.values())))
    step, seconds = (rows[-1].get(name, math.nan) for name in ("step", "seconds"))
    return _Result(dict(best), [], 0 if math.isnan(step) else int(step), seconds)


def or_lowest(dice: float) -> float:
    """Return a Dice by which runs and epochs are ranked; NaN comes last."""
    return -1.0 if math.isnan(dice) else dice


@dataclass(frozen=True)
class _Result:
    dice: dict[str, float | None] = field(default_factory=dict)
    validated_on: list[str] = field(default_factory=list)
    steps: int = 0
    seconds: float = 0.0


@dataclass(frozen=True)
class _Store:
    checksums: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class _Entries:
    """The entries of `run.json` that a comparison needs besides those of `RunRecord`."""

    network: dict[str, Any]
    settings: dict[str, Any] = field(default_factory=dict)
    store: _Store = _Store()
    hardware: dict[str, Any] = field(default_factory=dict)
    versions: dict[str, str] = field(default_factory=dict)
    parameters: int | None = None
    result: _Result | None = None
