"""Validation: Dice per case in 3D, on the tiles of whole cases."""

import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from liverseg_tf.ct.annotation import read_annotation
from liverseg_tf.ct.regions import Regions
from liverseg_tf.model.postprocessing import THRESHOLD
from liverseg_tf.model.spec import NetworkSpec
from liverseg_tf.tiles.store import TileStore
from liverseg_tf.train.data.region_slices import find_known_slices_of


@dataclass(frozen=True)
class ValidationScores:
    """The result of a validation.

    Args:
        case_dice: Dice by case and region, on the tile grid. NaN if both the ground truth and
            the prediction of the region are empty, or if the case does not label the region.
    """

    case_dice: dict[str, dict[str, float]]

    @property
    def region_dice(self) -> dict[str, float]:
        """Dice of each region, mean over the cases without NaN; NaN if there is no such case."""
        names = next(iter(self.case_dice.values()))
        return {name: _nanmean([dice[name] for dice in self.case_dice.values()]) for name in names}

    @property
    def mean_dice(self) -> float:
        """Mean over the regions without NaN; NaN if there is no such region."""
        return _nanmean(list(self.region_dice.values()))


@dataclass(frozen=True)
class Validator:
    """Scores a model on validation cases during training.

    Scores are those of the label map that `liverseg predict` would write with thresholds of 0.5
    and without post-processing. They are measured on the tile grid; `liverseg evaluate` scores
    masks on the scanner's grid.

    Args:
        store: Store with the tiles.
        case_names: Names of the validation cases.
        network: Context, regions and stride of the network.
        batch_size: Number of tiles in a batch.
        host_index: Index of this host. The hosts share the slices of each case.
        host_count: Number of hosts.

    Raises:
        LiverSegError: If a case is missing or damaged. All tiles are compared with their checksums
            once, and not again in each validation.
    """

    store: TileStore
    case_names: tuple[str, ...]
    network: NetworkSpec
    batch_size: int
    host_index: int = 0
    host_count: int = 1

    def __post_init__(self) -> None:
        for name in self.case_names:
            self.store.read(name)

    @property
    def slice_count(self) -> int:
        """Number of slices of which something is known, of all validation cases together."""
        return sum(map(len, self._known_slices.values()))

    def count_labelled(self) -> dict[str, int]:
        """Return for each region the number of validation cases that label it."""
        known = np.array(list(map(self._known_regions, self.case_names)))
        return dict(zip(self.network.regions.names, known.sum(axis=0).tolist(), strict=True))

    def score(
        self,
        predict: Callable[[np.ndarray], np.ndarray],
        subsampling: int = 1,
        sum_over_hosts: Callable[[np.ndarray], np.ndarray] = lambda counts: counts,
    ) -> ValidationScores:
        """Compute the Dice of each case and region, over the slices of which something is known.

        Args:
            predict: Function from (batch, h, w, channels) uint8 to probabilities
                (batch, h, w, regions).
            subsampling: Score every n-th of these slices only.
            sum_over_hosts: Function that adds up an array of counts over the hosts.
        """
        counts = sum_over_hosts(
            np.stack([self._count_voxels(predict, name, subsampling) for name in self.case_names])
        )
        return ValidationScores(
            {
                name: {
                    region: _dice(overlap, total) if is_known else math.nan
                    for region, overlap, total, is_known in zip(
                        self.network.regions.names,
                        *case_counts,
                        self._known_regions(name),
                        strict=True,
                    )
                }
                for name, case_counts in zip(self.case_names, counts, strict=True)
            }
        )

    def _known_regions(self, name: str) -> tuple[bool, ...]:
        """Whether each region is labelled in a case."""
        return read_annotation(self.store.cases[name]).known_regions(self.network.regions)

    @cached_property
    def _known_slices(self) -> dict[str, list[int]]:
        """Indices of the slices of which something is known, by case."""
        found = {}
        for name in self.case_names:
            case = self.store.read(name, compare=False)
            found[name] = find_known_slices_of(case, read_annotation(case.record)).tolist()
        return found

    def _count_voxels(self, predict: Callable, name: str, subsampling: int) -> np.ndarray:
        """Count (2, regions) float64 voxels: of the overlap, and of both masks in total."""
        case = self.store.read(name, compare=False)
        regions, slice_step = self.network.regions, self.network.slice_step(case.slice_mm)
        counts = np.zeros((2, len(regions)))
        rows, columns = case.mask.shape[1:]
        # The last batch is padded, so that all batches have one shape and the compiled function
        # is not traced again.
        tiles = np.zeros(
            (self.batch_size, *self.network.padded((rows, columns)), self.network.channels),
            np.uint8,
        )
        ignored = read_annotation(case.record).ignored
        known = self._known_slices[name]
        scored = known[min(subsampling // 2, len(known) - 1) :: subsampling] if known else []
        scored = scored[self.host_index :: self.host_count]
        for start in range(0, len(scored), self.batch_size):
            indices = scored[start : start + self.batch_size]
            for position, z in enumerate(indices):
                tiles[position, :rows, :columns] = self.network.stack(case.image, z, slice_step)
            probabilities = predict(tiles)[: len(indices), :rows, :columns]
            prediction = written_masks(probabilities, regions)
            labels = np.stack([case.mask[z] for z in indices])
            truth = regions.masks(labels)
            if ignored is not None:
                prediction, truth = (
                    one & (labels != ignored)[..., None] for one in (prediction, truth)
                )
            axes = (0, 1, 2)
            counts[0] += (prediction & truth).sum(axis=axes)
            counts[1] += prediction.sum(axis=axes) + truth.sum(axis=axes)
        return counts


def written_masks(probabilities: np.ndarray, regions: Regions) -> np.ndarray:
    """Compute the mask of each region as the label map has it that prediction writes.

    The label map has one label per voxel: a voxel of a nested region belongs to the outer region,
    too, and of disjoint regions the later one gets it. The masks of the channels may overlap
    otherwise.

    Args:
        probabilities: (..., regions), 0 to 1.
        regions: Regions of the channels.

    Returns:
        (..., regions) bool.
    """
    return regions.masks(regions.labels_of(probabilities > THRESHOLD))


def _dice(overlap: float, total: float) -> float:
    return 2 * float(overlap) / float(total) if total else math.nan


def _nanmean(values: list[float]) -> float:
    """Mean of the values that are not NaN; NaN if there are none."""
    known = [value for value in values if not math.isnan(value)]
    return sum(known) / len(known) if known else math.nan
