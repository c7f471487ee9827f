"""A trained run, loaded to predict."""

import zipfile
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from liverseg_tf.atomic import read_json
from liverseg_tf.errors import LiverSegError
from liverseg_tf.tiles.network import NetworkSpec

FORMAT = 1


@dataclass(frozen=True)
class RunRecord:
    """What `run.json` says about a run.

    Args:
        network: what the model takes and gives.
        split: names of the cases it was trained, validated and not seen on.
    """

    network: NetworkSpec
    split: dict[str, list[str]]

    @classmethod
    def read(cls, folder: Path) -> "RunRecord":
        """Read it.

        Raises:
            LiverSegError: when the folder holds no run, or one of another format.
        """
        path = Path(folder) / "run.json"
        if not path.is_file():
            raise LiverSegError(
                f"Expected a run (with run.json and model.keras) at {folder}. Received "
                f"{'a folder without one' if Path(folder).is_dir() else 'no such folder'}."
            )
        value = read_json(path)
        if value.get("format") != FORMAT:
            raise LiverSegError(
                f"Expected a run of format {FORMAT} at {folder}. "
                f"Received format {value.get('format')!r}."
            )
        try:
            return cls(NetworkSpec.from_json(value["network"]), value["store"]["split"])
        except (KeyError, TypeError) as error:
            raise LiverSegError(f"Expected {error} in {path}. Received none.") from error


class RunPredictor:
    """A run's model, ready for batches of tiles; loading it imports Keras.

    Args:
        folder: of the run.

    Raises:
        LiverSegError: when the run is incomplete, its model can't be read safely, or the
            model's channels are not those of its record.
    """

    def __init__(self, folder: Path):
        self.network = RunRecord.read(folder).network
        self._model = _load_model(Path(folder) / "model.keras")
        channels = (self._model.input_shape[-1], self._model.output_shape[-1])
        if channels != (self.network.channels, len(self.network.regions)):
            raise LiverSegError(
                f"Expected a model of {self.network.channels} input channels and "
                f"{len(self.network.regions)} regions in {folder}. Received {channels}."
            )

    def probabilities(self, tiles: np.ndarray) -> np.ndarray:
        """Probabilities of a batch, through one compiled function for each shape.

        Args:
            tiles: (batch, h, w, channels) uint8; h and w are multiples of the stride.

        Returns:
            (batch, h, w, regions) float32.
        """
        return np.asarray(self._model.predict_on_batch(tiles))


def _load_model(path: Path):
    import keras

    try:
        return keras.saving.load_model(path, compile=False, safe_mode=True)
    except (OSError, ValueError, TypeError, KeyError, zipfile.BadZipFile) as error:
        reason = str(error).strip().splitlines()[0] if path.exists() else "no such file"
        raise LiverSegError(f"Expected a Keras model at {path}. Received: {reason}") from error
