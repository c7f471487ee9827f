"""The affine of a NIfTI header: its sform, its qform, and its unit of length."""

from pathlib import Path

import nibabel as nib
import numpy as np

from liverseg_tf.ct.volume import check_affine
from liverseg_tf.errors import LiverSegError

FORMS = ("sform", "qform")
_UNIT_MM = {0: 1.0, 1: 1000.0, 2: 1.0, 3: 0.001}  # unknown (millimetres in practice), m, mm, um
_UNIT_BITS = 7
_TOLERANCE_VOXELS = 0.5


def affine_of(header: nib.Nifti1Header, path: Path, form: str | None = None) -> np.ndarray:
    """Compute the affine from voxels to mm.

    A spacing of 0 stays 0, so that `Volume` refuses it; nibabel would replace it by 1 mm.

    Args:
        header: Header with a shape of at least three axes.
        path: Path of the file, for error messages.
        form: The form to use if sform and qform disagree: "sform" or "qform". None refuses such
            a header.

    Returns:
        (4, 4) float64, from voxel (i, j, k) to RAS+ mm.

    Raises:
        LiverSegError: If the unit is not known, or the two forms place a corner of the volume
            more than half a voxel apart (without an sform or a qform: if the spacings differ as
            much).
        ValueError: If the quaternion of the form in use is not possible.
    """
    unit = int(header["xyzt_units"]) & _UNIT_BITS
    if unit not in _UNIT_MM:
        raise LiverSegError(
            f"Expected a unit of length from 0 to 3 (xyzt_units) in {path}. Received {unit}: "
            "correct the header."
        )
    pixdim = header["pixdim"]
    shape = np.array((*header.get_data_shape(), 1, 1, 1)[:3])
    header = header.copy()
    header["pixdim"][:4] = (-1 if pixdim[0] == -1 else 1, *np.abs(pixdim[1:4]))
    with np.errstate(over="ignore", invalid="ignore"):  # `Volume` refuses infinity and NaN
        affine = np.array(_choose_form(header, shape, path, form), np.float64)
        affine[:3] *= _UNIT_MM[unit]
    return affine


def lacks_orientation(header: nib.Nifti1Header) -> bool:
    """Return whether a header has neither sform nor qform, so that its axes are assumed."""
    return not (header["sform_code"] > 0 or header["qform_code"] > 0)


def _choose_form(
    header: nib.Nifti1Header, shape: np.ndarray, path: Path, form: str | None
) -> np.ndarray:
    has_sform, has_qform = header["sform_code"] > 0, header["qform_code"] > 0
    if not has_sform:
        return header.get_best_affine()
    sform = header.get_sform()
    if form == "sform":
        return sform
    if form == "qform" and has_qform:
        return header.get_qform()
    spacing = header["pixdim"][1:4].astype(np.float64)
    if not has_qform and (not np.isfinite(spacing).all() or spacing.min() <= 0):
        return sform  # there is nothing that contradicts it
    try:
        check_affine(sform)
    except LiverSegError:
        return sform  # `Volume` refuses it
    sform_spacing = nib.affines.voxel_sizes(sform)
    if has_qform:
        try:
            other = header.get_qform()
        except ValueError:
            raise _disagreement(path, "a qform that is not possible") from None
        corners = np.indices((2, 2, 2)).reshape(3, -1).T * (shape - 1)
        apart = nib.affines.apply_affine(sform, corners) - nib.affines.apply_affine(other, corners)
        distance = float(np.linalg.norm(apart, axis=1).max())
        smallest = min(sform_spacing.min(), nib.affines.voxel_sizes(other).min())
    else:
        distance = float((np.abs(sform_spacing - spacing) * shape).max())
        smallest = min(sform_spacing.min(), spacing.min())
    if not distance <= _TOLERANCE_VOXELS * smallest:
        received = (
            f"voxels of {_format(sform_spacing)} and {_format(spacing)}, "
            f"with corners up to {distance:.3g} apart"
        )
        raise _disagreement(path, received, "qform" if has_qform else "pixdim")
    return sform


def _disagreement(path: Path, received: str, other: str = "qform") -> LiverSegError:
    choices = "--use-sform or --use-qform" if other == "qform" else "--use-sform if it is right"
    return LiverSegError(
        f"Expected an sform and a {other} that agree in {path}. Received {received}: "
        f"set {choices}, or correct the header."
    )


def _format(values: np.ndarray) -> str:
    return " x ".join(f"{value:.4g}" for value in values)
