"""Writes what a run leaves on disk while it is in progress."""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import keras
import numpy as np

from liverseg_tf.errors import LiverSegError
from liverseg_tf.tiles.store import TileStore
from liverseg_tf.train.learner.execution import ExecutionOptions
from liverseg_tf.train.session.checkpoint import Checkpoint, TrainingState
from liverseg_tf.train.session.interrupt import Interrupted
from liverseg_tf.train.session.run_folder import RunFolder
from liverseg_tf.train.session.validation import Validator
from liverseg_tf.train.settings import TrainSettings

if TYPE_CHECKING:  # it imports TensorFlow, which the JAX backend does not need
    from liverseg_tf.train.session.mlflow_logger import MlflowLogger
    from liverseg_tf.train.session.tensorboard import TensorBoardWriter


@dataclass(frozen=True)
class RunRecorder:
    """Writes the best model, the logs and the checkpoints of a run.

    Args:
        run: Folder of the run.
        settings: Settings of the run, written into its checkpoints.
        store: Store of the run, which must not change during the run.
        tensorboard: Writer of TensorBoard's files; None writes none.
        mlflow: Logger of MLflow; None logs nothing.

    As a context manager, it tells MLflow how the run has ended.
    """

    run: RunFolder
    settings: TrainSettings
    store: TileStore
    tensorboard: "TensorBoardWriter | None" = None
    mlflow: "MlflowLogger | None" = None

    @classmethod
    def make(
        cls,
        run: RunFolder,
        settings: TrainSettings,
        execution: ExecutionOptions,
        validator: Validator,
        sections: Mapping[str, Any],
    ) -> "RunRecorder":
        """Make the recorder of a run, with the loggers that its execution options ask for.

        Args:
            run: Folder of the run.
            settings: Settings of the run.
            execution: Execution options of the run.
            validator: Its cases are drawn for TensorBoard, and its store must not change.
            sections: Sections `settings` and `hardware` of the run's record.

        Raises:
            SettingsError: If TensorBoard or MLflow is not installed.
        """
        tensorboard = mlflow = None
        if execution.tensorboard and run.writes:
            from liverseg_tf.train.session.tensorboard import TensorBoardWriter

            tensorboard = TensorBoardWriter(run.folder, validator)
        if execution.mlflow is not None and run.writes:
            from liverseg_tf.train.session.mlflow_logger import MlflowLogger

            facts = {**sections["settings"], **sections["hardware"]}
            mlflow = MlflowLogger(execution.mlflow, run.folder, facts, execution.warn)
        return cls(run, settings, validator.store, tensorboard, mlflow)

    def __enter__(self) -> "RunRecorder":
        return self

    def __exit__(self, kind: type[BaseException] | None, *error: object) -> None:
        if self.mlflow is not None and kind is not None:
            stopped = issubclass(kind, Interrupted | KeyboardInterrupt)
            self.mlflow.close("KILLED" if stopped else "FAILED")

    def write_graph(self, model: keras.Model) -> None:
        """Write the layers of the network for TensorBoard."""
        if self.tensorboard is not None:
            self.tensorboard.write_graph(model)

    def write_predictions(self, step: int, predict: Callable[[np.ndarray], np.ndarray]) -> None:
        """Write images of predictions in validation cases for TensorBoard.

        Args:
            step: Number of completed steps.
            predict: Function from (batch, h, w, channels) uint8 to probabilities
                (batch, h, w, regions).
        """
        if self.tensorboard is not None:
            self.tensorboard.write_images(step, predict)

    def save_best_model(self, model: keras.Model) -> None:
        """Save the best model so far."""
        self.run.save_model(model)

    def write_log(self, state: TrainingState) -> None:
        """Write the tables and curves after an epoch."""
        # an epoch without validation gets NaN in the columns of the Dice scores
        columns = [f"dice_{name}" for name in state.best_dice]
        rows = [row | {name: row.get(name, math.nan) for name in columns} for row in state.log_rows]
        self.run.write_log(rows, state.validation_rows)
        if self.tensorboard is not None:
            self.tensorboard.write_scalars(rows[-1])
        if self.mlflow is not None:
            self.mlflow.log_row(rows[-1])

    def save_checkpoint(self, learner_state: list[np.ndarray], state: TrainingState) -> None:
        """Write a checkpoint.

        Args:
            learner_state: Result of `Learner.state`.
            state: State of the training loop.
        """
        if self.run.writes:
            metadata = {
                "training_state": state.to_json(),
                "settings": self.settings.to_json(),
                "store": {"split": self.store.split, "checksums": self.store.checksums},
            }
            Checkpoint(learner_state, metadata).write(self.run.folder)

    def finish(self, dice: dict[str, float]) -> None:
        """Remove the checkpoint of the finished run, and tell MLflow its result.

        Args:
            dice: Dice of each region of the saved model.
        """
        if self.run.writes:
            Checkpoint.remove(self.run.folder)
        if self.mlflow is not None:
            self.mlflow.close("FINISHED", dice)

    def check_store(self) -> None:
        """Check that the store has not changed since the run began.

        Raises:
            LiverSegError: If a case was removed or replaced; the message names it.
        """
        TileStore.open(self.store.folder).check_unchanged(self.store.checksums)
        for name in self.store.split["train"]:
            if not self.store.path(name).exists():
                raise LiverSegError(
                    f"The file {self.store.path(name)} was removed during training: leave the "
                    f"store {self.store.folder} unchanged until the run has finished."
                )
