"""Confidence of a prediction in its own masks, which a single pass is enough for."""

from collections.abc import Sequence

import numpy as np

from liverseg_tf.model.postprocessing import THRESHOLD

_SMALLEST = 0.01  # lower probabilities, in the whole of a large image, say nothing about a region


class PassConfidence:
    """Soft Dice of the probabilities with their own masks, accumulated slab by slab.

    For a pass with the probabilities p and the mask m = (p > threshold), it is
    2 sum(p m) / (sum(p) + sum(m)), where sum(p) leaves out probabilities below 0.01. If the
    probabilities were calibrated and the voxels independent, this would be about the Dice that can
    be expected. Of several passes, it is the mean over the passes: thus it means the same for one
    model, for a mirrored one and for an ensemble.

    Args:
        regions: Names of the regions, in the order of the last axis of the probabilities.
        thresholds: Probability above which a voxel belongs to each region. An empty sequence sets
            0.5 for all regions.

    Example:
        >>> confidence = PassConfidence(("liver",))
        >>> confidence.update([np.full((1, 1, 4, 1), 0.75, np.float32)])
        >>> confidence.result()  # 2 * 3 / (3 + 4)
        {'liver': 0.8571428571428571}
    """

    def __init__(self, regions: tuple[str, ...], thresholds: Sequence[float] = ()):
        self.regions = tuple(regions)
        self._thresholds = np.array(thresholds or (THRESHOLD,) * len(self.regions), np.float32)
        # (regions, passes, 3): sums of the probabilities in the mask, of all, and of the mask
        self._sums = np.zeros((len(self.regions), 1, 3))

    def update(self, passes: Sequence[np.ndarray] | np.ndarray) -> None:
        """Add a slab.

        Args:
            passes: Probabilities of each pass, (z, row, col, regions) float32. The number of passes
                must not change between calls.
        """
        sums = np.zeros((len(self.regions), len(passes), 3))
        for number, values in enumerate(passes):
            for region, threshold in enumerate(self._thresholds):
                plane = values[..., region]
                likely = plane[plane > min(_SMALLEST, threshold)]
                inside = likely[likely > threshold]
                total = likely.sum(dtype=np.float64)
                sums[region, number] = inside.sum(dtype=np.float64), total, inside.size
        self._sums = self._sums + sums

    def result(self) -> dict[str, float | None]:
        """Return the confidence in the mask of each region.

        Returns:
            0 to 1, by region. None if no pass found the region.
        """
        return {
            name: _mean_soft_dice(sums) for name, sums in zip(self.regions, self._sums, strict=True)
        }


def _mean_soft_dice(sums: np.ndarray) -> float | None:
    """Return the mean over the passes; a pass without a mask counts as 0.

    Args:
        sums: (passes, 3): sums of the probabilities in the mask, of all, and of the mask.
    """
    inside, total, size = sums.T
    if not size.any():
        return None
    return float(np.mean(2 * inside / np.maximum(total + size, 1e-12)))
