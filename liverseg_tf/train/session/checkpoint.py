"""Checkpoints: the complete state of a run, from which it can be resumed."""

import json
import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Annotated, Any, Protocol

import msgspec
import numpy as np
from msgspec import Meta

from liverseg_tf.atomic import replacing
from liverseg_tf.errors import LiverSegError, first_line
from liverseg_tf.partials import remove
from liverseg_tf.records import convert_record

CHECKPOINT_FILE = "checkpoint.npz"
_METADATA = "metadata"


@dataclass(frozen=True, eq=False)
class Checkpoint:
    """The state of a run between two steps.

    Args:
        learner_state: Result of `Learner.state`.
        metadata: JSON values: `training_state`, `settings` and `store`.
    """

    learner_state: list[np.ndarray]
    metadata: dict

    def write(self, folder: Path) -> None:
        """Write the checkpoint into the run's folder, atomically, in place of the previous one.

        Raises:
            LiverSegError: If the file cannot be written. The previous checkpoint is kept.
        """
        arrays: dict[str, Any] = {
            f"{number:05}": array for number, array in enumerate(self.learner_state)
        }
        arrays[_METADATA] = np.frombuffer(json.dumps(self.metadata).encode(), np.uint8)
        with replacing(Path(folder) / CHECKPOINT_FILE) as partial, open(partial, "wb") as file:
            np.savez(file, **arrays)

    @classmethod
    def read(cls, folder: Path) -> "Checkpoint | None":
        """Read the checkpoint in a run's folder; return None if there is none.

        Raises:
            LiverSegError: If the file cannot be read.
        """
        path = Path(folder) / CHECKPOINT_FILE
        if not path.exists():
            return None
        try:
            with np.load(path, allow_pickle=False) as arrays:
                state = [arrays[name] for name in sorted(arrays.files) if name != _METADATA]
                metadata = json.loads(arrays[_METADATA].tobytes())
            convert_record(metadata, _Metadata, str(path))
        except Exception as error:  # a broken zip archive of arrays raises many classes
            raise _damaged(path, error) from error
        return cls(state, metadata)

    def restore(self, learner: "StatefulLearner", folder: Path) -> None:
        """Give the learner its state back.

        Args:
            learner: Learner with the same network, loss and optimizer.
            folder: Folder of the run, for error messages.

        Raises:
            LiverSegError: If the state is that of another network or another backend.
        """
        try:
            learner.load_state(self.learner_state)
        except (ValueError, TypeError) as error:  # another number or other shapes of variables
            raise _damaged(Path(folder) / CHECKPOINT_FILE, error) from error

    def training_state(self) -> "TrainingState":
        """Return the state of the training loop."""
        return msgspec.convert(self.metadata["training_state"], TrainingState)

    @staticmethod
    def remove(folder: Path) -> None:
        """Remove the checkpoint of a run that has finished, if there is one."""
        remove(Path(folder) / CHECKPOINT_FILE)


class StatefulLearner(Protocol):
    """The part of a `Learner` that a checkpoint needs."""

    def load_state(self, state: Sequence[np.ndarray]) -> None:
        """Continue from the result of `state`."""


@dataclass
class TrainingState:
    """The part of a run's state that the training loop holds; the learner holds the rest.

    Args:
        step: Number of completed steps.
        epoch: Number of completed epochs.
        epoch_loss_sum: Sum of the losses over the steps of the current epoch.
        best_mean_dice: Best validation Dice so far, mean over the regions.
        best_dice: Dice of each region in the same validation.
        validations_since_best: Number of validations since then.
        elapsed_seconds: Wall-clock time of the run so far.
        validation_seconds: Part of this time that was spent on validation.
        log_rows: Rows of `log.csv`.
        validation_rows: Rows of `validation.csv`.
        is_complete: Whether the last epoch is done, so that only the end of the run is left.
    """

    step: Annotated[int, Meta(ge=0)] = 0
    epoch: Annotated[int, Meta(ge=0)] = 0
    epoch_loss_sum: float = 0.0
    best_mean_dice: float = -math.inf
    best_dice: dict[str, float] = field(default_factory=dict)
    validations_since_best: int = 0
    elapsed_seconds: float = 0.0
    validation_seconds: float = 0.0
    log_rows: list[dict] = field(default_factory=list)
    validation_rows: list[dict] = field(default_factory=list)
    is_complete: bool = False

    def to_json(self) -> dict:
        """Return the fields as a plain dictionary."""
        return asdict(self)


@dataclass(frozen=True)
class RecordedStore:
    """What a run records of its store, in `run.json` and in its checkpoints.

    Args:
        split: Names of the cases on each side of the split.
        checksums: Checksum of the tiles of each case.
    """

    split: dict[str, list[str]]
    checksums: dict[str, str]


@dataclass(frozen=True)
class _Metadata:
    training_state: TrainingState
    settings: dict[str, Any]
    store: RecordedStore


def _damaged(path: Path, error: Exception) -> LiverSegError:
    return LiverSegError(
        f"The checkpoint {path} is damaged ({first_line(error)}): delete it to start the run again."
    )
