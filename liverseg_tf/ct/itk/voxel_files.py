"""The voxels of MetaImage and NRRD files, with checked lengths and checksums."""

import bz2
import math
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from io import BufferedReader
from pathlib import Path

import numpy as np
from isal import igzip_lib

from liverseg_tf.ct.checked_stream import check_surplus
from liverseg_tf.ct.regular_file import regular_file_size
from liverseg_tf.errors import LiverSegError, first_line

_CHUNK_BYTES = 1 << 20
_DIGITS = 40  # characters of a number in a text file, at most
# Whether a checksum is compared depends on the flag: gzip and zlib both have one.
_DECOMPRESSORS: dict[str, Callable] = {
    "gzip": lambda: igzip_lib.IgzipDecompressor(flag=igzip_lib.DECOMP_GZIP),
    "zlib": lambda: igzip_lib.IgzipDecompressor(flag=igzip_lib.DECOMP_ZLIB),
    "bzip2": bz2.BZ2Decompressor,
}
_MAGIC = {"gzip": b"\x1f\x8b", "bzip2": b"BZh", "zlib": None}  # of a further stream


@dataclass(frozen=True)
class VoxelFiles:
    """Where the voxels of an image are, according to its header.

    Args:
        files: Files, which hold equally many voxels each, in their order.
        encoding: "raw", "text", "gzip", "bzip2" or "zlib".
        dtype: Data type with its byte order.
        shape: Shape along the file's axes, the fastest one first.
        start: Bytes of each file before the voxels; -1: the voxels are the file's last bytes.
        skip: Bytes before the voxels after decompression.
        compressed_bytes: Length of the compressed data; None if the header does not state it.
    """

    files: tuple[Path, ...]
    encoding: str
    dtype: np.dtype
    shape: tuple[int, ...]
    start: int = 0
    skip: int = 0
    compressed_bytes: int | None = None


def read_voxels(voxels: VoxelFiles) -> tuple[np.ndarray, tuple[str, ...]]:
    """Read all voxels.

    Returns:
        Array with the axes of the file reversed, in the machine's byte order, and a warning if
        bytes after the last voxel are ignored.

    Raises:
        LiverSegError: If a file is missing, truncated, damaged, or holds many more voxels than
            its header says.
    """
    size = math.prod(voxels.shape) * voxels.dtype.itemsize
    data = np.empty(size, np.uint8)  # memory is used only as it is filled
    surplus = 0
    for part, path in zip(np.array_split(data, len(voxels.files)), voxels.files, strict=True):
        length = regular_file_size(path)
        try:
            with open(path, "rb") as file:
                surplus += _read_part(file, length, voxels, part, path)
        except EOFError as error:
            raise LiverSegError(
                f"Expected all voxels of the shape {voxels.shape} in {path}. "
                "Received a truncated file."
            ) from error
        # the stubs declare this class as an instance of it
        except (OSError, ValueError, igzip_lib.error) as error:  # type: ignore[misc]
            raise LiverSegError(
                f"Expected undamaged voxels in {path}. Received: {first_line(error)}."
            ) from error
    notes = check_surplus(surplus, voxels.shape, size, voxels.files[0])
    array = data.view(voxels.dtype).reshape(voxels.shape[::-1])
    return array.astype(voxels.dtype.newbyteorder("="), copy=False), notes


def _read_part(
    file: BufferedReader, length: int, voxels: VoxelFiles, part: np.ndarray, path: Path
) -> int:
    """Fill `part` from a file and return the number of bytes that follow."""
    start = length - part.size if voxels.start < 0 else voxels.start
    if not 0 <= start <= length:
        raise EOFError
    file.seek(start)
    if voxels.encoding == "raw":
        start += voxels.skip
        file.seek(start)
        if length - start < part.size or file.readinto(part.data) != part.size:
            raise EOFError
        return length - start - part.size
    if voxels.encoding == "text":
        part[:] = _parse_text(file, length - start, voxels.dtype, part.size).view(np.uint8)
        return 0
    rest = length - start
    if voxels.compressed_bytes not in (None, rest):
        raise LiverSegError(
            f"Expected {voxels.compressed_bytes} bytes of compressed voxels in {path}. "
            f"Received {rest}."
        )
    return _decompress(file, voxels, part)


def _decompress(file: BufferedReader, voxels: VoxelFiles, part: np.ndarray) -> int:
    """Decompress to the end of the file, so that the checksum is compared."""
    limit = part.size + voxels.skip  # enough to be refused
    make = _DECOMPRESSORS[voxels.encoding]
    decompressor, position = make(), -voxels.skip
    while not decompressor.eof or (decompressor := _next_stream(file, voxels, decompressor)):
        chunk = b""
        if decompressor.needs_input and not (chunk := file.read(_CHUNK_BYTES)):
            raise EOFError
        found = memoryview(decompressor.decompress(chunk, _CHUNK_BYTES))
        wanted = found[max(0, -position) : max(0, part.size - position)]
        if wanted:
            at = max(0, position)
            part.data[at : at + len(wanted)] = wanted
        position += len(found)
        if position - part.size > limit:
            break
    if position < part.size:
        raise EOFError
    return position - part.size


def _next_stream(file: BufferedReader, voxels: VoxelFiles, finished):
    """Return the decompressor of a further stream in the file, after a finished one, or None."""
    rest = finished.unused_data or file.read(_CHUNK_BYTES)
    if not rest.strip(b"\0"):
        return None
    magic = _MAGIC[voxels.encoding]
    if magic is None or not rest.startswith(magic):
        raise ValueError("other bytes after the end of the compressed data")
    file.seek(file.tell() - len(rest))
    return _DECOMPRESSORS[voxels.encoding]()


def _parse_text(file: BufferedReader, length: int, dtype: np.dtype, size: int) -> np.ndarray:
    count = size // dtype.itemsize
    if length > (count + 1) * _DIGITS:
        raise ValueError(f"a text of {length} bytes for {count} numbers")
    with warnings.catch_warnings():
        warnings.simplefilter("error")  # about text that is not a number
        try:
            values = np.fromstring(file.read().decode("ascii"), np.float64, sep=" ")
        except DeprecationWarning:
            raise ValueError("text that is not a number") from None
    if len(values) < count:
        raise EOFError
    if len(values) > count:
        raise ValueError(f"{len(values)} numbers instead of {count}")
    if dtype.kind in "iu":
        info = np.iinfo(dtype)
        if not ((values == np.rint(values)) & (values >= info.min) & (values <= info.max)).all():
            raise ValueError(f"numbers that are no {dtype.name}")
    return values.astype(dtype)
