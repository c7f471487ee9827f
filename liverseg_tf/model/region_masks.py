"""The predicted masks of a volume: one mask per region, on the grid of the input file."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from liverseg_tf.ct.orientation import Orientation
from liverseg_tf.ct.regions import Regions
from liverseg_tf.ct.volume import Volume
from liverseg_tf.errors import LiverSegError

MAX_REGIONS = 16
_SLAB = 16  # slices at a time


@dataclass(frozen=True, eq=False)
class RegionMasks:
    """The masks of all regions of a volume, stored as one bit per region.

    Unlike a label map, it keeps every mask where regions overlap.

    Args:
        bits: (z, row, col) uint8, or uint16 for more than 8 regions, in the axis order of the
            image file. Bit r of a voxel is the mask of region r.
        regions: Regions of the bits.
        grid: Volume with the affine and header of the image; its array does not hold the image.
        probabilities: (regions, z, row, col) uint8 in the axis order of the file, where 255 is
            a probability of 1. None unless they were requested.
        agreement: Agreement between the prediction passes for each region; see `PassAgreement`.
            None until it is computed.
        confidence: Confidence of the prediction for each region; see `PassConfidence`. None until
            it is computed.
    """

    bits: np.ndarray
    regions: Regions
    grid: Volume
    probabilities: np.ndarray | None = None
    agreement: dict[str, float | None] | None = None
    confidence: dict[str, float | None] | None = None

    def __repr__(self) -> str:
        volumes = ", ".join(
            f"{name} {np.count_nonzero(self.bits >> region & 1) * self.grid.voxel_volume_ml:.4g}"
            for region, name in enumerate(self.regions.names)
        )
        shape = " x ".join(map(str, self.bits.shape))
        stored = "no" if self.probabilities is None else "yes"
        return f"RegionMasks(shape: {shape}; volume_ml: {volumes}; probabilities: {stored})"

    @classmethod
    def empty(
        cls, image: Volume, regions: Regions, probabilities: np.ndarray | None = None
    ) -> "RegionMasks":
        """Create empty masks on the grid of an image.

        Args:
            image: Image that defines the grid.
            regions: At most 16 regions.
            probabilities: (regions, z, row, col) uint8 array of zeros to fill, or None.

        Raises:
            LiverSegError: If there are more than 16 regions.
        """
        if len(regions) > MAX_REGIONS:
            raise LiverSegError(f"Expected at most {MAX_REGIONS} regions. Received {len(regions)}.")
        bits = np.zeros(image.array.shape, np.uint8 if len(regions) <= 8 else np.uint16)
        # hold no reference to the image's voxels, so that their memory can be freed
        grid = image.with_array(np.broadcast_to(np.uint8(0), image.array.shape))
        return cls(bits, regions, grid, probabilities)

    @property
    def canonical_bits(self) -> np.ndarray:
        """Writable view of `bits` in canonical axis order."""
        return Orientation.of(self.grid.affine).to_canonical(self.bits)

    def canonical_probabilities(self, region: int) -> np.ndarray:
        """Writable view of the probabilities of one region in canonical axis order."""
        assert self.probabilities is not None, "probabilities were requested"
        return Orientation.of(self.grid.affine).to_canonical(self.probabilities[region])

    def only(self, names: Sequence[str]) -> "RegionMasks":
        """Return the masks of some regions, without probabilities.

        A voxel belongs to a region if its label in the label map of all regions does: the mask of
        the liver includes the tumours in it, and not what a later region overwrites.

        Args:
            names: Names of the regions.

        Raises:
            SettingsError: If a name does not belong to a region.
        """
        regions = self.regions.only(names)
        labels = _label_table(self.regions)
        table: np.ndarray = np.zeros(len(labels), np.uint8 if len(regions) <= 8 else np.uint16)
        for index, name in enumerate(regions.names):
            table |= np.multiply(self.regions.mask(labels, name), 1 << index, dtype=table.dtype)
        agreement = self.agreement and {name: self.agreement[name] for name in regions.names}
        bits = np.empty(self.bits.shape, table.dtype)
        for start in range(0, len(bits), _SLAB):
            bits[start : start + _SLAB] = table[self.bits[start : start + _SLAB]]
        confidence = self.confidence and {name: self.confidence[name] for name in regions.names}
        return RegionMasks(bits, regions, self.grid, None, agreement, confidence)

    def label_slabs(self) -> Iterator[np.ndarray]:
        """Yield the label map (z, row, col) uint8 in file order, some slices at a time."""
        table = _label_table(self.regions)
        for start in range(0, len(self.bits), _SLAB):
            yield table[self.bits[start : start + _SLAB]]

    def labels(self) -> Volume:
        """Return the label map. Where regions overlap, the later region is written."""
        array = np.empty(self.bits.shape, np.uint8)
        for start, slab in zip(range(0, len(array), _SLAB), self.label_slabs(), strict=True):
            array[start : start + _SLAB] = slab
        return self.grid.with_array(array)


def labels_to_bits(labels: np.ndarray, regions: Regions) -> np.ndarray:
    """Convert a label map to one bit per region.

    Args:
        labels: (z, row, col) uint8.
        regions: Regions of the labels.

    Returns:
        (z, row, col) uint8, or uint16 for more than 8 regions.
    """
    table: np.ndarray = np.zeros(256, np.uint8 if len(regions) <= 8 else np.uint16)
    for region, (_, region_labels) in enumerate(regions.items):
        table[list(region_labels)] |= table.dtype.type(1 << region)
    return table[labels]


def _label_table(regions: Regions) -> np.ndarray:
    """(2 ** regions,) uint8: the label that is written for each combination of bits."""
    table = np.zeros(1 << len(regions), np.uint8)
    combinations = np.arange(len(table))
    for region, label in enumerate(regions.written_labels):
        table[(combinations >> region) & 1 == 1] = label
    return table
