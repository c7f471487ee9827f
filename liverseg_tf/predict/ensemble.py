"""Several opinions on a slice: of several models, and of mirrored tiles."""

import math
from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from liverseg_tf.errors import SettingsError
from liverseg_tf.predict.volume import Predictor
from liverseg_tf.tiles.network import NetworkSpec

# axes of (batch, h, w, channels) that are mirrored, one entry a look
MIRRORS = {
    "none": ((),),
    "left-right": ((), (2,)),
    "all": ((), (2,), (1,), (1, 2)),
}


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

    def probabilities(self, tiles: np.ndarray) -> np.ndarray:
        """Mean over the models, (batch, h, w, regions) float32."""
        return _mean(p.probabilities(tiles) for p in self._predictors)


class Mirrored:
    """The mean over mirrored tiles, each mirrored back: test-time augmentation.

    Args:
        predictor: that looks at each of them.
        mirror: 'none', 'left-right' (two looks) or 'all' (four: rows, columns, both).

    Raises:
        SettingsError: on another name.
    """

    def __init__(self, predictor: Predictor, mirror: str):
        if mirror not in MIRRORS:
            raise SettingsError(f"Expected a mirror of {', '.join(MIRRORS)}. Received {mirror!r}.")
        self.network = predictor.network
        self.postprocessing = predictor.postprocessing
        self.fingerprint = f"{predictor.fingerprint} mirrored {mirror}"
        self._predictor = predictor
        self._looks = MIRRORS[mirror]

    def probabilities(self, tiles: np.ndarray) -> np.ndarray:
        """Mean over the looks, (batch, h, w, regions) float32."""
        return _mean(
            np.flip(self._predictor.probabilities(np.flip(tiles, axes)), axes)
            for axes in self._looks
        )


def _mean(outputs) -> np.ndarray:
    total, count = None, 0
    for output in outputs:
        total = np.array(output, np.float32) if total is None else np.add(total, output, out=total)
        count += 1
    return total if count == 1 else np.divide(total, np.float32(count), out=total)
