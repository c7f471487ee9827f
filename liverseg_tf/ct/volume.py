"""A volume: voxels, and where they lie in the patient."""

import math
import os
from dataclasses import dataclass, replace

import nibabel as nib
import numpy as np

from liverseg_tf.errors import LiverSegError

ORTHONORMAL_TOLERANCE = 1e-3
GRID_TOLERANCE_VOXELS = 0.1
LARGEST_VOXELS = 2**32


@dataclass(frozen=True, eq=False)
class Volume:
    """Voxels of a CT, an MR or a label map, with their place in the patient.

    Args:
        array: (z, row, col), HU, MR units or labels: a file's voxels with its axes reversed,
            so that a slice is contiguous.
        affine: (4, 4) float64; maps the voxel (i, j, k) = (col, row, z) of `array` to RAS+ mm.
        header: the NIfTI header that the array was read with; masks are written back with it.

    Raises:
        LiverSegError: when the array is not 3D or empty, or the affine is no grid of
            orthogonal axes.

    Example:
        >>> ct = Volume(np.zeros((2, 4, 3), np.int16), np.diag([0.7, 0.8, 5.0, 1.0]))
        >>> ct.spacing_mm
        (5.0, 0.8, 0.7)
    """

    array: np.ndarray
    affine: np.ndarray
    header: nib.Nifti1Header | None = None

    def __post_init__(self) -> None:
        if self.array.ndim != 3 or 0 in self.array.shape:
            raise LiverSegError(
                f"Expected a 3D volume. Received the shape {self.array.shape[::-1]}."
            )
        object.__setattr__(self, "affine", np.asarray(self.affine, np.float64))
        check_affine(self.affine)

    @property
    def spacing_mm(self) -> tuple[float, float, float]:
        """Distance of neighbouring voxels along (z, row, col), in mm."""
        return tuple(float(mm) for mm in nib.affines.voxel_sizes(self.affine)[::-1])

    @property
    def voxel_volume_ml(self) -> float:
        """Volume of one voxel in ml."""
        return float(np.prod(self.spacing_mm)) / 1000

    def with_array(self, array: np.ndarray) -> "Volume":
        """The same grid and header with other voxels of the same shape."""
        if array.shape != self.array.shape:
            raise LiverSegError(
                f"Expected voxels of the shape {self.array.shape[::-1]}. "
                f"Received {array.shape[::-1]}."
            )
        return replace(self, array=array)


def check_affine(affine: np.ndarray) -> None:
    """Refuse an affine that is not spacing times a rotation or reflection, plus an origin.

    Sheared axes (gantry tilt, a bad registration) would be shifted in silence by every tool
    that keeps only spacing and direction.

    Args:
        affine: (4, 4) float64, voxel (i, j, k) to RAS+ mm.

    Raises:
        LiverSegError: on NaN, a zero spacing, or direction cosines that are not orthonormal.
    """
    if affine.shape != (4, 4) or not np.isfinite(affine).all():
        raise LiverSegError(f"Expected a finite affine of 4x4. Received {affine.tolist()}.")
    spacing = np.linalg.norm(affine[:3, :3], axis=0)
    if spacing.min() < 1e-6:
        raise LiverSegError(
            "Expected an affine with a spacing above 0 mm along each axis. "
            f"Received the spacing {_numbers(spacing)} mm."
        )
    cosines = affine[:3, :3] / spacing
    error = np.abs(cosines.T @ cosines - np.eye(3)).max()
    if error > ORTHONORMAL_TOLERANCE:
        raise LiverSegError(
            "Expected an affine with orthonormal direction cosines "
            f"(within {ORTHONORMAL_TOLERANCE:g}). Received axes that are off by {error:.3g} "
            "(a sheared or tilted grid: resample the image onto an orthogonal one first)."
        )


def check_size(shape: tuple[int, ...], voxel_bytes: int, what: object) -> None:
    """Refuse a volume that can't be held, before anything of it is allocated.

    Args:
        shape: as a header claims it.
        voxel_bytes: size of a voxel.
        what: file or series, for the error.

    Raises:
        LiverSegError: above 2^32 voxels, or above half of the machine's memory.
    """
    voxels = np.prod(shape, dtype=object)
    if voxels > LARGEST_VOXELS:
        raise LiverSegError(
            f"Expected at most {LARGEST_VOXELS} voxels in {what}. "
            f"Received the shape {tuple(map(int, shape))}."
        )
    memory = _memory_bytes() / 2  # it becomes tiles beside itself
    if voxels * voxel_bytes > memory:
        raise LiverSegError(
            f"Expected at most {memory / 1e9:.1f} GB (half of the memory) in {what}. "
            f"Received {voxels * voxel_bytes / 1e9:.1f} GB, the shape {tuple(map(int, shape))}."
        )


def count_not_finite(array: np.ndarray) -> int:
    """Voxels of (z, row, col) that are NaN or infinite."""
    if array.dtype.kind != "f":
        return 0
    return sum(plane.size - np.count_nonzero(np.isfinite(plane)) for plane in array)


def check_finite(image: Volume) -> None:
    """Refuse an image with voxels that are no numbers: they are lost, or mean something unsaid.

    Raises:
        LiverSegError: with how many there are.
    """
    count = count_not_finite(image.array)
    if count:
        raise LiverSegError(
            f"Expected finite values in the image. Received {count} of {image.array.size} voxels "
            "that are NaN or infinite: replace them first (air has -1024 HU)."
        )


def check_same_grid(image: Volume, mask: Volume) -> None:
    """Refuse a mask that does not lie on the image's voxels.

    Raises:
        LiverSegError: when the shapes differ, or a corner of the grid lies more than a tenth
            of the smallest spacing away from the image's corner.
    """
    if image.array.shape != mask.array.shape:
        raise LiverSegError(
            "Expected image and mask on one grid. Received the shapes "
            f"{image.array.shape[::-1]} and {mask.array.shape[::-1]}."
        )
    last = np.array(image.array.shape[::-1]) - 1
    corners = np.array([(i, j, k) for i in (0, 1) for j in (0, 1) for k in (0, 1)]) * last
    shift = nib.affines.apply_affine(image.affine, corners) - nib.affines.apply_affine(
        mask.affine, corners
    )
    shift_mm = float(np.linalg.norm(shift, axis=1).max())
    if shift_mm > GRID_TOLERANCE_VOXELS * min(image.spacing_mm):
        raise LiverSegError(
            "Expected image and mask on one grid. Received affines whose corners are up to "
            f"{shift_mm:.3g} mm apart: origins {_numbers(image.affine[:3, 3])} and "
            f"{_numbers(mask.affine[:3, 3])}, spacings {_numbers(image.spacing_mm[::-1])} and "
            f"{_numbers(mask.spacing_mm[::-1])} mm."
        )


def _numbers(values: np.ndarray) -> str:
    return "(" + ", ".join(f"{value:.4g}" for value in values) + ")"


def _memory_bytes() -> float:
    try:
        return float(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES"))
    except (AttributeError, ValueError, OSError):  # Windows does not tell
        return math.inf
