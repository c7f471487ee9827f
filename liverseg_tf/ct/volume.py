"""Volumes: voxels and their position in the patient."""

import math
from collections.abc import Iterable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np

from liverseg_tf.errors import LiverSegError

ORTHONORMAL_TOLERANCE = 1e-3
GRID_TOLERANCE_VOXELS = 0.1
SPACING_RANGE_MM = (0.01, 100.0)
MAX_LENGTH_MM = 5000.0
_REPR_VOXELS = 1 << 20  # approximate number of voxels that `repr` examines


@dataclass(frozen=True, eq=False)
class Volume:
    """Voxels of a CT, an MR or a label map, and their position in the patient.

    Its representation is one line with the shape and the spacing along (z, row, col), the
    directions of the file's axes i, j, k as in nibabel, the dtype, and the range of the values
    (approximate for large volumes, of which a sample is examined).

    Args:
        array: (z, row, col) in HU, MR units or labels: the voxels of a file with the axes
            reversed, so that a slice is contiguous.
        affine: (4, 4) float64, from voxel (i, j, k) = (col, row, z) of `array` to RAS+ mm.
        header: NIfTI header that was read with the array; masks are written with it.
        modality: DICOM Modality, for example "CT" or "MR"; empty if the file does not state it.
        lacks_orientation: Whether the file does not state the directions of its axes, so that those
            of the affine are assumed.
        warnings: What had to be assumed while reading, one line each, for `check` and `predict`.

    Raises:
        LiverSegError: If the array is empty or not 3D, or the axes of the affine are not
            orthogonal.

    Example:
        >>> ct = Volume(np.zeros((2, 4, 3), np.int16), np.diag([0.7, 0.8, 5.0, 1.0]))
        >>> ct.spacing_mm
        (5.0, 0.8, 0.7)
        >>> ct
        Volume(shape: 2 x 4 x 3; spacing_mm: 5 x 0.8 x 0.7; orientation: RAS; int16: 0 to 0)
    """

    array: np.ndarray
    affine: np.ndarray
    header: nib.Nifti1Header | None = None
    modality: str = ""
    lacks_orientation: bool = False
    warnings: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if self.array.ndim != 3 or 0 in self.array.shape:
            raise LiverSegError(
                f"Expected a 3D volume. Received the shape {self.array.shape[::-1]}."
            )
        object.__setattr__(self, "affine", np.asarray(self.affine, np.float64))
        check_affine(self.affine)

    def __repr__(self) -> str:
        shape = " x ".join(map(str, self.array.shape))
        spacing = " x ".join(f"{mm:.4g}" for mm in self.spacing_mm)
        orientation = "".join(nib.aff2axcodes(self.affine))
        return (
            f"Volume(shape: {shape}; spacing_mm: {spacing}; orientation: {orientation}; "
            f"{self.array.dtype}: {_describe_values(self.array)})"
        )

    @property
    def spacing_mm(self) -> tuple[float, float, float]:
        """Distance between neighbouring voxels along (z, row, col), in mm."""
        col_mm, row_mm, z_mm = (float(mm) for mm in nib.affines.voxel_sizes(self.affine))
        return z_mm, row_mm, col_mm

    @property
    def voxel_volume_ml(self) -> float:
        """Volume of one voxel in ml."""
        return float(np.prod(self.spacing_mm)) / 1000

    def with_array(self, array: np.ndarray) -> "Volume":
        """Return a volume with the same grid and header and other voxels of the same shape."""
        if array.shape != self.array.shape:
            raise LiverSegError(
                f"Expected voxels of the shape {self.array.shape[::-1]}. "
                f"Received {array.shape[::-1]}."
            )
        return replace(self, array=array)


def check_affine(affine: np.ndarray) -> None:
    """Check that an affine consists of spacing, rotation or reflection, and translation.

    Sheared axes (gantry tilt, faulty registration) are refused, because tools that keep only
    spacing and direction would shift the voxels without a warning.

    Args:
        affine: (4, 4) float64, from voxel (i, j, k) to RAS+ mm.

    Raises:
        LiverSegError: If a value is not finite, a spacing is 0, or the direction cosines are not
            orthonormal.
    """
    if affine.shape != (4, 4):
        raise LiverSegError(
            f"Expected a finite affine of the shape (4, 4). Received the shape {affine.shape}."
        )
    if not np.isfinite(affine).all():
        raise LiverSegError("Expected a finite affine. Received NaN or infinite values in it.")
    with np.errstate(over="ignore"):
        spacing = np.linalg.norm(affine[:3, :3], axis=0)
    if spacing.min() < 1e-6:
        raise LiverSegError(
            "Expected an affine with a spacing above 0 mm along each axis. "
            f"Received the spacing {_format_vector(spacing)} mm."
        )
    cosines = affine[:3, :3] / spacing
    error = np.abs(cosines.T @ cosines - np.eye(3)).max()
    if error > ORTHONORMAL_TOLERANCE:
        raise LiverSegError(
            "Expected an affine with orthonormal direction cosines "
            f"(within {ORTHONORMAL_TOLERANCE:g}). Received axes that deviate by {error:.3g} "
            "(a sheared or tilted grid: resample the image to an orthogonal grid first)."
        )


def volume_of_file(path: Path, any_spacing: bool, array: np.ndarray, **fields: Any) -> Volume:
    """Make a volume of what was read from a file; errors name the file.

    Args:
        path: Path of the file.
        any_spacing: Whether implausible spacings are allowed, because they are corrected later.
        array: See `Volume`.
        fields: Further fields of `Volume`.

    Raises:
        LiverSegError: If they are no volume, or its spacing cannot be that of a patient.
    """
    try:
        volume = Volume(array, **fields)
    except LiverSegError as error:
        raise LiverSegError(f"{error} (file {path})") from error
    if not any_spacing:
        check_plausible_spacing(volume, path)
    return volume


def check_plausible_spacing(volume: Volume, source: object) -> None:
    """Check that the spacing is that of a scan of a patient, and not in other units than mm.

    Args:
        volume: Volume with a spacing from a header.
        source: File or series, for the error message.

    Raises:
        LiverSegError: If a spacing is below 0.01 mm or above 100 mm, or the volume is longer than
            5 m along an axis.
    """
    spacing = np.array(volume.spacing_mm[::-1])
    length_mm = float((spacing * volume.array.shape[::-1]).max())
    smallest, largest = SPACING_RANGE_MM
    if spacing.min() < smallest or spacing.max() > largest or length_mm > MAX_LENGTH_MM:
        raise LiverSegError(
            f"Expected a spacing from {smallest:g} to {largest:g} mm and at most "
            f"{MAX_LENGTH_MM / 1000:g} m along each axis in {source}. Received "
            f"{_format_vector(spacing)} mm and up to {length_mm / 1000:.3g} m (not in mm, or "
            "a wrong header?): correct the header, or set --spacing-of in `check` and `preprocess`."
        )


def count_not_finite(array: np.ndarray) -> int:
    """Count the voxels of (z, row, col) that are NaN or infinite."""
    if array.dtype.kind != "f":
        return 0
    return sum(plane.size - np.count_nonzero(np.isfinite(plane)) for plane in array)


def check_finite(image: Volume) -> None:
    """Check that every voxel is finite, because the meaning of other voxels is unknown.

    Raises:
        LiverSegError: If voxels are NaN or infinite; the message gives their number.
    """
    count = count_not_finite(image.array)
    if count:
        raise LiverSegError(
            f"Expected finite values in the image. Received {count} of {image.array.size} voxels "
            "that are NaN or infinite: replace them first (air has -1024 HU)."
        )


def check_same_grid(image: Volume, mask: Volume, names: str = "image and mask") -> None:
    """Check that a mask lies on the voxels of its image.

    Args:
        image: Image, or another mask.
        mask: Mask.
        names: What the two are called in the error message.

    Raises:
        LiverSegError: If the shapes differ, or if a corner of the mask's grid lies more than a
            tenth of the smallest spacing away from the same corner of the image's grid.
    """
    if image.array.shape != mask.array.shape:
        raise LiverSegError(
            f"Expected {names} on one grid. Received the shapes "
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
            f"Expected {names} on one grid. Received affines whose corners are up to "
            f"{shift_mm:.3g} mm apart: origins {_format_vector(image.affine[:3, 3])} and "
            f"{_format_vector(mask.affine[:3, 3])}, spacings "
            f"{_format_vector(image.spacing_mm[::-1])} and "
            f"{_format_vector(mask.spacing_mm[::-1])} mm."
        )


def _describe_values(array: np.ndarray) -> str:
    """Range of the finite values; of large arrays, every n-th voxel along each axis is examined."""
    if array.dtype.kind not in "biuf":
        return "not numeric"
    step = math.ceil((array.size / _REPR_VOXELS) ** (1 / 3))
    sample = np.asarray(array[::step, ::step, ::step])
    sample = sample[np.isfinite(sample)]
    if not sample.size:
        return "no finite values"
    return f"{'about ' if step > 1 else ''}{sample.min():g} to {sample.max():g}"


def _format_vector(values: Iterable[float]) -> str:
    return "(" + ", ".join(f"{value:.4g}" for value in values) + ")"
