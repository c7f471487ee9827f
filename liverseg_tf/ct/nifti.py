"""Reading of NIfTI files, and writing of label maps on the grid of their image."""

import math
from collections.abc import Iterator
from contextlib import contextmanager
from io import BufferedIOBase
from pathlib import Path
from typing import BinaryIO

import nibabel as nib
import numpy as np
from isal import igzip

from liverseg_tf.atomic import replacing
from liverseg_tf.ct.checked_stream import (
    check_surplus,
    count_to_end,
    is_compressed,
    open_checked,
    read_exactly,
    surplus_limit,
)
from liverseg_tf.ct.labels import as_labels
from liverseg_tf.ct.nifti_forms import affine_of, lacks_orientation
from liverseg_tf.ct.nifti_header import check_scalar_image, choose_channel, read_header
from liverseg_tf.ct.rescale import peak_bytes, rescale
from liverseg_tf.ct.size_limit import check_size
from liverseg_tf.ct.volume import Volume, volume_of_file
from liverseg_tf.errors import LiverSegError, first_line

SUFFIXES = (".nii.gz", ".nii")
_GZIP_LEVEL = 2  # of 0 to 3 in isal; files as small as with zlib's default, six times faster


def nifti_stem(path: Path) -> str | None:
    """Return a file name without .nii or .nii.gz; None if it is hidden or has no such suffix."""
    for suffix in SUFFIXES:
        if path.name.lower().endswith(suffix) and not path.name.startswith("."):
            return path.name[: -len(suffix)]
    return None


def read_volume(
    path: Path, channel: int | None = None, form: str | None = None, any_spacing: bool = False
) -> Volume:
    """Read an image in the axis order of the file; slope, intercept and units are applied.

    Args:
        path: .nii or .nii.gz file, NIfTI-1 or NIfTI-2, in either byte order.
        channel: Index of the volume to read from a 4D file. For a 3D file, 0 means the file
            itself.
        form: The form to use if sform and qform disagree; see `affine_of`.
        any_spacing: Whether implausible spacings are read, because they are corrected later.

    Returns:
        A volume whose array (z, row, col) has the dtype described in `rescale`. NaN and infinity
        are kept.

    Raises:
        LiverSegError: If the file is missing, truncated, corrupt, not a scalar image or on a
            sheared grid, if it is 4D and no channel is given, or if it has no such channel; if
            its sform and qform disagree, or its spacing cannot be that of a patient.
    """
    path = Path(path)
    header, affine, raw, notes = _read(path, channel, form)
    return volume_of_file(
        path,
        any_spacing,
        rescale(raw, *_scaling(header)),
        affine=affine,
        header=header,
        lacks_orientation=lacks_orientation(header),
        warnings=notes,
    )


def read_labels(path: Path, form: str | None = None) -> Volume:
    """Read a label map as uint8; floats that are nearly whole numbers are rounded.

    Args:
        path: See `read_volume`.
        form: See `read_volume`.

    Raises:
        LiverSegError: As `read_volume`, and if a value is not a whole number from 0 to 255.
    """
    return as_labels(read_volume(path, form=form), path)


def read_image_size(
    path: Path, channel: int | None = None
) -> tuple[tuple[int, int, int], np.dtype, tuple[float, float, float]]:
    """Read the size of an image from its header, without its voxels.

    Args:
        path: See `read_volume`.
        channel: See `read_volume`.

    Returns:
        The shape along the file's axes i, j, k, the data type of the stored values (float32 if
        slope or intercept make floats of them), and the spacing along these axes in mm (of the
        sform, if sform and qform disagree).

    Raises:
        LiverSegError: If there is no valid header of a 3D image.
    """
    path = Path(path)
    with open_checked(path) as stream:
        header, _, _ = _read_header_of(stream, path, channel)
    try:
        affine = affine_of(header, path, "sform")
    except ValueError as error:
        raise _invalid(path, error) from error
    i, j, k = map(int, header.get_data_shape())
    i_mm, j_mm, k_mm = map(float, nib.affines.voxel_sizes(affine))
    dtype = header.get_data_dtype()
    if not all(map(float.is_integer, _scaling(header))):
        dtype = np.dtype(np.float32)
    return (i, j, k), dtype, (i_mm, j_mm, k_mm)


def write_labels(path: Path, labels: Volume) -> None:
    """Write a label map as uint8 NIfTI, atomically.

    If the volume has the header of its image, the file has the same shape, affine, form codes
    and units as the image, bit for bit.

    Args:
        path: .nii or .nii.gz file.
        labels: Label map, array (z, row, col) uint8.

    Raises:
        LiverSegError: If the dtype or the suffix is wrong, or the file cannot be written.
    """
    if labels.array.dtype != np.uint8:
        raise LiverSegError(f"Expected labels as uint8 for {path}. Received {labels.array.dtype}.")
    write_volume(path, labels)


def write_volume(path: Path, volume: Volume) -> None:
    """Write a volume of any dtype; see `write_labels`."""
    path = Path(path)
    if not path.name.endswith(SUFFIXES):
        raise LiverSegError(f"Expected a file name ending in .nii or .nii.gz. Received {path}.")
    header = output_header(volume)
    with replacing(path) as partial, create(partial) as stream:
        header.write_to(stream)
        stream.write(b"\0" * (header.get_data_offset() - stream.tell()))
        array = np.ascontiguousarray(volume.array, header.get_data_dtype())
        stream.write(array.data.cast("B"))


def output_header(volume: Volume) -> nib.Nifti1Header:
    """Make the header of a file to be written, from the volume's header if it has one."""
    if volume.header is None:
        header = nib.Nifti1Header()
        header.set_data_shape(volume.array.shape[::-1])
        header.set_sform(volume.affine, code="scanner")
        header.set_qform(volume.affine, code="scanner")
        header.set_xyzt_units("mm")
    else:
        header = volume.header.copy()
    header.set_data_dtype(volume.array.dtype.newbyteorder("="))
    header.set_slope_inter(1, 0)
    header["cal_min"] = header["cal_max"] = 0  # the display range of the CT would hide the labels
    header["descrip"] = b"liverseg_tf"
    header["magic"] = header.single_magic
    header.set_data_offset(0)  # nibabel then places the voxels after header and extensions
    return header


@contextmanager
def create(path: Path) -> Iterator[BufferedIOBase]:
    """Open a new file for writing, compressed if its name ends in .gz."""
    with open(path, "wb") as file:
        if path.name.endswith(".gz"):  # no name and no time: equal masks give equal files
            with igzip.IGzipFile("", "wb", _GZIP_LEVEL, file, mtime=0) as stream:
                yield stream
        else:
            yield file


def _read(
    path: Path, channel: int | None, form: str | None
) -> tuple[nib.Nifti1Header, np.ndarray, np.ndarray, tuple[str, ...]]:
    """Read a file to its end.

    Returns:
        The header, the affine, the stored values as (z, row, col) in the machine's byte order,
        and warnings.
    """
    with open_checked(path) as stream:
        header, index, total = _read_header_of(stream, path, channel)
        shape, dtype = header.get_data_shape(), header.get_data_dtype()
        check_size(shape, peak_bytes(dtype, *_scaling(header)), path)
        try:
            affine = affine_of(header, path, form)
        except ValueError as error:
            raise _invalid(path, error) from error
        offset = int(header.get_data_offset())
        size = math.prod(map(int, shape)) * dtype.itemsize
        if not is_compressed(path) and path.stat().st_size < offset + total:
            raise EOFError
        stream.seek(offset + index * size)
        data = read_exactly(stream, size)
        rest = total - (index + 1) * size
        surplus = count_to_end(stream, rest, surplus_limit(shape, size))
    notes = check_surplus(surplus, shape, size, path)
    intercept = float(header["scl_inter"])
    if header.get_slope_inter()[0] is None and intercept and np.isfinite(intercept):
        notes = (*notes, f"scl_inter of {intercept:g} ignored, because there is no scl_slope")
    raw = np.frombuffer(data, dtype).reshape(shape[::-1])
    return header, affine, raw.astype(dtype.newbyteorder("="), copy=False), notes


def _read_header_of(
    stream: BinaryIO, path: Path, channel: int | None
) -> tuple[nib.Nifti1Header, int, int]:
    """Return the header of one volume, the index of the volume, and the bytes of all volumes."""
    header = read_header(stream, path)
    total = math.prod(map(int, header.get_data_shape())) * header.get_data_dtype().itemsize
    header, index = choose_channel(header, channel, path)
    check_scalar_image(header.get_data_shape(), header.get_data_dtype(), path)
    return header, index, total


def _scaling(header: nib.Nifti1Header) -> tuple[float, float]:
    slope, intercept = header.get_slope_inter()
    return (1.0, 0.0) if slope is None else (float(slope), float(intercept))


def _invalid(path: Path, error: Exception) -> LiverSegError:
    return LiverSegError(f"Expected a valid NIfTI header in {path}. Received: {first_line(error)}.")
