"""The grid of one case's tiles, and the exact way back to the scanner's grid."""

from dataclasses import asdict, dataclass

import numpy as np

from liverseg_tf.ct.bounding_box import bounding_box
from liverseg_tf.ct.intensity import AIR_HU, Window, to_uint8, without_padding
from liverseg_tf.ct.orientation import contiguous
from liverseg_tf.ct.resample import PlaneResampler
from liverseg_tf.ct.volume import Volume
from liverseg_tf.errors import LiverSegError
from liverseg_tf.tiles.spec import TileSpec

LARGEST_SIDE = 8192
_SLAB = 32  # slices at a time: float copies of a whole volume are never made
_BODY_SLICES = 16
_BODY_HU = -300


@dataclass(frozen=True)
class TileTransform:
    """Where a canonical volume's tiles lie, and what turns its values into theirs.

    Args:
        native_shape: (rows, cols) of the canonical slices.
        native_spacing_mm: (row, col).
        spacing_mm: (row, col) of the tiles.
        origin: (row, col) of the tile's first pixel in the resampled slice; negative where
            the tile is padded.
        shape: (rows, cols) of the tile.
        windows: what becomes 0..255 in each channel.
        floor: the lowest value that is no padding.
    """

    native_shape: tuple[int, int]
    native_spacing_mm: tuple[float, float]
    spacing_mm: tuple[float, float]
    origin: tuple[int, int]
    shape: tuple[int, int]
    windows: tuple[Window, ...]
    floor: float

    @classmethod
    def of(cls, canonical: Volume, spec: TileSpec) -> "TileTransform":
        """The grid of a volume's tiles.

        Args:
            canonical: the image in canonical order.
            spec: of the tiles; its tile shape is centred on the body.

        Raises:
            LiverSegError: when percentiles are asked of an image without contrast, or its
                spacing would make slices of an absurd size.
        """
        native = canonical.spacing_mm[1:]
        spacing = native if spec.spacing_mm is None else (spec.spacing_mm,) * 2
        if spec.percentiles is None:
            windows, floor = spec.windows, float(AIR_HU)
        else:
            windows = (spec.percentiles.window_of(canonical.array),)
            floor = windows[0].lower_hu
        resampler = PlaneResampler.to_spacing(canonical.array.shape[1:], native, spacing)
        if max(resampler.target_shape) > LARGEST_SIDE:
            raise LiverSegError(
                f"Expected slices of at most {LARGEST_SIDE} pixels a side at {spacing[0]:g} mm. "
                f"Received {resampler.target_shape}: the image says {native} mm for its pixels."
            )
        shape = spec.tile_shape or resampler.target_shape
        origin = (0, 0)
        if spec.tile_shape is not None:
            middle = _body_middle(canonical, _BODY_HU if spec.percentiles is None else floor)
            origin = tuple(
                _origin(at / ratio, length, tile)
                for at, ratio, length, tile in zip(
                    middle, resampler.ratio, resampler.target_shape, shape, strict=True
                )
            )
        return cls(canonical.array.shape[1:], native, spacing, origin, shape, windows, floor)

    @property
    def resampler(self) -> PlaneResampler:
        """From the native slices to the resampled ones, before the tile is cut."""
        return PlaneResampler.to_spacing(self.native_shape, self.native_spacing_mm, self.spacing_mm)

    def cut_image(self, slices: np.ndarray) -> np.ndarray:
        """Tiles of native slices.

        Args:
            slices: (z, row, col) HU or MR units, canonical order.

        Returns:
            (z, h, w, windows) uint8; 0 outside the slice.
        """
        tiles = np.zeros((len(slices), *self.shape, len(self.windows)), np.uint8)
        inside, outside = self._overlap()
        for start in range(0, len(slices), _SLAB):
            slab = without_padding(contiguous(slices[start : start + _SLAB]), self.floor)
            resampled = self.resampler.apply(slab)[:, outside[0], outside[1]]
            for channel, window in enumerate(self.windows):
                tiles[start : start + _SLAB, inside[0], inside[1], channel] = to_uint8(
                    resampled, window
                )
        return tiles

    def cut_mask(self, labels: np.ndarray) -> np.ndarray:
        """Tiles of a native label map: (z, row, col) uint8 to (z, h, w) uint8."""
        tiles = np.zeros((len(labels), *self.shape), np.uint8)
        inside, outside = self._overlap()
        tiles[:, inside[0], inside[1]] = self.resampler.apply_labels(labels)[
            :, outside[0], outside[1]
        ]
        return tiles

    def share_outside(self, labels: np.ndarray) -> float:
        """Share (0..1) of the labelled voxels whose resampled place lies outside the tile.

        Args:
            labels: (z, row, col) uint8 on the native grid, canonical order.
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
            place = (np.arange(native)[box[axis + 1]] + 0.5) * length / native
            kept = (place >= origin) & (place < origin + tile)
            inside = np.compress(kept, inside, axis=axis + 1)
        return 1 - np.count_nonzero(inside) / np.count_nonzero(labelled)

    def restore_mask(self, tiles: np.ndarray) -> np.ndarray:
        """Native label maps of mask tiles, the way back of `cut_mask`.

        Args:
            tiles: (z, h, w) uint8.

        Returns:
            (z, row, col) uint8, canonical order; 0 outside the tile. Equal to what was cut
            where spacing is native and the tile holds the slice.
        """
        return self.resampler.inverse.apply_labels(self._paste(tiles))

    def restore_values(self, tiles: np.ndarray) -> np.ndarray:
        """Native values (probabilities) of tiles.

        Args:
            tiles: (z, h, w) float32.

        Returns:
            (z, row, col) float32, canonical order; 0 outside the tile.
        """
        return self.resampler.inverse.apply(self._paste(tiles))

    def to_json(self) -> dict:
        """A plain dictionary; `from_json` undoes it."""
        return asdict(self)

    @classmethod
    def from_json(cls, value: dict) -> "TileTransform":
        """The grid that `to_json` wrote."""
        try:
            windows = tuple(Window(**window) for window in value["windows"])
            pairs = ("native_shape", "native_spacing_mm", "spacing_mm", "origin", "shape")
            return cls(*(tuple(value[pair]) for pair in pairs), windows, value["floor"])
        except (KeyError, TypeError) as error:
            raise LiverSegError(
                f"Expected the grid of a case's tiles. Received {value!r}."
            ) from error

    def _paste(self, tiles: np.ndarray) -> np.ndarray:
        resampled_shape = self.resampler.target_shape
        if self.origin == (0, 0) and self.shape == resampled_shape:
            return tiles
        inside, outside = self._overlap()
        slices = np.zeros((len(tiles), *resampled_shape), tiles.dtype)
        slices[:, outside[0], outside[1]] = tiles[:, inside[0], inside[1]]
        return slices

    def _overlap(self) -> tuple[list[slice], list[slice]]:
        """Rows and columns that tile and resampled slice share: in the tile, in the slice."""
        inside, outside = [], []
        lengths = zip(self.origin, self.shape, self.resampler.target_shape, strict=True)
        for origin, tile, length in lengths:
            start, stop = max(origin, 0), min(origin + tile, length)
            outside.append(slice(start, stop))
            inside.append(slice(start - origin, stop - origin))
        return inside, outside


def _origin(middle: float, length: int, tile: int) -> int:
    """A tile around `middle`, kept inside the slice; a slice smaller than a tile is centred."""
    if tile >= length:
        return -((tile - length) // 2)
    return int(np.clip(round(middle - tile / 2), 0, length - tile))


def _body_middle(canonical: Volume, threshold: float) -> tuple[float, float]:
    """The middle (row, col) of what is brighter than the threshold, by quantiles.

    The 2nd and 98th percentile of the bright voxels' rows and columns bound the body: a table
    or an arm at the edge does not move them far.
    """
    step = -(-len(canonical.array) // _BODY_SLICES)
    bright = canonical.array[::step] > threshold
    middle = []
    for axis, length in ((1, bright.shape[1]), (2, bright.shape[2])):
        profile = bright.sum(axis=(0, 3 - axis), dtype=np.float64).cumsum()
        if profile[-1] == 0:
            middle.append(length / 2)
            continue
        ends = np.searchsorted(profile, profile[-1] * np.array([0.02, 0.98]))
        middle.append((ends[0] + ends[1] + 1) / 2)
    return tuple(middle)
