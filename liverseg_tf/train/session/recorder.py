"""What a run leaves on the disk while it goes on."""

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

import keras
import numpy as np

from liverseg_tf.errors import LiverSegError
from liverseg_tf.tiles.store import TileStore
from liverseg_tf.train.session.checkpoint import Checkpoint, TrainingState
from liverseg_tf.train.session.run_folder import Run
from liverseg_tf.train.settings import TrainSettings

if TYPE_CHECKING:  # it imports TensorFlow
    from liverseg_tf.train.session.tensorboard import TensorBoardWriter


@dataclass(frozen=True)
class RunRecorder:
    """Writes the best model, the logs and the checkpoints of a run.

    Args:
        run: the folder.
        settings: of the run, which a checkpoint is good for.
        store: of the run, which must stay as it is.
        board: TensorBoard's files; None where nobody wants them.
    """

    run: Run
    settings: TrainSettings
    store: TileStore
    board: "TensorBoardWriter | None" = None

    def begin(self, model: keras.Model) -> None:
        """What the network looks like."""
        if self.board is not None:
            self.board.add_model(model)

    def picture(self, step: int, predict: Callable[[np.ndarray], np.ndarray]) -> None:
        """What is found in validation cases."""
        if self.board is not None:
            self.board.add_pictures(step, predict)

    def keep(self, model: keras.Model) -> None:
        """The best model so far."""
        self.run.save_model(model)

    def log(self, standing: TrainingState) -> None:
        """The tables and curves, as they are after an epoch."""
        names = [f"dice_{name}" for name in standing.best_dice]
        rows = [row | {n: row.get(n, math.nan) for n in names} for row in standing.rows]
        self.run.write_log(rows, standing.cases)
        if self.board is not None:
            self.board.add_row(rows[-1])

    def save(self, state: list[np.ndarray], standing: TrainingState) -> None:
        """A checkpoint."""
        if self.run.writes:
            told = {
                "standing": standing.to_json(),
                "settings": self.settings.to_json(),
                "store": {"split": self.store.split, "checksums": self.store.checksums},
            }
            Checkpoint(state, told).write(self.run.folder)

    def end(self) -> None:
        """Nothing is to go on from."""
        if self.run.writes:
            Checkpoint.remove(self.run.folder)

    def check_store(self) -> None:
        """Whether the store still holds what the run began with.

        Raises:
            LiverSegError: with the first case that is gone or another one.
        """
        now = TileStore.open(self.store.folder)
        now.check_unchanged(self.store.checksums)
        for name in self.store.split["train"]:
            if not self.store.path(name).exists():
                raise LiverSegError(
                    f"Expected the store {self.store.folder} to stay as it is while a run learns "
                    f"from it. Received one without {self.store.path(name)}."
                )
