"""NIfTI files in (images and label maps) and label maps out on the same grid."""

import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

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
_GZIP_LEVEL = 2  # isal's levels are 0 to 3; 2 is as small as zlib's default and six times faster


def nifti_stem(path: Path) -> str | None:
    """The file's name without .nii or .nii.gz; None where it is no NIfTI name or hidden."""
    for suffix in SUFFIXES:
        if path.name.lower().endswith(suffix) and not path.name.startswith("."):
            return path.name[: -len(suffix)]
    return None


def read_volume(path: Path, channel: int | None = None) -> Volume:
    """Read an image: slope and intercept applied, in the file's own axis order.

    Args:
        path: .nii or .nii.gz, NIfTI-1 or NIfTI-2, either byte order.
        channel: of a 4D file, the volume that is read; 0 is a 3D file's own.

    Returns:
        A volume whose array (z, row, col) is float32 where the file stores floats or its slope
        or intercept is no whole number (NaN and infinity are kept). Whole numbers are uint8
        where the file stores them so, else int16, int32 or float32: the first that holds them.

    Raises:
        LiverSegError: when the file is missing, truncated, corrupt, no scalar image, or on a
            sheared grid; when it is 4D and no channel is named, or has no such channel.
    """
    header, raw = _read(Path(path), channel)
    slope, intercept = header.get_slope_inter()
    array = rescale(raw) if slope is None else rescale(raw, slope, intercept)
    return _volume(array, header, path)


def read_labels(path: Path) -> Volume:
    """Read a label map as uint8.

    Labels that were stored as floats are rounded where they are within 0.01 of a whole
    number (0.99999 occurs).

    Raises:
        LiverSegError: as `read_volume`, and when a value is no whole number from 0 to 255.
    """
    return as_labels(read_volume(path), path)


def write_labels(path: Path, labels: Volume) -> None:
    """Write a label map as uint8 NIfTI, whole or not at all.

    With its image's header, it has that image's shape, affine, codes and units bit for bit.

    Args:
        path: .nii or .nii.gz (compressed with isal).
        labels: array (z, row, col) uint8.

    Raises:
        LiverSegError: on another dtype or ending, or when the file can't be written.
    """
    if labels.array.dtype != np.uint8:
        raise LiverSegError(f"Expected labels as uint8 for {path}. Received {labels.array.dtype}.")
    write_volume(path, labels)


def write_volume(path: Path, volume: Volume) -> None:
    """Write any volume with its own dtype; see `write_labels`."""
    path = Path(path)
    if not path.name.endswith(SUFFIXES):
        raise LiverSegError(f"Expected a file name ending in .nii or .nii.gz. Received {path}.")
    header = output_header(volume)
    with replacing(path) as partial, create(partial) as stream:
        header.write_to(stream)
        stream.write(b"\0" * (header.get_data_offset() - stream.tell()))
        array = np.ascontiguousarray(volume.array, header.get_data_dtype())
        stream.write(memoryview(array).cast("B"))


def output_header(volume: Volume) -> nib.Nifti1Header:
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
    header["cal_min"] = header["cal_max"] = 0  # the CT's display range would hide the labels
    header["descrip"] = b"liverseg_tf"
    header["magic"] = header.single_magic
    header.set_data_offset(0)  # nibabel then puts the voxels behind header and extensions
    return header


@contextmanager
def create(path: Path) -> Iterator[BinaryIO]:
    with open(path, "wb") as file:
        if path.name.endswith(".gz"):  # neither name nor time in it: equal masks, equal files
            with igzip.IGzipFile("", "wb", _GZIP_LEVEL, file, mtime=0) as stream:
                yield stream
        else:
            yield file


def _read(path: Path, channel: int | None) -> tuple[nib.Nifti1Header, np.ndarray]:
    """The header, and the stored values as (z, row, col) in the machine's byte order."""
    opener = igzip.open if path.name.lower().endswith(".gz") else open
    if path.exists() and not (path.is_file() or path.is_dir()):  # a pipe would wait for ever
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
            f"Expected a whole NIfTI file at {path}. Received a truncated one."
        ) from error
    except (OSError, zlib.error, isal_zlib.error) as error:
        reason = getattr(error, "strerror", None) or str(error)
        raise LiverSegError(f"Expected a NIfTI file at {path}. Received: {reason}.") from error
    raw = np.frombuffer(data, dtype).reshape(shape[::-1])
    return header, raw.astype(dtype.newbyteorder("="), copy=False)


def _read_exactly(stream: BinaryIO, size: int) -> np.ndarray:
    """`size` bytes: what a header claims is reserved, but takes memory only as it is read."""
    data = np.empty(size, np.uint8)
    view = memoryview(data)
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
