"""The run directory: everything that is needed to predict, and to know what was done."""

import csv
import math
import platform
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path

import keras
from matplotlib.figure import Figure

from liverseg_tf.atomic import replacing, write_json
from liverseg_tf.errors import LiverSegError, SettingsError
from liverseg_tf.tiles.network import NetworkSpec

FORMAT = 1
PACKAGES = ("liverseg_tf", "tensorflow", "keras", "numpy")


@dataclass(frozen=True)
class Run:
    """A folder with `model.keras` (best weights), `run.json`, `log.csv` and `curves.png`."""

    folder: Path

    @classmethod
    def create(cls, folder: Path) -> "Run":
        """A new run.

        Raises:
            SettingsError: when the folder holds a run already.
            LiverSegError: when it can't be made.
        """
        if (Path(folder) / "run.json").exists():
            raise SettingsError(
                f"Expected a new folder for the run. Received {folder}, which holds one."
            )
        try:
            Path(folder).mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise LiverSegError(
                f"Expected to make the folder {folder}. Received: {error.strerror}."
            ) from error
        return cls(Path(folder))

    def write_record(self, network: NetworkSpec, **parts: dict) -> None:
        """Write `run.json`: how to use the model, and how it was made."""
        record = {
            "format": FORMAT,
            "network": network.to_json(),
            **parts,
            "versions": {name: version(name) for name in PACKAGES}
            | {"python": platform.python_version(), "backend": keras.backend.backend()},
        }
        write_json(self.folder / "run.json", record)

    def save_model(self, model: keras.Model) -> None:
        """Keep a model, in place of the one before."""
        with replacing(self.folder / "model.keras") as partial:
            model.save(partial)

    def write_log(self, rows: list[dict]) -> None:
        """Write `log.csv` and `curves.png` from one row an epoch."""
        with replacing(self.folder / "log.csv") as partial, open(partial, "w", newline="") as file:
            writer = csv.DictWriter(file, list(rows[0]))
            writer.writeheader()
            writer.writerows(rows)
        with replacing(self.folder / "curves.png") as partial:
            _draw_curves(rows).savefig(partial, dpi=110)


def _draw_curves(rows: list[dict]) -> Figure:
    """Loss and learning rate to the left, validation Dice to the right."""
    figure = Figure(figsize=(10, 4), layout="constrained")
    left, right = figure.subplots(1, 2)
    epochs = [row["epoch"] for row in rows]
    left.plot(epochs, [row["loss"] for row in rows], color="tab:blue", marker=".", label="loss")
    left.set(xlabel="epoch", ylabel="training loss (Dice + cross-entropy)", title="Training")
    rates = left.twinx()
    rates.plot(epochs, [row["learning_rate"] for row in rows], color="0.7")
    rates.set_ylabel("learning rate", color="0.5")
    for name in [name for name in rows[0] if name.startswith("dice_")]:
        points = [(row["epoch"], row[name]) for row in rows if not math.isnan(row[name])]
        if points:
            label = f"{name.removeprefix('dice_')}: best {max(dice for _, dice in points):.3f}"
            right.plot(*zip(*points, strict=True), marker=".", label=label)
    right.set(xlabel="epoch", ylabel="Dice per case, 3D", title="Validation", ylim=(0, 1))
    right.grid(alpha=0.3)
    if right.lines:
        right.legend(loc="lower right")
    return figure
