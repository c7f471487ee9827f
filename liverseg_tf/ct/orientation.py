"""Canonical order: radiological axial slices, and the exact way back."""

from dataclasses import dataclass

import nibabel as nib
import numpy as np

from liverseg_tf.ct.volume import Volume

# Canonical voxel axes (col, row, z) run to the patient's left, posterior and superior. In
# RAS+ millimetres, left and posterior are the negative directions of axes 0 and 1.
CANONICAL_SIGNS = (-1, -1, 1)
_BLOCK = 32


@dataclass(frozen=True)
class Orientation:
    """A permutation and flips that bring an array into canonical order.

    Args:
        axes: for each canonical array axis (z, row, col), the array axis of the source.
        flips: for each canonical array axis, whether the source runs the other way.

    Example:
        >>> Orientation.of(np.diag([-1.0, -1.0, 1.0, 1.0]))  # a file in LPS order
        Orientation(axes=(0, 1, 2), flips=(False, False, False))
    """

    axes: tuple[int, int, int]
    flips: tuple[bool, bool, bool]

    @classmethod
    def of(cls, affine: np.ndarray) -> "Orientation":
        """The orientation of a grid: each voxel axis goes to the anatomical axis it is nearest to.

        Args:
            affine: (4, 4), voxel (i, j, k) to RAS+ mm; oblique grids are allowed.
        """
        nearest = nib.io_orientation(affine)
        axes, flips = [0, 0, 0], [False, False, False]
        for source, (anatomical, sign) in enumerate(nearest):
            canonical = 2 - int(anatomical)
            axes[canonical] = 2 - source
            flips[canonical] = bool(sign != CANONICAL_SIGNS[int(anatomical)])
        return cls(tuple(axes), tuple(flips))

    def to_canonical(self, array: np.ndarray) -> np.ndarray:
        """A view of `array` (three axes in the source's order) as (z, row, col)."""
        return np.transpose(array, self.axes)[self._reversal()]

    def from_canonical(self, array: np.ndarray) -> np.ndarray:
        """A view of a canonical (z, row, col) array in the source's order: the exact inverse."""
        return np.transpose(array[self._reversal()], np.argsort(self.axes))

    def canonical_affine(self, affine: np.ndarray, shape: tuple[int, int, int]) -> np.ndarray:
        """The affine of the canonical array, (col, row, z) to RAS+ mm.

        Args:
            affine: (4, 4) of the source.
            shape: of the source's array, its axes as in `Volume.array`.
        """
        to_source = np.zeros((4, 4))
        to_source[3, 3] = 1
        for canonical, (source, flip) in enumerate(zip(self.axes, self.flips, strict=True)):
            to_source[2 - source, 2 - canonical] = -1 if flip else 1
            to_source[2 - source, 3] = shape[source] - 1 if flip else 0
        return affine @ to_source

    def _reversal(self) -> tuple[slice, ...]:
        return tuple(slice(None, None, -1 if flip else 1) for flip in self.flips)


def contiguous(array: np.ndarray) -> np.ndarray:
    """A C-contiguous copy of a view in another axis order; the array itself where it is one.

    Blocks fit into the processor's caches, where numpy's copy of a transposed view reads and
    drops each line of memory many times (a third of the time for z as the fastest axis).

    Args:
        array: three axes of any strides.
    """
    if array.flags.c_contiguous:
        return array
    copy = np.empty(array.shape, array.dtype)
    for corner in np.ndindex(*(-(-length // _BLOCK) for length in array.shape)):
        block = tuple(slice(at * _BLOCK, (at + 1) * _BLOCK) for at in corner)
        copy[block] = array[block]
    return copy


def to_canonical(volume: Volume) -> Volume:
    """Bring a volume into radiological axial order, without interpolation.

    Args:
        volume: in any of the 48 axis orders, oblique ones too.

    Returns:
        A volume whose rows run to posterior, columns to the patient's left and z to superior
        (for oblique grids: as nearly as voxel axes do). Its array is a view of the same
        voxels; it has no header, since it is not the file's grid any more.
    """
    orientation = Orientation.of(volume.affine)
    return Volume(
        orientation.to_canonical(volume.array),
        orientation.canonical_affine(volume.affine, volume.array.shape),
    )
