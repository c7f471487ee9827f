"""A SavedModel as `liverseg export` writes it, loaded to predict."""

from pathlib import Path

import numpy as np

from liverseg_tf.errors import LiverSegError
from liverseg_tf.model.export_record import ExportRecord


class SavedModelPredictor:
    """A SavedModel, ready for batches of tiles; loading it imports TensorFlow.

    Args:
        path: of one version, or of the folder of versions, of which the highest is taken.

    Raises:
        LiverSegError: when it can't be loaded, or is not what its record says.
    """

    def __init__(self, path: Path):
        import tensorflow as tf

        record = ExportRecord.read(path)
        self.network, self.postprocessing = record.network, record.postprocessing
        self.fingerprint = record.fingerprint
        try:
            self._loaded = tf.saved_model.load(record.path)  # keeps the variables alive
            self._call = self._loaded.signatures["serving_default"]
        except Exception as error:  # what a broken file makes TensorFlow raise has no end
            lines = str(error).strip().splitlines() or [type(error).__name__]
            raise LiverSegError(
                f"Expected a SavedModel at {record.path}. Received: {lines[0]}"
            ) from error
        check_channels(
            self._call.structured_input_signature[1]["tiles"].shape[-1],
            self._call.structured_outputs["probabilities"].shape[-1],
            record,
        )

    def probabilities(self, tiles: np.ndarray) -> np.ndarray:
        """(batch, h, w, channels) uint8 to (batch, h, w, regions) float32."""
        import tensorflow as tf

        return self._call(tiles=tf.constant(tiles, tf.float32))["probabilities"].numpy()


def check_channels(channels: int, regions: int, record: ExportRecord) -> None:
    """Raise a `LiverSegError` where a model's channels are not those of its record."""
    network = record.network
    if (channels, regions) != (network.channels, len(network.regions)):
        raise LiverSegError(
            f"Expected a model of {network.channels} input channels and {len(network.regions)} "
            f"regions at {record.path}. Received {(channels, regions)}."
        )
