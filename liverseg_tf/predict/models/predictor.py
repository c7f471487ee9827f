"""What every model that predicts has in common."""

from collections.abc import Sequence
from typing import Protocol

import numpy as np

from liverseg_tf.model.postprocessing import PostProcessing
from liverseg_tf.model.spec import NetworkSpec


class Predictor(Protocol):
    """Anything that gives probabilities for tiles: a run, several runs, an export, a server.

    `network` says what it takes and gives, `postprocessing` what its validation chose, and
    `fingerprint` is another text for another model. What has several opinions also has
    `passes(tiles)`, a list of probabilities, of which `probabilities` is the mean. One that
    needn't be waited for has `submit(tiles)`, which returns at once something with `result()` and
    `cancel()`: it gets a batch before it has answered the one before.
    """

    network: NetworkSpec
    postprocessing: PostProcessing
    fingerprint: str

    def probabilities(self, tiles: np.ndarray) -> np.ndarray:
        """(batch, h, w, channels) uint8 to (batch, h, w, regions) float32."""


def mean_of(passes: Sequence[np.ndarray]) -> np.ndarray:
    """The mean of several passes; one alone is that pass itself."""
    if len(passes) == 1:
        return passes[0]
    total = np.add(passes[0], passes[1], dtype=np.float32)
    for output in passes[2:]:
        total += output
    return np.divide(total, np.float32(len(passes)), out=total)
