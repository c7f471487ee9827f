"""Reading and checking of NIfTI headers, before any voxel is read."""

import warnings
from pathlib import Path
from typing import BinaryIO

import nibabel as nib
import numpy as np

from liverseg_tf.errors import LiverSegError, first_line

_FORM_CODES = range(6)
_EOL_CHECKS = {(0, 0, 0, 0), (13, 10, 26, 10)}
_MAX_OFFSET = 2**28  # of the voxels: extensions of 256 MB


def read_header(stream: BinaryIO, path: Path) -> nib.Nifti1Header:
    """Read the header of a NIfTI-1 or NIfTI-2 file, with its fields exactly as stored.

    Raises:
        LiverSegError: If there is no header, or its fields are not valid.
    """
    start = stream.read(540)
    for kind in (nib.Nifti1Header, nib.Nifti2Header):
        if kind.may_contain_header(start) and len(start) >= kind.sizeof_hdr:
            try:
                # checking would change the fields
                header = kind(start[: kind.sizeof_hdr], check=False)
                _check_fields(header)
                stream.seek(0)
                with warnings.catch_warnings():
                    warnings.simplefilter("ignore")  # about the sizes of extensions
                    header = kind.from_fileobj(stream, check=False)
                header.get_data_shape(), header.get_slope_inter()
                return header
            except (nib.spatialimages.HeaderDataError, ValueError, OverflowError) as error:
                raise LiverSegError(
                    f"Expected a valid NIfTI header in {path}. Received: {first_line(error)}."
                ) from error
    raise LiverSegError(f"Expected a NIfTI file at {path}. Received {_describe(start, path)}.")


def choose_channel(
    header: nib.Nifti1Header, channel: int | None, path: Path
) -> tuple[nib.Nifti1Header, int]:
    """Return the header of one volume of a 4D file, and the index of this volume.

    Args:
        header: Header of the file.
        channel: Index of the volume; None stands for the only one and leaves the header of a
            file with several unchanged.
        path: Path of the file, for error messages.

    Raises:
        LiverSegError: If the file has no such volume.
    """
    shape = header.get_data_shape()
    if len(shape) > 4 and set(shape[4:]) == {1}:  # axes of one element say nothing
        shape = shape[:4]
    if len(shape) not in (3, 4) or min(shape) < 1 or (channel is None and (*shape, 1)[3] != 1):
        return header, 0
    channel = channel or 0
    count = shape[3] if len(shape) == 4 else 1
    if not 0 <= channel < count:
        raise LiverSegError(
            f"Expected a channel from 0 to {count - 1} of {path}. Received {channel}."
        )
    if len(header.get_data_shape()) == 3:
        return header, 0
    header = header.copy()
    header.set_data_shape(shape[:3])  # masks of the volume are 3D
    return header, channel


def check_scalar_image(shape: tuple[int, ...], dtype: np.dtype, path: Path) -> None:
    """Check that an image is 3D and scalar.

    Raises:
        LiverSegError: If it is not; the message gives its shape or data type.
    """
    if len(shape) != 3 or min(shape) < 1:
        hint = ""
        if len(shape) == 4 and shape[2] == 1:
            hint = " (are its slices along the fourth axis? Remove the third axis, which has one)"
        elif len(shape) > 3 and min(shape) > 0:
            hint = " (choose one of its volumes: --channel 0)"
        raise LiverSegError(
            f"Expected a 3D image in {path}. Received the shape {tuple(map(int, shape))}{hint}."
        )
    if dtype.kind not in "iuf":
        raise LiverSegError(
            f"Expected integers or floats in {path}. Received the data type {dtype} "
            "(a colour or complex image)."
        )


def _check_fields(header: nib.Nifti1Header) -> None:
    offset, code = float(header["vox_offset"]), int(header["datatype"])
    magic = header["magic"].item()
    if magic == header.pair_magic:
        raise ValueError(
            "the header of a pair of .hdr and .img, which is not read: convert it to one .nii file"
        )
    if magic != header.single_magic:
        raise ValueError(f"the unknown format {magic!a}")
    if "eol_check" in header and tuple(header["eol_check"]) not in _EOL_CHECKS:
        raise ValueError("a file in which a transfer as text has changed line ends")
    if not 0 <= header["dim"][0] <= 7:
        raise ValueError(f"{int(header['dim'][0])} dimensions")
    for name in ("sform_code", "qform_code"):
        if header[name] not in _FORM_CODES:
            raise ValueError(f"the unknown {name} {int(header[name])}")
    if not header.single_vox_offset <= offset <= _MAX_OFFSET or offset % 1:
        raise ValueError(f"voxels at byte {offset:g}, which is not possible")
    if np.isinf(header["scl_slope"]):
        raise ValueError("an infinite scl_slope")
    if header["qform_code"] > 0 and float(header["pixdim"][0]) not in (-1, 0, 1):
        raise ValueError(  # its sign mirrors the slices, and readers disagree about other values
            f"pixdim[0] of {float(header['pixdim'][0]):g} instead of 1 or -1"
        )
    if code not in nib.nifti1.data_type_codes:
        raise ValueError(f"unknown data type {code}")
    bits, expected = int(header["bitpix"]), 8 * header.get_data_dtype().itemsize
    if bits not in (0, expected) and expected:
        raise ValueError(f"{bits} bits per voxel for a data type of {expected} bits")


def _describe(start: bytes, path: Path) -> str:
    """Describe the start of a file that is no NIfTI file."""
    if not start:
        return "an empty file"
    if start[:2] == b"\x1f\x8b":
        if path.name.lower().endswith(".nii"):
            return "a compressed file: rename it to .nii.gz"
        return "a compressed file of another format: convert it to NIfTI"
    if start[:4] in (b"\x5c\x01\0\0", b"\0\0\x01\x5c"):  # 348, the size of the header
        return "another file (an Analyze header, or a damaged one): convert it to NIfTI"
    return "another file (no NIfTI header)"
