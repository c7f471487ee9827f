"""The network for inference, with the weights of the network that is being trained."""

from collections.abc import Sequence

import keras
import numpy as np

from liverseg_tf.train.learner.components import TrainingComponents


class InferenceModel:
    """The model that is validated and saved.

    It has a single output, without auxiliary regions, Keras' own layers only, and no state of
    random generators. It is validated in the precision of the learner, and saved in float32.

    Args:
        components: Components of the learner.
    """

    def __init__(self, components: TrainingComponents):
        policy = components.hardware.policy
        built = components.build_inference_model(policy)
        self._validated = components.convert(built)
        self._saved = built if policy == "float32" else components.build_inference_model("float32")
        self._weight_ranges = _weight_ranges(components.model)

    def set_weights(self, weights: Sequence[np.ndarray]) -> None:
        """Take over the result of `Learner.inference_weights`."""
        for model in {self._validated, self._saved}:
            for layer in model.layers:
                first, count = self._weight_ranges.get(layer.name, (0, 0))
                new = weights[first : first + count]
                if layer.name == "logits":  # the auxiliary regions come last
                    shapes = [weight.shape for weight in layer.weights]
                    new = [w[tuple(map(slice, s))] for w, s in zip(new, shapes, strict=True)]
                layer.set_weights(new)

    def probabilities(self, tiles: np.ndarray) -> np.ndarray:
        """Predict (batch, h, w, regions) float32 from (batch, h, w, channels) uint8."""
        return np.asarray(self._validated.predict_on_batch(tiles))

    @property
    def model(self) -> keras.Model:
        """Float32 model from tiles to probabilities, for saving."""
        return self._saved


def _weight_ranges(model: keras.Model) -> dict[str, tuple[int, int]]:
    """For each layer, the index of its first weight in `model.weights` and their number."""
    ranges, first = {}, 0
    for layer in model.layers:
        ranges[layer.name] = (first, len(layer.weights))
        first += len(layer.weights)
    return ranges
