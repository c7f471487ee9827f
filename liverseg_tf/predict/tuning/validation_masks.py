"""Masks of cases that a model has not learnt from, for several thresholds at once."""

import zlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from liverseg_tf.ct.regions import Regions
from liverseg_tf.ct.volume import Volume
from liverseg_tf.errors import LiverSegError
from liverseg_tf.model.region_masks import RegionMasks, bits_of
from liverseg_tf.predict.models.predictor import Predictor
from liverseg_tf.tiles.case_tiles import CaseTiles
from liverseg_tf.tiles.store import TileStore

THRESHOLDS = (0.3, 0.4, 0.5, 0.6, 0.7)
_BATCH = 8


@dataclass(frozen=True, eq=False)
class ValidationMasks:
    """A case on the tile grid: a hundredth of its tiles' bytes.

    Args:
        name: of the case.
        regions: what is to be found.
        grid: of the tiles, without voxels.
        masks: for each of `THRESHOLDS` and each region, compressed.
        truth: of each region, compressed.
    """

    name: str
    regions: Regions
    grid: Volume
    masks: tuple[tuple[bytes, ...], ...]
    truth: tuple[bytes, ...]

    def found(self, thresholds: Sequence[float]) -> RegionMasks:
        """The masks above a threshold for each region, each one of `THRESHOLDS`."""
        found = RegionMasks.empty(self.grid, self.regions)
        for region, threshold in enumerate(thresholds):
            mask = self._mask(self.masks[THRESHOLDS.index(threshold)][region])
            found.bits[...] |= np.multiply(mask, 1 << region, dtype=found.bits.dtype)
        return found

    def dice(self, found: RegionMasks) -> np.ndarray:
        """(regions,) float64 of what is found; NaN where a region is neither there nor found."""
        scores = np.full(len(self.regions), np.nan)
        bits = bits_of(found.labels().array, self.regions)
        for region, packed in enumerate(self.truth):
            mask, truth = bits >> region & 1 == 1, self._mask(packed)
            size = np.count_nonzero(mask) + np.count_nonzero(truth)
            if size:
                scores[region] = 2 * np.count_nonzero(mask & truth) / size
        return scores

    def _mask(self, packed: bytes) -> np.ndarray:
        shape = self.grid.array.shape
        flat = np.frombuffer(zlib.decompress(packed), np.uint8)
        return np.unpackbits(flat, count=int(np.prod(shape))).reshape(shape).view(bool)


def predict_validation_masks(
    predictor: Predictor, store: TileStore, names: Sequence[str]
) -> Iterator[ValidationMasks]:
    """Let a model look at cases of a store, one by one.

    Args:
        predictor: of the slices.
        store: of the tiles that it takes.
        names: of the cases.

    Raises:
        LiverSegError: when the store holds other tiles than the network takes.
    """
    if store.spec != predictor.network.tiles:
        raise LiverSegError(
            f"Expected the store of the run's tiles, {predictor.network.tiles}. "
            f"Received {store.folder} with {store.spec}."
        )
    for name in names:
        yield _hold_out(predictor, name, store.read(name))


def _hold_out(predictor: Predictor, name: str, case: CaseTiles) -> ValidationMasks:
    network, shape = predictor.network, case.mask.shape
    regions, slice_step = network.regions, network.slice_step(case.slice_mm)
    depth, rows, cols = shape
    masks = np.zeros((len(THRESHOLDS), len(regions), *shape), bool)
    tiles = np.zeros((_BATCH, *network.padded((rows, cols)), network.channels), np.uint8)
    for start in range(0, depth, _BATCH):
        slices = range(start, min(start + _BATCH, depth))
        for place, z in enumerate(slices):
            tiles[place, :rows, :cols] = network.stack(case.image, z, slice_step)
        outputs = predictor.probabilities(tiles)[: len(slices), :rows, :cols]
        by_region = np.moveaxis(outputs, -1, 0)
        for number, threshold in enumerate(THRESHOLDS):
            np.greater(by_region, threshold, out=masks[number, :, start : slices.stop])
    truth = bits_of(np.asarray(case.mask), regions)
    return ValidationMasks(
        name,
        regions,
        Volume(np.broadcast_to(np.uint8(0), shape), _tile_affine(case)),
        tuple(tuple(map(_packed, of)) for of in masks),
        tuple(_packed(truth >> region & 1 == 1) for region in range(len(regions))),
    )


def _packed(mask: np.ndarray) -> bytes:
    return zlib.compress(np.packbits(mask).tobytes(), 1)


def _tile_affine(case: CaseTiles) -> np.ndarray:
    """Tiles are in canonical order; where they lie doesn't matter here."""
    row_mm, col_mm = case.grid.spacing_mm
    return np.diag([-col_mm, -row_mm, case.slice_mm, 1.0])
