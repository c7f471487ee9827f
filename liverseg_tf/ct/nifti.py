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
from liverseg_tf.ct.rescale import rescale
from liverseg_tf.ct.volume import Volume
from liverseg_tf.errors import LiverSegError

SUFFIXES = (".nii.gz", ".nii")
LARGEST_VOXELS = 2**32
_CHUNK_BYTES = 1 << 24
_GZIP_LEVEL = 2  # isal's levels are 0 to 3; 2 is as small as zlib's default and six times faster


def nifti_stem(path: Path) -> str | None:
    """The file's name without .nii or .nii.gz; None where it is no NIfTI name or hidden."""
    for suffix in SUFFIXES:
        if path.name.lower().endswith(suffix) and not path.name.startswith("."):
            return path.name[: -len(suffix)]
    return None


def read_volume(path: Path) -> Volume:
    """Read an image: slope and intercept applied, in the file's own axis order.

    Args:
        path: .nii or .nii.gz, NIfTI-1 or NIfTI-2, either byte order.

    Returns:
        A volume whose array (z, row, col) is float32 where the file stores floats or its slope
        or intercept is no whole number (NaN and infinity are kept). Whole numbers are uint8
        where the file stores them so, else int16, int32 or float32: the first that holds them.

    Raises:
        LiverSegError: when the file is missing, truncated, corrupt, not 3D, no scalar image,
            or on a sheared grid.
    """
    header, raw = _read(Path(path))
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
    header = _output_header(volume)
    with replacing(path) as partial, _create(partial) as stream:
        header.write_to(stream)
        stream.write(b"\0" * (header.get_data_offset() - stream.tell()))
        array = np.ascontiguousarray(volume.array, header.get_data_dtype())
        stream.write(memoryview(array).cast("B"))


def _output_header(volume: Volume) -> nib.Nifti1Header:
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
def _create(path: Path) -> Iterator[BinaryIO]:
    with open(path, "wb") as file:
        if path.name.endswith(".gz"):  # neither name nor time in it: equal masks, equal files
            with igzip.IGzipFile("", "wb", _GZIP_LEVEL, file, mtime=0) as stream:
                yield stream
        else:
            yield file


def _read(path: Path) -> tuple[nib.Nifti1Header, np.ndarray]:
    """The header, and the stored values as (z, row, col) in the machine's byte order."""
    opener = igzip.open if path.name.lower().endswith(".gz") else open
    try:
        with opener(path, "rb") as stream:
            header = _read_header(stream, path)
            shape, dtype = header.get_data_shape(), header.get_data_dtype()
            _check_shape(shape, dtype, path)
            stream.seek(int(header.get_data_offset()))
            data = _read_exactly(stream, int(np.prod(shape, dtype=object)) * dtype.itemsize)
    except EOFError as error:
        raise LiverSegError(
            f"Expected a whole NIfTI file at {path}. Received a truncated one."
        ) from error
    except (OSError, zlib.error, isal_zlib.error) as error:
        reason = getattr(error, "strerror", None) or str(error)
        raise LiverSegError(f"Expected a NIfTI file at {path}. Received: {reason}.") from error
    raw = np.frombuffer(data, dtype).reshape(shape[::-1])
    return header, raw.astype(dtype.newbyteorder("="), copy=False)


def _read_header(stream: BinaryIO, path: Path) -> nib.Nifti1Header:
    start = stream.read(540)
    for kind in (nib.Nifti1Header, nib.Nifti2Header):
        if kind.may_contain_header(start):
            stream.seek(0)
            try:
                header = kind.from_fileobj(stream, check=False)  # a check would change its fields
                header.get_data_shape(), header.get_slope_inter(), _affine(header)
                _check_fields(header)
                return header
            except (nib.spatialimages.HeaderDataError, ValueError) as error:
                raise LiverSegError(
                    f"Expected a valid NIfTI header in {path}. Received: {error}."
                ) from error
    raise LiverSegError(
        f"Expected a NIfTI file at {path}. "
        f"Received {'an empty file' if not start else 'something else (no NIfTI header)'}."
    )


def _check_fields(header: nib.Nifti1Header) -> None:
    offset, code = float(header["vox_offset"]), int(header["datatype"])
    if not header.single_vox_offset <= offset < 2**40:
        raise ValueError(f"voxels at byte {offset:g}, where they can't be")
    if code not in nib.nifti1.data_type_codes:
        raise ValueError(f"unknown data type {code}")


def _affine(header: nib.Nifti1Header) -> np.ndarray:
    """Voxel to mm; a spacing of 0 stays 0 (nibabel would take 1 mm), for `Volume` to refuse."""
    pixdim = header["pixdim"]
    header = header.copy()
    header["pixdim"][:4] = (-1 if pixdim[0] == -1 else 1, *np.abs(pixdim[1:4]))
    return header.get_best_affine()


def _check_shape(shape: tuple[int, ...], dtype: np.dtype, path: Path) -> None:
    if len(shape) != 3 or min(shape) < 1:
        raise LiverSegError(
            f"Expected a 3D image in {path}. Received the shape {tuple(map(int, shape))}"
            f"{' (choose one of its volumes first)' if len(shape) > 3 else ''}."
        )
    if np.prod(shape, dtype=object) > LARGEST_VOXELS:
        raise LiverSegError(
            f"Expected at most {LARGEST_VOXELS} voxels in {path}. Received the shape {shape}."
        )
    if dtype.kind not in "iuf":
        raise LiverSegError(
            f"Expected whole or real numbers in {path}. Received the data type {dtype} "
            "(a colour or complex image)."
        )


def _read_exactly(stream: BinaryIO, size: int) -> bytearray:
    """`size` bytes, taken in steps: what a header claims is never allocated at once."""
    data = bytearray()
    while len(data) < size:
        chunk = stream.read(min(_CHUNK_BYTES, size - len(data)))
        if not chunk:
            raise EOFError
        data += chunk
    return data


def _volume(array: np.ndarray, header: nib.Nifti1Header, path: Path) -> Volume:
    try:
        return Volume(array, _affine(header), header)
    except LiverSegError as error:
        raise LiverSegError(f"{error} (file {path})") from error
