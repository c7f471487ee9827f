"""Several opinions on a slice: of several models, and of mirrored tiles."""

import math
from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from liverseg_tf.errors import SettingsError
from liverseg_tf.model.spec import NetworkSpec
from liverseg_tf.predict.models.predictor import Predictor, mean_of


def joint_network(networks: Sequence[NetworkSpec]) -> NetworkSpec:
    """What several models take and give together.

    Args:
        networks: at least one.

    Raises:
        SettingsError: when they take other tiles or context, or find other regions.
    """
    first = networks[0]
    for number, other in enumerate(networks[1:], 2):
        for what in ("tiles", "regions", "context"):
            if getattr(other, what) != getattr(first, what):
                raise SettingsError(
                    f"Expected models with the same {what}. Received {getattr(first, what)} "
                    f"for the first and {getattr(other, what)} for number {number}."
                )
    return replace(first, stride=math.lcm(*(network.stride for network in networks)))


class Ensemble:
    """The mean of several models' probabilities.

    Of their post-processing, the steps are taken that all of them chose.

    Args:
        predictors: at least one; they take the same tiles and find the same regions.

    Raises:
        SettingsError: when they don't.
    """

    def __init__(self, predictors: Sequence[Predictor]):
        self.network = joint_network([predictor.network for predictor in predictors])
        self.postprocessing = predictors[0].postprocessing
        for predictor in predictors[1:]:
            self.postprocessing = self.postprocessing.shared_with(predictor.postprocessing)
        self.fingerprint = "+".join(predictor.fingerprint for predictor in predictors)
        self._predictors = predictors

    def passes(self, tiles: np.ndarray) -> list[np.ndarray]:
        """What each model finds, (batch, h, w, regions) float32."""
        return [predictor.probabilities(tiles) for predictor in self._predictors]

    def probabilities(self, tiles: np.ndarray) -> np.ndarray:
        """Mean over the models, (batch, h, w, regions) float32."""
        return mean_of(self.passes(tiles))


class Mirrored:
    """The mean over tiles and tiles mirrored left to right: test-time augmentation.

    Only for models that have learnt from mirrored tiles: others take a mirrored liver for
    something else.

    Args:
        predictor: that looks at both.
    """

    def __init__(self, predictor: Predictor):
        self.network = predictor.network
        self.postprocessing = predictor.postprocessing
        self.fingerprint = f"{predictor.fingerprint} mirrored"
        self._predictor = predictor

    def passes(self, tiles: np.ndarray) -> list[np.ndarray]:
        """What is found in the tiles, and in their mirror images, mirrored back."""
        mirrored = self._predictor.probabilities(np.ascontiguousarray(tiles[:, :, ::-1]))
        return [self._predictor.probabilities(tiles), mirrored[:, :, ::-1]]

    def probabilities(self, tiles: np.ndarray) -> np.ndarray:
        """Mean over both, (batch, h, w, regions) float32."""
        return mean_of(self.passes(tiles))
