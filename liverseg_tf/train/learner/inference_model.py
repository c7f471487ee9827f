"""The network that predicts, with weights of the one that learns."""

from collections.abc import Sequence

import keras
import numpy as np

from liverseg_tf.train.learner.components import TrainingComponents


class InferenceModel:
    """Takes weights over from a learner, is validated with them, and saved.

    It has one head, Keras' own layers and no state of random draws. It is validated in the
    learner's precision, and saved in float32.

    Args:
        parts: of the learner.
    """

    def __init__(self, parts: TrainingComponents):
        self._parts = parts
        self._judged = parts.build_inference_model(parts.hardware.policy)
        same = parts.hardware.policy == "float32"
        self._saved = self._judged if same else parts.build_inference_model("float32")
        self._places = _places(parts.model)

    def take(self, weights: Sequence[np.ndarray]) -> None:
        """Take over `Learner.inference_weights`."""
        for model in {self._judged, self._saved}:
            for layer in model.layers:
                first, count = self._places.get(layer.name, (0, 0))
                layer.set_weights(weights[first : first + count])

    def probabilities(self, tiles: np.ndarray) -> np.ndarray:
        """(batch, h, w, channels) uint8 to (batch, h, w, regions) float32."""
        return np.asarray(self._judged.predict_on_batch(tiles))

    @property
    def model(self) -> keras.Model:
        """To be saved: tiles to probabilities, float32."""
        return self._saved


def _places(model: keras.Model) -> dict[str, tuple[int, int]]:
    """Layer to its first weight among the model's, and how many it has."""
    places, number = {}, 0
    for layer in model.layers:
        places[layer.name] = (number, len(layer.weights))
        number += len(layer.weights)
    return places
