"""What was found in a volume: a mask for each region, on the scanner's own grid."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from liverseg_tf.ct.orientation import Orientation
from liverseg_tf.ct.regions import Regions
from liverseg_tf.ct.volume import Volume
from liverseg_tf.errors import LiverSegError

MOST_REGIONS = 16
_SLAB = 16


@dataclass(frozen=True, eq=False)
class RegionMasks:
    """The regions' masks, one bit each, which a label map can't keep where they overlap.

    Args:
        bits: (z, row, col) uint8 (uint16 beyond 8 regions) in the order of the image's file;
            bit r of a voxel is the mask of region r.
        regions: what the bits mean.
        grid: the image's affine and header; its array is not the image.
        probabilities: (regions, z, row, col) uint8 in the file's order, 255 is 1; None unless
            they were asked for.
        quality: of each region, how far the passes agreed that were made; None for one pass.
    """

    bits: np.ndarray
    regions: Regions
    grid: Volume
    probabilities: np.ndarray | None = None
    agreement: dict[str, float | None] | None = None

    @classmethod
    def empty(
        cls, image: Volume, regions: Regions, probabilities: np.ndarray | None = None
    ) -> "RegionMasks":
        """Nothing yet.

        Args:
            image: whose grid it is.
            regions: at most 16.
            probabilities: zeros of (regions, z, row, col) uint8, to be filled.
        """
        if len(regions) > MOST_REGIONS:
            raise LiverSegError(
                f"Expected at most {MOST_REGIONS} regions. Received {len(regions)}."
            )
        bits = np.zeros(image.array.shape, np.uint8 if len(regions) <= 8 else np.uint16)
        # the voxels of the image are not kept alive by its masks
        grid = Volume(np.broadcast_to(np.uint8(0), image.array.shape), image.affine, image.header)
        return cls(bits, regions, grid, probabilities)

    @property
    def canonical_bits(self) -> np.ndarray:
        """A view of `bits` in canonical order, to be read and written."""
        return Orientation.of(self.grid.affine).to_canonical(self.bits)

    def canonical_probabilities(self, region: int) -> np.ndarray:
        """A view of one region's probabilities in canonical order."""
        return Orientation.of(self.grid.affine).to_canonical(self.probabilities[region])

    def label_slabs(self) -> Iterator[np.ndarray]:
        """Labels (z, row, col) uint8 in the file's order, some slices at a time."""
        table = _labels_of_bits(self.regions)
        for start in range(0, len(self.bits), _SLAB):
            yield table[self.bits[start : start + _SLAB]]

    def labels(self) -> Volume:
        """The label map; where regions overlap, the later one is written."""
        array = np.empty(self.bits.shape, np.uint8)
        for start, slab in zip(range(0, len(array), _SLAB), self.label_slabs(), strict=True):
            array[start : start + _SLAB] = slab
        return self.grid.with_array(array)


def bits_of(labels: np.ndarray, regions: Regions) -> np.ndarray:
    """The bits of a label map: each region's mask.

    Args:
        labels: (z, row, col) uint8.
        regions: what the labels mean.
    """
    table = np.zeros(256, np.uint8 if len(regions) <= 8 else np.uint16)
    for region, (_, of) in enumerate(regions.items):
        table[list(of)] |= table.dtype.type(1 << region)
    return table[labels]


def _labels_of_bits(regions: Regions) -> np.ndarray:
    """(2 ** regions,) uint8: the label of each set of bits."""
    table = np.zeros(1 << len(regions), np.uint8)
    sets = np.arange(len(table))
    for region, label in enumerate(regions.written_labels):
        table[(sets >> region) & 1 == 1] = label
    return table
