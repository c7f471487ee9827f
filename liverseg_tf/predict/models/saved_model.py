"""Predictor for the SavedModels that `liverseg export` writes."""

from pathlib import Path

import numpy as np

from liverseg_tf.predict.models.exported_model import ExportedModel
from liverseg_tf.predict.models.saved_model_check import check_saved_model


class SavedModelPredictor(ExportedModel):
    """A SavedModel. Loading it imports TensorFlow.

    A SavedModel is a program, which could read and write files: all of its operations are checked
    before it is loaded.
    """

    file_format = "a SavedModel"

    def _load(self, path: Path) -> tuple[int, int]:
        import tensorflow as tf

        check_saved_model(path)
        self._model = tf.saved_model.load(path)  # this reference keeps the variables alive
        self._signature = self._model.signatures["serving_default"]
        tiles = self._signature.structured_input_signature[1]["tiles"]
        probabilities = self._signature.structured_outputs["probabilities"]
        return tiles.shape[-1], probabilities.shape[-1]

    def _compute(self, tiles: np.ndarray) -> np.ndarray:
        import tensorflow as tf

        return self._signature(tiles=tf.constant(tiles, tf.float32))["probabilities"].numpy()
