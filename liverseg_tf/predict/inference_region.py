"""The part of a volume that is given to the network: the box around the body, without air."""

from dataclasses import dataclass, replace

import numpy as np

from liverseg_tf.ct.intensity import BODY_HU
from liverseg_tf.ct.volume import Volume
from liverseg_tf.errors import LiverSegError
from liverseg_tf.model.spec import NetworkSpec
from liverseg_tf.tiles.transform import TileTransform

_LARGEST_MM = 2000
_STEP = 2  # every second row and column is searched; the margin covers the others
_SLAB = 64  # slices at a time


@dataclass(frozen=True)
class InferenceRegion:
    """The part of a volume that the network predicts.

    Args:
        transform: Transform whose tile is the part of the resampled slice around the body, with
            sides that are multiples of the network's stride.
        slices: Range of slices of the canonical volume.
    """

    transform: TileTransform
    slices: range

    @classmethod
    def whole_volume(cls, canonical: Volume, network: NetworkSpec) -> "InferenceRegion":
        """Create the region that covers the whole volume.

        Args:
            canonical: Image in canonical order.
            network: Network whose tiles and stride are used.

        Raises:
            LiverSegError: If the slices are larger than those of any scanner, so that they would
                need too much memory.
        """
        sides = [n * mm for n, mm in zip(canonical.array.shape, canonical.spacing_mm, strict=True)]
        if network.tiles.spacing_mm is not None and max(sides[1:]) > _LARGEST_MM:
            raise LiverSegError(
                f"Expected slices of at most {_LARGEST_MM} mm. "
                f"Received {sides[1]:.0f} x {sides[2]:.0f} mm: is its spacing given in mm?"
            )
        transform = TileTransform.for_volume(canonical, replace(network.tiles, tile_shape=None))
        transform = replace(transform, shape=network.padded(transform.shape))
        return cls(transform, range(len(canonical.array)))

    @classmethod
    def around_body(cls, canonical: Volume, network: NetworkSpec) -> "InferenceRegion":
        """Create the region that covers the body: its slices and its box within them.

        The body is everything above -300 HU, or above the lower end of the intensity window for
        images without HU (this keeps the whole image if its background is noisy). The box has a
        margin of one stride on each side and is at least as large as the tiles on which the
        network was trained; networks that were trained on whole slices get whole slices. The box
        starts at a multiple of the stride, so that pooling joins the same pixels as in the whole
        slice; otherwise one or two percent of the predicted voxels would change.

        Args:
            canonical: Image in canonical order.
            network: Network whose tiles and stride are used.

        Raises:
            LiverSegError: If the volume contains no body.
        """
        whole = cls.whole_volume(canonical, network)
        transform = whole.transform
        threshold = BODY_HU if network.tiles.percentiles is None else transform.floor
        z, *plane = _extent(canonical.array, threshold)
        min_shape = network.padded(network.tiles.tile_shape or transform.shape)
        intervals = []
        for (first, last), native, length, padded, tile in zip(
            plane,
            transform.native_shape,
            transform.resampler.target_shape,
            transform.shape,
            min_shape,
            strict=True,
        ):
            start = int(first * length / native) - network.stride
            stop = int(np.ceil((last + 1) * length / native)) + network.stride
            missing = max(tile - (stop - start), 0)
            # round outwards to multiples of the stride
            start = max(start - missing // 2, 0) // network.stride * network.stride
            stop = -(-max(stop, start + tile) // network.stride) * network.stride
            size = min(stop - start, padded)
            intervals.append((min(start, padded - size), size))
        (row, height), (col, width) = intervals
        transform = replace(transform, origin=(row, col), shape=(height, width))
        return cls(transform, range(z[0], z[1] + 1))


def _extent(array: np.ndarray, threshold: float) -> list[tuple[int, int]]:
    """Return the first and last index above the threshold along each axis (z, row, col)."""
    occupied = [np.zeros(length, bool) for length in array.shape]
    highest = -np.inf
    for start in range(0, len(array), _SLAB):
        slab = array[start : start + _SLAB, ::_STEP, ::_STEP]
        bright = slab > threshold
        occupied[0][start : start + _SLAB] = bright.any(axis=(1, 2))
        occupied[1][::_STEP] |= bright.any(axis=(0, 2))
        occupied[2][::_STEP] |= bright.any(axis=(0, 1))
        highest = max(highest, float(np.fmax.reduce(slab, axis=None)))
    if not occupied[0].any():
        raise LiverSegError(
            f"Expected a body: voxels above {threshold:g}. Received a maximum of {highest:g} "
            "(is there no patient in the image, or are its values not HU?)."
        )
    return [(int(found[0]), int(found[-1])) for found in map(np.flatnonzero, occupied)]
