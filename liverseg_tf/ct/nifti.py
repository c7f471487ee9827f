"""Reading of NIfTI files, and writing of label maps on the grid of their image."""

import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from io import BufferedIOBase
from pathlib import Path

import nibabel as nib
import numpy as np
from isal import igzip, isal_zlib

from liverseg_tf.atomic import replacing
from liverseg_tf.ct.labels import as_labels
from liverseg_tf.ct.nifti_header import (
    affine_of,
    check_scalar_image,
    choose_channel,
    read_header,
)
from liverseg_tf.ct.rescale import rescale
from liverseg_tf.ct.volume import Volume
from liverseg_tf.errors import LiverSegError

SUFFIXES = (".nii.gz", ".nii")
_CHUNK_BYTES = 1 << 20
_GZIP_LEVEL = 2  # of 0 to 3 in isal; files as small as with zlib's default, six times faster


def nifti_stem(path: Path) -> str | None:
    """Return a file name without .nii or .nii.gz; None if it is hidden or has no such suffix."""
    for suffix in SUFFIXES:
        if path.name.lower().endswith(suffix) and not path.name.startswith("."):
            return path.name[: -len(suffix)]
    return None


def read_volume(path: Path, channel: int | None = None) -> Volume:
    """Read an image in the axis order of the file; slope and intercept are applied.

    Args:
        path: .nii or .nii.gz file, NIfTI-1 or NIfTI-2, in either byte order.
        channel: Index of the volume to read from a 4D file. For a 3D file, 0 means the file
            itself.

    Returns:
        A volume whose array (z, row, col) has the dtype described in `rescale`. NaN and infinity
        are kept.

    Raises:
        LiverSegError: If the file is missing, truncated, corrupt, not a scalar image or on a
            sheared grid, if it is 4D and no channel is given, or if it has no such channel.
    """
    header, raw = _read(Path(path), channel)
    slope, intercept = header.get_slope_inter()
    array = rescale(raw) if slope is None else rescale(raw, slope, intercept)
    return _volume(array, header, path)


def read_labels(path: Path) -> Volume:
    """Read a label map as uint8; floats that are nearly whole numbers are rounded.

    Raises:
        LiverSegError: As `read_volume`, and if a value is not a whole number from 0 to 255.
    """
    return as_labels(read_volume(path), path)


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


def _read(path: Path, channel: int | None) -> tuple[nib.Nifti1Header, np.ndarray]:
    """Read the header, and the stored values as (z, row, col) in the machine's byte order."""
    opener = igzip.open if path.name.lower().endswith(".gz") else open
    if path.exists() and not (path.is_file() or path.is_dir()):  # reading a pipe may never end
        raise LiverSegError(f"Expected a regular file at {path}. Received a pipe or a device.")
    try:
        with opener(path, "rb") as stream:
            header = read_header(stream, path)
            offset = int(header.get_data_offset())
            header, index = choose_channel(header, channel, path)
            shape, dtype = header.get_data_shape(), header.get_data_dtype()
            check_scalar_image(shape, dtype, path)
            size = int(np.prod(shape, dtype=object)) * dtype.itemsize
            stream.seek(offset + index * size)
            data = _read_exactly(stream, size)
    except EOFError as error:
        raise LiverSegError(
            f"Expected a whole NIfTI file at {path}. Received a truncated file."
        ) from error
    # isal's stubs declare this class as an instance of it
    except (OSError, zlib.error, isal_zlib.error) as error:  # type: ignore[misc]
        reason = getattr(error, "strerror", None) or str(error)
        raise LiverSegError(f"Expected a NIfTI file at {path}. Received: {reason}.") from error
    raw = np.frombuffer(data, dtype).reshape(shape[::-1])
    return header, raw.astype(dtype.newbyteorder("="), copy=False)


def _read_exactly(stream: BufferedIOBase, size: int) -> np.ndarray:
    """Read `size` bytes. Memory is reserved for all of them, but used only as they are read."""
    data = np.empty(size, np.uint8)
    view = data.data
    start = 0
    while start < size:
        count = stream.readinto(view[start : start + _CHUNK_BYTES])
        if not count:
            raise EOFError
        start += count
    return data


def _volume(array: np.ndarray, header: nib.Nifti1Header, path: Path) -> Volume:
    try:
        return Volume(array, affine_of(header), header)
    except LiverSegError as error:
        raise LiverSegError(f"{error} (file {path})") from error
