"""How far a prediction can be trusted, from how far its mirrored passes agree."""

import numpy as np

from liverseg_tf.model.postprocessing import THRESHOLD


class PassAgreement:
    """Counts of what several passes over the same slices found, gathered slab by slab.

    Only a few numbers a region are held, whatever the volume's size.

    Args:
        regions: names, in the order of the probabilities' last axis.

    Example:
        >>> disagreement = PassAgreement(("liver",))
        >>> passes = np.zeros((2, 1, 4, 4, 1), np.float32)
        >>> passes[0, :, :2], passes[1, :, :3] = 0.9, 0.9
        >>> disagreement.add(passes)
        >>> disagreement.agreement()  # two rows of the one, three of the other: 2 * 2 / (2 + 3)
        {'liver': 0.8}
    """

    def __init__(self, regions: tuple[str, ...]):
        self.regions = tuple(regions)
        self._shared: np.ndarray | int = 0
        self._passes = 0

    def add(self, passes: np.ndarray) -> None:
        """Count a slab.

        Args:
            passes: (passes, z, row, col, regions) float32, probabilities of each pass, turned
                back to one orientation; the same number of passes each time.
        """
        masks = (passes > THRESHOLD).reshape(len(passes), -1, len(self.regions))
        found = masks.any(axis=0)
        shared = np.zeros((len(self.regions), len(passes), len(passes)))
        for region in range(len(self.regions)):
            # float32 counts whole voxels exactly up to 2**24, more than a slab has
            voxels = masks[:, found[:, region], region].astype(np.float32)
            shared[region] = voxels @ voxels.T
        self._shared = self._shared + shared
        self._passes = len(passes)

    def agreement(self) -> dict[str, float | None]:
        """The mean Dice of each two passes' masks, by region: 1 where all are alike.

        It tells how stable a mask is, which goes with how right it is and is no estimate of
        Dice: passes that agree can be wrong together. None where no two passes could be
        compared: there was one pass alone, or none found a voxel of the region.
        """
        if self._passes < 2:
            return dict.fromkeys(self.regions)
        return {
            name: _mean_dice(shared)
            for name, shared in zip(self.regions, self._shared, strict=True)
        }


def _mean_dice(shared: np.ndarray) -> float | None:
    """(passes, passes) voxels that each two have in common; a pair of empty masks has no Dice."""
    sizes = np.diag(shared)
    one, other = np.triu_indices(len(shared), 1)
    both = sizes[one] + sizes[other]
    if not both.any():
        return None
    dice = 2 * shared[one, other][both > 0] / both[both > 0]
    return float(dice.mean())
