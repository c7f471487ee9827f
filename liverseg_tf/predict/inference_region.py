"""Where the body lies, so that the network doesn't look at air."""

from dataclasses import dataclass, replace

import numpy as np

from liverseg_tf.ct.volume import Volume
from liverseg_tf.errors import LiverSegError
from liverseg_tf.model.spec import NetworkSpec
from liverseg_tf.tiles.transform import TileTransform

BODY_HU = -300
_LARGEST_MM = 2000
_STEP = 2  # rows and columns: the margin is wider than what lies between them
_SLAB = 64


@dataclass(frozen=True)
class InferenceRegion:
    """What of a volume the network sees.

    Args:
        grid: whose tile is the part of the resampled slice around the body, padded to the
            network's stride.
        slices: of the canonical volume.
    """

    grid: TileTransform
    slices: range

    @classmethod
    def whole(cls, canonical: Volume, network: NetworkSpec) -> "InferenceRegion":
        """Every slice, all of it.

        Args:
            canonical: the image in canonical order.
            network: its tiles and stride.

        Raises:
            LiverSegError: when slices are larger than any scanner, which would take all memory.
        """
        sides = [n * mm for n, mm in zip(canonical.array.shape, canonical.spacing_mm, strict=True)]
        if network.tiles.spacing_mm is not None and max(sides[1:]) > _LARGEST_MM:
            raise LiverSegError(
                f"Expected slices of at most {_LARGEST_MM} mm. "
                f"Received {sides[1]:.0f} x {sides[2]:.0f} mm: is its spacing given in mm?"
            )
        grid = TileTransform.of(canonical, replace(network.tiles, tile_shape=None))
        grid = replace(grid, shape=network.padded(grid.shape))
        return cls(grid, range(len(canonical.array)))

    @classmethod
    def of_body(cls, canonical: Volume, network: NetworkSpec) -> "InferenceRegion":
        """The slices that hold body, and the box around it in all of them.

        Body is what is brighter than -300 HU, in images without HU than the window's lower end
        (which leaves everything where the background is noisy). The box is larger than the body
        by one stride on each side, and no smaller than the tiles that the network has learnt
        from. Networks of whole slices see whole slices. It begins at a multiple of the stride,
        without which masks would differ by one or two percent of their voxels.

        Args:
            canonical: the image in canonical order.
            network: its tiles and stride.

        Raises:
            LiverSegError: when there is no body.
        """
        whole = cls.whole(canonical, network)
        grid = whole.grid
        threshold = BODY_HU if network.tiles.percentiles is None else grid.floor
        z, *plane = _extent(canonical.array, threshold)
        least = network.padded(network.tiles.tile_shape or grid.shape)
        origin, shape = [], []
        for (first, last), native, length, padded, tile in zip(
            plane, grid.native_shape, grid.resampler.target_shape, grid.shape, least, strict=True
        ):
            start = int(first * length / native) - network.stride
            stop = int(np.ceil((last + 1) * length / native)) + network.stride
            missing = max(tile - (stop - start), 0)
            # whole strides from the slice's corner: pooling then joins the same pixels
            start = max(start - missing // 2, 0) // network.stride * network.stride
            stop = -(-max(stop, start + tile) // network.stride) * network.stride
            size = min(stop - start, padded)
            origin.append(min(start, padded - size))
            shape.append(size)
        return cls(replace(grid, origin=tuple(origin), shape=tuple(shape)), range(z[0], z[1] + 1))


def _extent(array: np.ndarray, threshold: float) -> list[tuple[int, int]]:
    """First and last (z, row, col) of what is brighter than the threshold."""
    seen = [np.zeros(length, bool) for length in array.shape]
    highest = -np.inf
    for start in range(0, len(array), _SLAB):
        slab = array[start : start + _SLAB, ::_STEP, ::_STEP]
        bright = slab > threshold
        seen[0][start : start + _SLAB] = bright.any(axis=(1, 2))
        seen[1][::_STEP] |= bright.any(axis=(0, 2))
        seen[2][::_STEP] |= bright.any(axis=(0, 1))
        highest = max(highest, float(np.fmax.reduce(slab, axis=None)))
    if not seen[0].any():
        raise LiverSegError(
            f"Expected a body: voxels above {threshold:g}. Received none above {highest:g} "
            "(no patient in the image, or values that are no HU)."
        )
    return [(int(at[0]), int(at[-1])) for at in map(np.flatnonzero, seen)]
