"""Reading and checking of NIfTI headers, before any voxel is read."""

from pathlib import Path
from typing import BinaryIO

import nibabel as nib
import numpy as np

from liverseg_tf.ct.volume import check_size
from liverseg_tf.errors import LiverSegError


def read_header(stream: BinaryIO, path: Path) -> nib.Nifti1Header:
    """Read the header of a NIfTI-1 or NIfTI-2 file, with its fields exactly as stored.

    Raises:
        LiverSegError: If there is no header, or its fields are not valid.
    """
    start = stream.read(540)
    for kind in (nib.Nifti1Header, nib.Nifti2Header):
        if kind.may_contain_header(start):
            stream.seek(0)
            try:
                header = kind.from_fileobj(stream, check=False)  # checking would change the fields
                header.get_data_shape(), header.get_slope_inter(), affine_of(header)
                _check_fields(header)
                return header
            except (nib.spatialimages.HeaderDataError, ValueError) as error:
                raise LiverSegError(
                    f"Expected a valid NIfTI header in {path}. Received: {error}."
                ) from error
    raise LiverSegError(
        f"Expected a NIfTI file at {path}. "
        f"Received {'an empty file' if not start else 'another file (no NIfTI header)'}."
    )


def affine_of(header: nib.Nifti1Header) -> np.ndarray:
    """Compute the affine from voxels to mm.

    A spacing of 0 stays 0, so that `Volume` refuses it; nibabel would replace it by 1 mm.
    """
    pixdim = header["pixdim"]
    header = header.copy()
    header["pixdim"][:4] = (-1 if pixdim[0] == -1 else 1, *np.abs(pixdim[1:4]))
    return header.get_best_affine()


def choose_channel(
    header: nib.Nifti1Header, channel: int | None, path: Path
) -> tuple[nib.Nifti1Header, int]:
    """Return the header of one volume of a 4D file, and the index of this volume.

    Args:
        header: Header of the file.
        channel: Index of the volume; None leaves the header unchanged.
        path: Path of the file, for error messages.

    Raises:
        LiverSegError: If the file has no such volume.
    """
    shape = header.get_data_shape()
    if channel is None or len(shape) not in (3, 4):
        return header, 0
    count = shape[3] if len(shape) == 4 else 1
    if not 0 <= channel < count:
        raise LiverSegError(
            f"Expected a channel from 0 to {count - 1} of {path}. Received {channel}."
        )
    header = header.copy()
    header.set_data_shape(shape[:3])  # masks of the volume are 3D
    return header, channel


def check_scalar_image(shape: tuple[int, ...], dtype: np.dtype, path: Path) -> None:
    """Check that an image is 3D and scalar and fits into memory.

    Raises:
        LiverSegError: If it is not; the message gives its shape or data type.
    """
    if len(shape) != 3 or min(shape) < 1:
        raise LiverSegError(
            f"Expected a 3D image in {path}. Received the shape {tuple(map(int, shape))}"
            f"{' (choose one of its volumes: --channel 0)' if len(shape) > 3 else ''}."
        )
    check_size(shape, dtype.itemsize, path)
    if dtype.kind not in "iuf":
        raise LiverSegError(
            f"Expected integers or floats in {path}. Received the data type {dtype} "
            "(a colour or complex image)."
        )


def _check_fields(header: nib.Nifti1Header) -> None:
    offset, code = float(header["vox_offset"]), int(header["datatype"])
    if not header.single_vox_offset <= offset < 2**40:
        raise ValueError(f"voxels at byte {offset:g}, which is not possible")
    if code not in nib.nifti1.data_type_codes:
        raise ValueError(f"unknown data type {code}")
