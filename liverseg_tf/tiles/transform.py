"""The transform from the slices of a CT to its tiles, and back.

Forward (`TileTransform.image_to_tiles`, `TileTransform.mask_to_tiles`):

1. Padding below the HU of air is raised to air.
2. Slices are resampled in-plane to the spacing of the tiles. Slices are never resampled along z.
3. Slices are cropped, or padded with 0, to the shape of the tile.
4. **The HU window is applied** (`ct.intensity.to_uint8`): intensities become uint8.

Back (`TileTransform.mask_to_native`, `TileTransform.values_to_native`):

1. Tiles are put back at their position in the resampled slice.
2. **The resampling is undone** (`PlaneResampler.inverse`).

All arrays are in canonical order. `tiles.case_tiles.restore_labels` also restores the axis order of
the file.
"""

from dataclasses import asdict, dataclass

import numpy as np

from liverseg_tf.ct.bounding_box import bounding_box
from liverseg_tf.ct.intensity import AIR_HU, BODY_HU, Window, to_uint8, without_padding
from liverseg_tf.ct.orientation import contiguous
from liverseg_tf.ct.resample import PlaneResampler
from liverseg_tf.ct.volume import Volume
from liverseg_tf.errors import LiverSegError
from liverseg_tf.records import convert_record
from liverseg_tf.tiles.spec import TileSpec

MAX_SLICE_SIDE = 8192  # pixels of a resampled slice
_SLAB = 32  # slices that are converted to float32 at a time, to limit memory
_BODY_SLICES = 16


@dataclass(frozen=True)
class TileTransform:
    """Resampling, cropping and HU window of one case, and the inverse of resampling and cropping.

    The window cannot be undone. "Native" means the pixel grid of the canonical slices before
    resampling.

    Args:
        native_shape: Shape (rows, cols) of the native slices.
        native_spacing_mm: Spacing (row, col) of the native slices.
        spacing_mm: Spacing (row, col) of the tiles.
        origin: Position (row, col) of the tile's first pixel in the resampled slice; negative
            if the tile is padded.
        shape: Shape (rows, cols) of the tile.
        windows: Intensity window of each channel; its range becomes 0 to 255.
        floor: Lowest valid intensity. Lower values are padding.
    """

    native_shape: tuple[int, int]
    native_spacing_mm: tuple[float, float]
    spacing_mm: tuple[float, float]
    origin: tuple[int, int]
    shape: tuple[int, int]
    windows: tuple[Window, ...]
    floor: float

    @classmethod
    def for_volume(cls, canonical: Volume, spec: TileSpec) -> "TileTransform":
        """Choose the transform of a volume.

        Args:
            canonical: Image in canonical order.
            spec: Settings of the tiles. Tiles of a fixed shape are centred on the body.

        Raises:
            LiverSegError: If percentiles are requested for an image without contrast, or the
                pixel spacing in the header would make the slices unreasonably large.
        """
        native = canonical.spacing_mm[1:]
        spacing = native if spec.spacing_mm is None else (spec.spacing_mm,) * 2
        if spec.percentiles is None:
            windows, floor = spec.windows, float(AIR_HU)
        else:
            windows = (spec.percentiles.window_of(canonical.array),)
            floor = windows[0].lower_hu
        resampler = PlaneResampler.to_spacing(canonical.array.shape[1:], native, spacing)
        if max(resampler.target_shape) > MAX_SLICE_SIDE:
            rows, cols = resampler.target_shape
            raise LiverSegError(
                f"Expected slices of at most {MAX_SLICE_SIDE} x {MAX_SLICE_SIDE} pixels at a "
                f"spacing of {spacing[0]:g} mm. Received {rows} x {cols}: the header gives a pixel "
                f"spacing of {native[0]:g} x {native[1]:g} mm."
            )
        shape = spec.tile_shape or resampler.target_shape
        origin = (0, 0)
        if spec.tile_shape is not None:
            centre = body_centre(canonical, BODY_HU if spec.percentiles is None else floor)
            row, col = (
                _origin(at / ratio, length, tile)
                for at, ratio, length, tile in zip(
                    centre, resampler.ratio, resampler.target_shape, shape, strict=True
                )
            )
            origin = (row, col)
        return cls(canonical.array.shape[1:], native, spacing, origin, shape, windows, floor)

    @property
    def resampler(self) -> PlaneResampler:
        """Resampler from native slices to the spacing of the tiles, before cropping."""
        return PlaneResampler.to_spacing(self.native_shape, self.native_spacing_mm, self.spacing_mm)

    def image_to_tiles(self, slices: np.ndarray) -> np.ndarray:
        """Resample and crop native slices, and apply the HU window.

        Args:
            slices: (z, row, col) HU or MR units, canonical order.

        Returns:
            (z, h, w, windows) uint8; 0 outside the slice.
        """
        tiles = np.zeros((len(slices), *self.shape, len(self.windows)), np.uint8)
        in_tile, in_slice = self._overlap()
        for start in range(0, len(slices), _SLAB):
            slab = without_padding(contiguous(slices[start : start + _SLAB]), self.floor)
            cropped = self.resampler.apply(slab)[:, in_slice[0], in_slice[1]]
            for channel, window in enumerate(self.windows):
                tiles[start : start + _SLAB, in_tile[0], in_tile[1], channel] = to_uint8(
                    cropped, window
                )
        return tiles

    def mask_to_tiles(self, labels: np.ndarray) -> np.ndarray:
        """Resample and crop a native label map: (z, row, col) uint8 to (z, h, w) uint8."""
        tiles = np.zeros((len(labels), *self.shape), np.uint8)
        in_tile, in_slice = self._overlap()
        tiles[:, in_tile[0], in_tile[1]] = self.resampler.apply_labels(labels)[
            :, in_slice[0], in_slice[1]
        ]
        return tiles

    def fraction_outside(self, labels: np.ndarray) -> float:
        """Compute the fraction (0 to 1) of labelled voxels that lie outside the tile.

        Args:
            labels: (z, row, col) uint8, native, canonical order.
        """
        box = bounding_box(labels)
        labelled = contiguous(labels[box]) != 0
        if not labelled.size:
            return 0.0
        inside = labelled
        for axis, (origin, tile, native, length) in enumerate(
            zip(
                self.origin, self.shape, self.native_shape, self.resampler.target_shape, strict=True
            )
        ):
            position = (np.arange(native)[box[axis + 1]] + 0.5) * length / native
            kept = (position >= origin) & (position < origin + tile)
            inside = np.compress(kept, inside, axis=axis + 1)
        return 1 - np.count_nonzero(inside) / np.count_nonzero(labelled)

    def mask_to_native(self, tiles: np.ndarray) -> np.ndarray:
        """Undo the cropping and the resampling of `mask_to_tiles`.

        Args:
            tiles: (z, h, w) uint8.

        Returns:
            (z, row, col) uint8, canonical order; 0 outside the tile. Exact if the spacing is
            native and the tile contains the whole slice.
        """
        return self.resampler.inverse.apply_labels(self._paste(tiles))

    def values_to_native(self, tiles: np.ndarray) -> np.ndarray:
        """Undo the cropping and the resampling for values such as probabilities.

        Args:
            tiles: (z, h, w) float32.

        Returns:
            (z, row, col) float32, canonical order; 0 outside the tile.
        """
        return self.resampler.inverse.apply(self._paste(tiles))

    def to_json(self) -> dict:
        """Return the transform as a dictionary that `from_json` reads."""
        return asdict(self)

    @classmethod
    def from_json(cls, value: dict) -> "TileTransform":
        """Read the dictionary that `to_json` returned.

        Raises:
            LiverSegError: If keys are missing or values are of the wrong type.
        """
        return convert_record(value, cls, "the tile transform of a case")

    def _paste(self, tiles: np.ndarray) -> np.ndarray:
        """Put tiles back at their position in the resampled slices."""
        resampled_shape = self.resampler.target_shape
        if self.origin == (0, 0) and self.shape == resampled_shape:
            return tiles
        in_tile, in_slice = self._overlap()
        slices = np.zeros((len(tiles), *resampled_shape), tiles.dtype)
        slices[:, in_slice[0], in_slice[1]] = tiles[:, in_tile[0], in_tile[1]]
        return slices

    def _overlap(self) -> tuple[list[slice], list[slice]]:
        """Rows and columns that tile and resampled slice share, as indices of each of the two."""
        in_tile, in_slice = [], []
        lengths = zip(self.origin, self.shape, self.resampler.target_shape, strict=True)
        for origin, tile, length in lengths:
            start, stop = max(origin, 0), min(origin + tile, length)
            in_slice.append(slice(start, stop))
            in_tile.append(slice(start - origin, stop - origin))
        return in_tile, in_slice


def _origin(centre: float, length: int, tile: int) -> int:
    """First pixel of a tile around `centre`, kept inside the slice.

    A slice that is smaller than the tile is centred in it.
    """
    if tile >= length:
        return -((tile - length) // 2)
    return int(np.clip(round(centre - tile / 2), 0, length - tile))


def body_centre(canonical: Volume, threshold: float) -> tuple[float, float]:
    """Centre (row, col) of the voxels above a threshold.

    It lies halfway between the 2nd and the 98th percentile of their rows and columns, so that a
    table or an arm at the edge hardly moves it.

    Args:
        canonical: Image in canonical order.
        threshold: Intensity above which a voxel counts.

    Returns:
        Row and column in native pixels.
    """
    step = -(-len(canonical.array) // _BODY_SLICES)
    bright = canonical.array[::step] > threshold
    centre = []
    for axis, length in ((1, bright.shape[1]), (2, bright.shape[2])):
        profile = bright.sum(axis=(0, 3 - axis), dtype=np.float64).cumsum()
        if profile[-1] == 0:
            centre.append(length / 2)
            continue
        ends = np.searchsorted(profile, profile[-1] * np.array([0.02, 0.98]))
        centre.append((ends[0] + ends[1] + 1) / 2)
    return tuple(centre)
