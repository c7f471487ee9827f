"""The run directory: everything that is needed to predict, and to know what was done."""

import csv
import platform
from collections.abc import Iterable
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import keras

from liverseg_tf.atomic import read_json, replacing, write_json
from liverseg_tf.errors import LiverSegError, SettingsError
from liverseg_tf.tiles.network import NetworkSpec
from liverseg_tf.train.curves import draw_curves
from liverseg_tf.train.picture import write_picture

FORMAT = 1
PACKAGES = ("liverseg_tf", "tensorflow", "keras", "jax", "numpy")


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
        if (folder / "run.json").exists() and "result" in read_json(folder / "run.json"):
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

    def write_record(self, network: NetworkSpec, **parts: dict) -> None:
        """Write `run.json`: how to use the model, and how it was made."""
        record = {
            "format": FORMAT,
            "network": network.to_json(),
            **parts,
            "versions": dict(_installed(PACKAGES))
            | {"python": platform.python_version(), "backend": keras.backend.backend()},
        }
        if self.writes:
            write_json(self.folder / "run.json", record)

    def save_model(self, model: keras.Model) -> None:
        """Keep a model, in place of the one before."""
        if self.writes:
            with replacing(self.folder / "model.keras") as partial:
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


def _installed(packages: Iterable[str]) -> Iterable[tuple[str, str]]:
    for name in packages:
        try:
            yield name, version(name)
        except PackageNotFoundError:
            continue
