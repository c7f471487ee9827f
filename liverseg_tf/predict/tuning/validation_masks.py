"""Predicted masks of validation cases for several thresholds, kept in memory in compressed form."""

import zlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from liverseg_tf.ct.annotation import read_annotation
from liverseg_tf.ct.region_kinds import is_lesion
from liverseg_tf.ct.regions import Regions
from liverseg_tf.ct.volume import Volume
from liverseg_tf.model.region_masks import RegionMasks, labels_to_bits
from liverseg_tf.predict.models.predictor import Predictor
from liverseg_tf.tiles.case_tiles import CaseTiles
from liverseg_tf.tiles.store import TileStore

THRESHOLDS = (0.3, 0.4, 0.5, 0.6, 0.7)
_BATCH_SIZE = 8


@dataclass(frozen=True, eq=False)
class ValidationMasks:
    """The predicted and the reference masks of a case on the tile grid.

    Compressed, they take about a hundredth of the memory of the tiles.

    Args:
        name: Name of the case.
        regions: Regions of the masks.
        grid: Volume on the grid of the tiles; its array does not hold the image.
        packed_masks: Compressed predicted mask for each of `THRESHOLDS` and each region.
        packed_reference: Compressed reference mask of each region; None if the case does not
            label the region.
        packed_ignored: Compressed mask of voxels of which nothing is known; None if there are none.
        packed_probabilities: Compressed uint8 probabilities of each region, 0 up to the lowest
            threshold; None for regions that are no lesions, whose components have no score.
    """

    name: str
    regions: Regions
    grid: Volume
    packed_masks: tuple[tuple[bytes, ...], ...]
    packed_reference: tuple[bytes | None, ...]
    packed_ignored: bytes | None = None
    packed_probabilities: tuple[bytes | None, ...] = ()

    def masks_above(
        self, thresholds: Sequence[float], with_probabilities: bool = False
    ) -> RegionMasks:
        """Return the predicted masks for one threshold per region.

        Args:
            thresholds: One of `THRESHOLDS` for each region.
            with_probabilities: Whether the masks have probabilities, those of lesions.
        """
        masks = RegionMasks.empty(
            self.grid, self.regions, self._probabilities() if with_probabilities else None
        )
        for region, threshold in enumerate(thresholds):
            mask = self._unpack(self.packed_masks[THRESHOLDS.index(threshold)][region])
            masks.bits[...] |= np.multiply(mask, 1 << region, dtype=masks.bits.dtype)
        return masks

    def _probabilities(self) -> np.ndarray:
        """(regions, z, row, col) uint8, where 255 is a probability of 1."""
        shape = self.grid.array.shape
        values = np.zeros((len(self.regions), *shape), np.uint8)
        for region, packed in enumerate(self.packed_probabilities):
            if packed is not None:
                values[region] = np.frombuffer(zlib.decompress(packed), np.uint8).reshape(shape)
        return values

    def reference(self, region: int) -> np.ndarray | None:
        """Return the reference mask of a region, (z, row, col) bool; None if it is not labelled."""
        packed = self.packed_reference[region]
        return None if packed is None else self._unpack(packed)

    def ignored(self) -> np.ndarray | None:
        """Return the voxels of which nothing is known, (z, row, col) bool; None without any."""
        return None if self.packed_ignored is None else self._unpack(self.packed_ignored)

    def dice(self, masks: RegionMasks) -> np.ndarray:
        """Compute the Dice of masks with the reference, 2 |A and B| / (|A| + |B|).

        Args:
            masks: Masks on the grid of the tiles. They are compared after conversion to a label
                map, as it would be written.

        Returns:
            (regions,) float64; NaN if a region is empty in both masks, or if the case does not
            label it.
        """
        scores = np.full(len(self.regions), np.nan)
        bits = labels_to_bits(masks.labels().array, self.regions)
        if self.packed_ignored is not None:
            bits[self._unpack(self.packed_ignored)] = 0
        for region, packed in enumerate(self.packed_reference):
            if packed is None:
                continue
            mask, reference = bits >> region & 1 == 1, self._unpack(packed)
            size = np.count_nonzero(mask) + np.count_nonzero(reference)
            if size:
                scores[region] = 2 * np.count_nonzero(mask & reference) / size
        return scores

    def _unpack(self, packed: bytes) -> np.ndarray:
        shape = self.grid.array.shape
        flat = np.frombuffer(zlib.decompress(packed), np.uint8)
        return np.unpackbits(flat, count=int(np.prod(shape))).reshape(shape).view(bool)


def predict_validation_masks(
    predictor: Predictor, store: TileStore, names: Sequence[str]
) -> Iterator[ValidationMasks]:
    """Predict cases of a store, one after another.

    Args:
        predictor: Model that predicts the probabilities of tiles.
        store: Store with tiles of the model's specification.
        names: Names of the cases.

    Yields:
        The masks of each case.

    Raises:
        LiverSegError: If the tiles of the store differ from those of the model.
    """
    store.check_spec(predictor.network.tiles)
    for name in names:
        yield _predict_case(predictor, name, store.read(name))


def _predict_case(predictor: Predictor, name: str, case: CaseTiles) -> ValidationMasks:
    network, shape = predictor.network, case.mask.shape
    regions, slice_step = network.regions, network.slice_step(case.slice_mm)
    depth, rows, cols = shape
    masks = np.zeros((len(THRESHOLDS), len(regions), *shape), bool)
    lesions = [number for number, name in enumerate(regions.names) if is_lesion(regions, name)]
    scores = np.zeros((len(lesions), *shape), np.uint8)
    tiles = np.zeros((_BATCH_SIZE, *network.padded((rows, cols)), network.channels), np.uint8)
    for start in range(0, depth, _BATCH_SIZE):
        slices = range(start, min(start + _BATCH_SIZE, depth))
        for position, z in enumerate(slices):
            tiles[position, :rows, :cols] = network.stack(case.image, z, slice_step)
        outputs = predictor.probabilities(tiles)[: len(slices), :rows, :cols]
        by_region = np.moveaxis(outputs, -1, 0)
        for number, threshold in enumerate(THRESHOLDS):
            np.greater(by_region, threshold, out=masks[number, :, start : slices.stop])
        of_lesions = by_region[lesions]
        scores[:, start : slices.stop] = np.rint(
            np.where(of_lesions > THRESHOLDS[0], of_lesions, 0) * 255
        )
    reference = labels_to_bits(np.asarray(case.mask), regions)
    annotation = read_annotation(case.record)
    known = annotation.known_regions(regions)
    ignored = None if annotation.ignored is None else np.asarray(case.mask) == annotation.ignored
    return ValidationMasks(
        name,
        regions,
        Volume(np.broadcast_to(np.uint8(0), shape), _tile_affine(case)),
        tuple(tuple(map(_pack, masks_of_regions)) for masks_of_regions in masks),
        tuple(
            _pack(reference >> region & 1 == 1) if is_known else None
            for region, is_known in enumerate(known)
        ),
        None if ignored is None else _pack(ignored),
        tuple(
            zlib.compress(scores[lesions.index(region)].tobytes(), 1) if region in lesions else None
            for region in range(len(regions))
        ),
    )


def _pack(mask: np.ndarray) -> bytes:
    return zlib.compress(np.packbits(mask).tobytes(), 1)


def _tile_affine(case: CaseTiles) -> np.ndarray:
    """Return a canonical affine with the spacing of the tiles; its origin is arbitrary."""
    row_mm, col_mm = case.transform.spacing_mm
    return np.diag([-col_mm, -row_mm, case.slice_mm, 1.0])
