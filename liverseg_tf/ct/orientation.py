"""Canonical order (radiological axial slices), and the exact way back to the order of the file."""

from dataclasses import dataclass, replace

import nibabel as nib
import numpy as np

from liverseg_tf.ct.volume import Volume

# The canonical voxel axes (col, row, z) point to the patient's left, posterior and superior. In
# RAS+ millimetres, left and posterior are the negative directions of axes 0 and 1.
CANONICAL_SIGNS = (-1, -1, 1)
_BLOCK = 32


@dataclass(frozen=True)
class Orientation:
    """Permutation and flips that bring an array into canonical order.

    Args:
        axes: For each canonical array axis (z, row, col), the corresponding axis of the source.
        flips: For each canonical array axis, whether the source has the opposite direction.

    Example:
        >>> Orientation.of(np.diag([-1.0, -1.0, 1.0, 1.0]))  # a file in LPS order
        Orientation(axes=(0, 1, 2), flips=(False, False, False))
    """

    axes: tuple[int, int, int]
    flips: tuple[bool, bool, bool]

    @classmethod
    def of(cls, affine: np.ndarray) -> "Orientation":
        """Determine the orientation of a grid; each voxel axis maps to the closest anatomical axis.

        Args:
            affine: (4, 4), from voxel (i, j, k) to RAS+ mm; oblique grids are allowed.
        """
        nearest = nib.io_orientation(affine)
        axes, flips = [0, 0, 0], [False, False, False]
        for source, (anatomical, sign) in enumerate(nearest):
            canonical = 2 - int(anatomical)
            axes[canonical] = 2 - source
            flips[canonical] = bool(sign != CANONICAL_SIGNS[int(anatomical)])
        return cls((axes[0], axes[1], axes[2]), (flips[0], flips[1], flips[2]))

    def to_canonical(self, array: np.ndarray) -> np.ndarray:
        """Return a view of an array (three axes in the order of the source) as (z, row, col)."""
        return np.transpose(array, self.axes)[self._flip_slices()]

    def from_canonical(self, array: np.ndarray) -> np.ndarray:
        """Return a view of a canonical array in the order of the source: the exact inverse."""
        return np.transpose(array[self._flip_slices()], np.argsort(self.axes))

    def canonical_affine(self, affine: np.ndarray, shape: tuple[int, int, int]) -> np.ndarray:
        """Compute the affine of the canonical array, from (col, row, z) to RAS+ mm.

        Args:
            affine: (4, 4), affine of the source.
            shape: Shape of the source array, with the axes of `Volume.array`.
        """
        to_source = np.zeros((4, 4))
        to_source[3, 3] = 1
        for canonical, (source, flip) in enumerate(zip(self.axes, self.flips, strict=True)):
            to_source[2 - source, 2 - canonical] = -1 if flip else 1
            to_source[2 - source, 3] = shape[source] - 1 if flip else 0
        return affine @ to_source

    def _flip_slices(self) -> tuple[slice, ...]:
        return tuple(slice(None, None, -1 if flip else 1) for flip in self.flips)


def contiguous(array: np.ndarray) -> np.ndarray:
    """Return a C-contiguous copy of an array, or the array itself if it is C-contiguous.

    The array is copied in blocks that fit into the processor's caches. NumPy's own copy of a
    transposed view loads each line of memory many times; this takes a third of the time if z is
    the fastest axis.

    Args:
        array: Three axes with any strides.
    """
    if array.flags.c_contiguous:
        return array
    copy = np.empty(array.shape, array.dtype)
    for corner in np.ndindex(*(-(-length // _BLOCK) for length in array.shape)):
        block = tuple(slice(index * _BLOCK, (index + 1) * _BLOCK) for index in corner)
        copy[block] = array[block]
    return copy


def to_canonical(volume: Volume) -> Volume:
    """Bring a volume into radiological axial order, without interpolation.

    Args:
        volume: Volume in any of the 48 axis orders, possibly oblique.

    Returns:
        A volume whose rows point to posterior, columns to the patient's left and z to superior
        (in oblique grids, as closely as the voxel axes do). Its array is a view of the same
        voxels. It has no header, because its grid differs from that of the file.
    """
    orientation = Orientation.of(volume.affine)
    return replace(
        volume,
        array=orientation.to_canonical(volume.array),
        affine=orientation.canonical_affine(volume.affine, volume.array.shape),
        header=None,
    )
