"""Agreement between several predictions of one volume, such as mirrored passes."""

from collections.abc import Sequence

import numpy as np

from liverseg_tf.model.postprocessing import THRESHOLD


class PassAgreement:
    """Agreement between several passes over a volume, accumulated slab by slab.

    The memory that it needs does not depend on the size of the volume.

    Args:
        regions: Names of the regions, in the order of the last axis of the probabilities.
        thresholds: Probability above which a voxel belongs to each region, as in the masks that
            are written. An empty sequence sets 0.5 for all regions.

    Example:
        >>> agreement = PassAgreement(("liver",))
        >>> passes = np.zeros((2, 1, 4, 4, 1), np.float32)
        >>> passes[0, :, :2], passes[1, :, :3] = 0.9, 0.9
        >>> agreement.update(passes)
        >>> agreement.result()  # Dice of a mask of two rows and one of three: 2 * 2 / (2 + 3)
        {'liver': 0.8}
    """

    def __init__(self, regions: tuple[str, ...], thresholds: Sequence[float] = ()):
        self.regions = tuple(regions)
        self._thresholds = np.array(thresholds or (THRESHOLD,) * len(self.regions), np.float32)
        self._intersections = np.zeros((len(self.regions), 1, 1))
        self._passes = 0

    def update(self, passes: np.ndarray) -> None:
        """Add a slab.

        Args:
            passes: (passes, z, row, col, regions) float32: the probabilities of each pass, all in
                the same orientation. The number of passes must not change between calls.
        """
        masks = (passes > self._thresholds).reshape(len(passes), -1, len(self.regions))
        union = np.logical_or.reduce(masks, axis=0)
        intersections = np.zeros((len(self.regions), len(passes), len(passes)))
        for region in range(len(self.regions)):
            # float32 counts voxels exactly up to 2**24, more than a slab has
            voxels = masks[:, union[:, region], region].astype(np.float32)
            intersections[region] = voxels @ voxels.T
        self._intersections = self._intersections + intersections
        self._passes = len(passes)

    def result(self) -> dict[str, float | None]:
        """Return the mean Dice over all pairs of passes for each region.

        A high agreement shows that a mask is stable. This correlates with its accuracy, but is no
        estimate of the Dice with the ground truth: all passes may make the same error.

        Returns:
            Mean Dice, 0 to 1, by region. None if there was only one pass, or if no pass found the
            region.
        """
        if self._passes < 2:
            return dict.fromkeys(self.regions)
        return {
            name: _mean_dice(intersections)
            for name, intersections in zip(self.regions, self._intersections, strict=True)
        }


def _mean_dice(intersections: np.ndarray) -> float | None:
    """Return the mean Dice over all pairs of passes; pairs of empty masks are left out.

    Args:
        intersections: (passes, passes): number of voxels that both masks of a pair contain.
    """
    sizes = np.diag(intersections)
    first, second = np.triu_indices(len(intersections), 1)
    total = sizes[first] + sizes[second]
    if not total.any():
        return None
    dice = 2 * intersections[first, second][total > 0] / total[total > 0]
    return float(dice.mean())
