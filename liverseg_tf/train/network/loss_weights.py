"""How much the regions and the voxels of a batch count in a loss."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from keras import ops


def sum_over_one_replica(sums):
    """Return the sums unchanged: a single replica already has the sums over the whole batch."""
    return sums


@dataclass(frozen=True, eq=False)
class LossWeights:
    """Weights of the regions and voxels of a batch.

    Args:
        regions: (regions,) float32 weight of each region in the mean over the regions. None gives
            all of them the same weight.
        labelled: (batch, h, w, regions) float32: 1 where the ground truth of a region is known, 0
            where it is not, or a fraction. None if it is known everywhere. A region that is
            known nowhere in the batch is left out of the mean over the regions.
        sum_over_replicas: Function that adds up an array over the replicas that share the batch.
    """

    regions: Any = None
    labelled: Any = None
    sum_over_replicas: Callable = sum_over_one_replica

    @property
    def are_equal(self) -> bool:
        """Whether all regions and all voxels count the same."""
        return self.regions is None and self.labelled is None

    def by_region(self) -> "LossWeights":
        """Return the same weights with `labelled` as (regions, voxels)."""
        if self.labelled is None:
            return self
        labelled = ops.transpose(ops.reshape(self.labelled, (-1, self.labelled.shape[-1])))
        return LossWeights(self.regions, labelled, self.sum_over_replicas)

    def of_known(self, values):
        """Return values (regions, voxels) multiplied by the weights of their voxels."""
        return values if self.labelled is None else values * self.labelled

    def sums(self, *values):
        """Sum arrays (regions, voxels) over the known voxels of all replicas, each to (regions,).

        They are added up over the replicas in one exchange.
        """
        sums = ops.stack([ops.sum(self.of_known(one), axis=1) for one in values])
        sums = self.sum_over_replicas(sums)
        return tuple(sums[number] for number in range(len(values)))

    def mean_over_voxels(self, values):
        """Average (regions, voxels) over the known voxels, to (regions,); 0 if there are none."""
        if self.labelled is None:
            return ops.mean(values, axis=1)
        total, known = self.sums(values, ops.ones_like(values))
        return total / at_least_one_voxel(known)

    def mean_over_regions(self, values):
        """Average (regions,) over the regions that are known somewhere; 0 if there are none."""
        if self.are_equal:
            return ops.mean(values)
        weights = ops.ones_like(values)
        if self.regions is not None:
            weights = ops.convert_to_tensor(self.regions, values.dtype)
        if self.labelled is not None:
            (known,) = self.sums(ops.ones_like(self.labelled))
            weights = ops.where(known > 0, weights, 0.0)
        total = ops.sum(weights)
        return ops.sum(weights * values) / ops.where(total > 0, total, 1.0)


def at_least_one_voxel(count):
    """Return counts of voxels as divisors: 1 instead of 0."""
    return ops.where(count > 0, count, 1.0)
