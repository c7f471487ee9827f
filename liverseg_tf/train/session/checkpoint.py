"""The state of a run, written whole, from which it goes on after any end."""

import json
import math
from dataclasses import asdict, dataclass, field
from pathlib import Path

import numpy as np

from liverseg_tf.atomic import replacing
from liverseg_tf.errors import LiverSegError

NAME = "checkpoint.npz"
_TOLD = "told"


@dataclass(frozen=True, eq=False)
class Checkpoint:
    """Where a run stands.

    Args:
        state: of the learner.
        told: everything else, as JSON can say it.
    """

    state: list[np.ndarray]
    told: dict

    def write(self, folder: Path) -> None:
        """Put it into the run's folder in place of the one before.

        Raises:
            LiverSegError: when it can't be written; the one before stays.
        """
        arrays = {f"{number:05}": array for number, array in enumerate(self.state)}
        told = np.frombuffer(json.dumps(self.told).encode(), np.uint8)
        with replacing(Path(folder) / NAME) as partial, open(partial, "wb") as file:
            np.savez(file, **arrays, **{_TOLD: told})

    @classmethod
    def read(cls, folder: Path) -> "Checkpoint | None":
        """The one in the run's folder; None where there is none.

        Raises:
            LiverSegError: when it can't be read.
        """
        path = Path(folder) / NAME
        if not path.exists():
            return None
        try:
            with np.load(path, allow_pickle=False) as arrays:
                state = [arrays[name] for name in sorted(arrays.files) if name != _TOLD]
                return cls(state, json.loads(arrays[_TOLD].tobytes()))
        except Exception as error:  # what a broken zip of arrays raises has no end
            raise LiverSegError(
                f"Expected a checkpoint at {path}. Received a broken one: {error}."
            ) from error

    @staticmethod
    def remove(folder: Path) -> None:
        """Once a run has ended there is nothing to go on from."""
        (Path(folder) / NAME).unlink(missing_ok=True)


@dataclass
class TrainingState:
    """Where a run stands; with the learner's state it is all that a checkpoint holds."""

    step: int = 0
    epoch: int = 0  # whole ones
    losses: float = 0.0  # sum over the epoch's steps
    best: float = -math.inf
    best_dice: dict[str, float] = field(default_factory=dict)
    waited: int = 0  # validations since the best one
    elapsed: float = 0.0  # seconds
    validating: float = 0.0  # of them
    rows: list[dict] = field(default_factory=list)  # of the log
    cases: list[dict] = field(default_factory=list)  # of the validations

    def to_json(self) -> dict:
        return asdict(self)
