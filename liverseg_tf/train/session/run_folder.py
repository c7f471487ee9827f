"""The run directory: everything that is needed to predict, and to know what was done."""

import csv
from dataclasses import dataclass
from pathlib import Path

import keras

from liverseg_tf.atomic import replacing
from liverseg_tf.errors import LiverSegError, SettingsError
from liverseg_tf.model.run_record import MODEL_FILE, read_finished_run, write_run_record
from liverseg_tf.model.spec import NetworkSpec
from liverseg_tf.train.preview.curves import draw_curves
from liverseg_tf.train.preview.figure_file import write_picture


@dataclass(frozen=True)
class Run:
    """A folder with `model.keras` (best weights), `run.json`, the logs and `curves.png`.

    Args:
        folder: of the run.
        writes: False on hosts that take part in a run that another one writes.
    """

    folder: Path
    writes: bool = True

    @classmethod
    def create(cls, folder: Path, writes: bool = True) -> "Run":
        """A new run, or one that was interrupted.

        Raises:
            SettingsError: when the folder holds a run that has ended.
            LiverSegError: when it can't be made.
        """
        folder = Path(folder)
        if read_finished_run(folder) is not None:
            raise SettingsError(
                f"Expected a new folder for the run. Received {folder}, which holds one."
            )
        try:
            folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise LiverSegError(
                f"Expected to make the folder {folder}. Received: {error.strerror}."
            ) from error
        return cls(folder, writes)

    def write_record(self, network: NetworkSpec, **sections: object) -> None:
        """Write `run.json`; see `write_run_record`."""
        if self.writes:
            write_run_record(self.folder, network, keras.backend.backend(), **sections)

    def save_model(self, model: keras.Model) -> None:
        """Keep a model, in place of the one before."""
        if self.writes:
            with replacing(self.folder / MODEL_FILE) as partial:
                model.save(partial)

    def write_log(self, rows: list[dict], cases: list[dict]) -> None:
        """Write `log.csv` (a row an epoch), `validation.csv` (a row a case) and `curves.png`."""
        if not self.writes:
            return
        self._write_table("log.csv", rows)
        if cases:
            self._write_table("validation.csv", cases)
        write_picture(draw_curves(rows), self.folder / "curves.png")

    def _write_table(self, name: str, rows: list[dict]) -> None:
        with replacing(self.folder / name) as partial, open(partial, "w", newline="") as file:
            writer = csv.DictWriter(file, list(rows[0]))
            writer.writeheader()
            writer.writerows(rows)
