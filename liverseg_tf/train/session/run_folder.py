"""The folder of a run: everything that is needed to predict and to know how the run was made."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import keras

from liverseg_tf.atomic import create_folder, replacing, write_csv
from liverseg_tf.errors import SettingsError
from liverseg_tf.model.run_lock import run_lock
from liverseg_tf.model.run_record import (
    MODEL_FILE,
    compute_model_checksum,
    read_finished_run,
    write_run_record,
)
from liverseg_tf.model.spec import NetworkSpec
from liverseg_tf.train.preview.curves import draw_curves
from liverseg_tf.train.preview.figure_file import write_figure


@dataclass(frozen=True)
class RunFolder:
    """A folder with `model.keras` (the best weights), `run.json`, the logs and `curves.png`.

    Until the run has finished, the folder also holds `checkpoint.npz`; see `Checkpoint`. While it
    is written, it holds the file `.lock`. With TensorBoard, it holds `tensorboard/`; see
    `TensorBoardWriter`.

    Args:
        folder: Path of the folder.
        writes: Whether this host writes the run. Of several hosts, only the first does; on the
            others, all methods that write do nothing.
    """

    folder: Path
    writes: bool = True

    @classmethod
    def create(cls, folder: Path, writes: bool = True) -> "RunFolder":
        """Create the folder of a new run, or open that of an interrupted run.

        Raises:
            SettingsError: If the folder holds a finished run.
            LiverSegError: If the folder cannot be created.
        """
        run = cls(Path(folder), writes)
        run._check_unfinished()
        create_folder(run.folder)
        return run

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Hold the lock of the folder, so that no other process writes the run.

        Raises:
            SettingsError: If another process has just finished the run.
            LiverSegError: If another process is writing it.
        """
        if not self.writes:
            yield
            return
        with run_lock(self.folder):
            self._check_unfinished()
            yield

    def _check_unfinished(self) -> None:
        if read_finished_run(self.folder) is not None:
            raise SettingsError(
                f"Expected a new folder for the run. Received {self.folder}, which holds a "
                "finished run."
            )

    def write_record(self, network: NetworkSpec, **sections: object) -> None:
        """Write `run.json`; see `write_run_record`."""
        if self.writes:
            write_run_record(self.folder, network, keras.backend.backend(), **sections)

    def write_result(
        self, network: NetworkSpec, sections: dict[str, object], result: dict[str, object]
    ) -> None:
        """Write `run.json` with the result, which marks a finished run.

        Args:
            network: Input and output of the model.
            sections: Further sections of the record; see `write_run_record`.
            result: Result of the training. The checksum of the model is added, so that the model
                of another run is noticed.
        """
        if self.writes:
            checksum = compute_model_checksum(self.folder)
            self.write_record(network, **sections, result=result | {"checksum": checksum})

    def save_model(self, model: keras.Model) -> None:
        """Save a model as `model.keras`, in place of the previous one."""
        if self.writes:
            with replacing(self.folder / MODEL_FILE) as partial:
                model.save(partial)

    def write_log(self, log_rows: list[dict], validation_rows: list[dict]) -> None:
        """Write `log.csv`, `validation.csv` and `curves.png`.

        Args:
            log_rows: One row per epoch.
            validation_rows: One row per validation, case and region.
        """
        if not self.writes:
            return
        write_csv(self.folder / "log.csv", list(log_rows[0]), log_rows)
        if validation_rows:
            write_csv(self.folder / "validation.csv", list(validation_rows[0]), validation_rows)
        write_figure(draw_curves(log_rows), self.folder / "curves.png")
