"""Predictor for the SavedModels that `liverseg export` writes."""

from pathlib import Path

import numpy as np

from liverseg_tf.predict.models.exported_model import ExportedModel


class SavedModelPredictor(ExportedModel):
    """A SavedModel. Loading it imports TensorFlow."""

    file_format = "a SavedModel"

    def _load(self, path: Path) -> tuple[int, int]:
        import tensorflow as tf

        self._model = tf.saved_model.load(path)  # this reference keeps the variables alive
        self._signature = self._model.signatures["serving_default"]
        tiles = self._signature.structured_input_signature[1]["tiles"]
        probabilities = self._signature.structured_outputs["probabilities"]
        return tiles.shape[-1], probabilities.shape[-1]

    def probabilities(self, tiles: np.ndarray) -> np.ndarray:
        import tensorflow as tf

        return self._signature(tiles=tf.constant(tiles, tf.float32))["probabilities"].numpy()
