"""Disk space and memory that the tiles of one case take."""

import math

from liverseg_tf.ct.resample import PlaneResampler
from liverseg_tf.tiles.spec import TileSpec

_SLAB_SLICES = 32
_SLAB_PIXEL_BYTES = 8  # copies of a slab: without padding, and as float32

Triple = tuple[float, float, float]


def tile_bytes(shape: tuple[int, int, int], spacing_mm: Triple, spec: TileSpec) -> int:
    """Compute the uncompressed size of the image and mask tiles of a case.

    Args:
        shape: Shape (z, row, col) of the image in canonical order.
        spacing_mm: Spacing (z, row, col) of the image in canonical order.
        spec: Settings of the tiles.
    """
    native = spacing_mm[1:]
    target = native if spec.spacing_mm is None else (spec.spacing_mm,) * 2
    resampled = PlaneResampler.to_spacing(shape[1:], native, target).target_shape
    return shape[0] * math.prod(spec.tile_shape or resampled) * (spec.channels + 1)


def cutting_memory_bytes(
    shape: tuple[int, int, int], spacing_mm: Triple, voxel_bytes: int, spec: TileSpec
) -> float:
    """Estimate the memory that reading a case and cutting its tiles takes at its peak.

    It is the sum of the image (read into a buffer that grows by an eighth), the mask and its
    labelled voxels, the copies of a slab, and the tiles twice: as arrays and as the file to write.

    Args:
        shape: Shape (z, row, col) of the image in canonical order.
        spacing_mm: Spacing (z, row, col) of the image in canonical order.
        voxel_bytes: Bytes per voxel of the image in memory.
        spec: Settings of the tiles.
    """
    slab = min(shape[0], _SLAB_SLICES) * shape[1] * shape[2] * _SLAB_PIXEL_BYTES
    volumes = math.prod(shape) * (voxel_bytes * 9 / 8 + 2)
    return volumes + slab + 2 * tile_bytes(shape, spacing_mm, spec)
