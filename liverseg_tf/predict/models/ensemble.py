"""Averages over several predictions of a slice: model ensembles and test-time augmentation."""

import math
from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from liverseg_tf.errors import SettingsError
from liverseg_tf.model.spec import NetworkSpec
from liverseg_tf.predict.models.predictor import Predictor, average_passes


def combine_networks(networks: Sequence[NetworkSpec]) -> NetworkSpec:
    """Return the common input and output of several networks.

    Its stride is the least common multiple of theirs.

    Args:
        networks: At least one specification.

    Raises:
        SettingsError: If the tiles, the context or the regions differ.
    """
    first = networks[0]
    for number, other in enumerate(networks[1:], 2):
        for name in ("tiles", "regions", "context"):
            if getattr(other, name) != getattr(first, name):
                raise SettingsError(
                    f"Expected models with the same {name}. "
                    f"Received {getattr(first, name)} for model 1 "
                    f"and {getattr(other, name)} for model {number}."
                )
    return replace(first, stride=math.lcm(*(network.stride for network in networks)))


class Ensemble:
    """The mean of the probabilities of several models.

    Its post-processing consists of the steps that are the same for all models.

    Args:
        predictors: At least one predictor; all have the same tiles, context and regions.

    Raises:
        SettingsError: If the tiles, the context or the regions differ.
    """

    def __init__(self, predictors: Sequence[Predictor]):
        self.network = combine_networks([predictor.network for predictor in predictors])
        self.postprocessing = predictors[0].postprocessing
        for predictor in predictors[1:]:
            self.postprocessing = self.postprocessing.common_steps(predictor.postprocessing)
        self.fingerprint = "+".join(predictor.fingerprint for predictor in predictors)
        self._predictors = predictors

    def passes(self, tiles: np.ndarray) -> list[np.ndarray]:
        """Return the probabilities of each model, (batch, h, w, regions) float32."""
        return [predictor.probabilities(tiles) for predictor in self._predictors]

    def probabilities(self, tiles: np.ndarray) -> np.ndarray:
        """Return the mean over the models, (batch, h, w, regions) float32."""
        return average_passes(self.passes(tiles))


class MirroredPredictor:
    """The mean over the tiles and the tiles mirrored left to right (test-time augmentation).

    It is only valid for models that were trained on mirrored tiles. Other models may take a
    mirrored organ for a different one.

    Args:
        predictor: Model that predicts both.
    """

    def __init__(self, predictor: Predictor):
        self.network = predictor.network
        self.postprocessing = predictor.postprocessing
        self.fingerprint = f"{predictor.fingerprint} mirrored"
        self._predictor = predictor

    def passes(self, tiles: np.ndarray) -> list[np.ndarray]:
        """Return the probabilities of the tiles and of the mirrored tiles, mirrored back."""
        mirrored = self._predictor.probabilities(np.ascontiguousarray(tiles[:, :, ::-1]))
        return [self._predictor.probabilities(tiles), mirrored[:, :, ::-1]]

    def probabilities(self, tiles: np.ndarray) -> np.ndarray:
        """Return the mean over both passes, (batch, h, w, regions) float32."""
        return average_passes(self.passes(tiles))
