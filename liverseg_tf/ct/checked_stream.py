"""Opening files for reading to their end, with checked lengths and checksums."""

import gzip
import zlib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

import numpy as np
from isal import igzip, isal_zlib

from liverseg_tf.ct.regular_file import regular_file_size
from liverseg_tf.errors import LiverSegError, reason_of
from liverseg_tf.plural import count

_CHUNK_BYTES = 1 << 20
_TRAILING = "other bytes after the end of the compressed data: remove them"


@contextmanager
def open_checked(path: Path) -> Iterator[BinaryIO]:
    """Open a NIfTI file for reading; each error of the file within the block becomes one line.

    Raises:
        LiverSegError: If the file is not a regular file, cannot be read, or its compressed data
            are damaged; if the block raises EOFError, the file is called truncated.
    """
    regular_file_size(path)
    if path.name.lower().endswith((".hdr", ".img")):
        raise LiverSegError(
            f"Expected a NIfTI file at {path}. Received one file of a pair of .hdr and .img, which "
            "is not read: convert the pair to one .nii file."
        )
    try:
        with (igzip.open if is_compressed(path) else open)(path, "rb") as stream:
            yield stream
    except EOFError as error:
        received = "a truncated file"
        if is_compressed(path) and _has_trailing_bytes(path):
            received = _TRAILING
        raise LiverSegError(
            f"Expected a whole NIfTI file at {path}. Received {received}."
        ) from error
    # isal's stubs declare this class as an instance of it
    except (OSError, zlib.error, isal_zlib.error) as error:  # type: ignore[misc]
        reason = reason_of(error)
        if isinstance(error, gzip.BadGzipFile) and _has_trailing_bytes(path):
            reason = _TRAILING
        raise LiverSegError(f"Expected a NIfTI file at {path}. Received: {reason}.") from error


def is_compressed(path: Path) -> bool:
    """Return whether a file is compressed, according to its name."""
    return path.name.lower().endswith(".gz")


def read_exactly(stream: BinaryIO, size: int) -> np.ndarray:
    """Read `size` bytes. Memory is reserved for all of them, but used only as they are read."""
    data = np.empty(size, np.uint8)
    view = data.data
    start = 0
    while start < size:
        found = stream.readinto(view[start : start + _CHUNK_BYTES])  # type: ignore[attr-defined]
        if not found:
            raise EOFError
        start += found
    return data


def count_to_end(stream: BinaryIO, expected: int, limit: int) -> int:
    """Read a stream to its end, so that its checksum is compared; count the bytes not expected.

    Args:
        stream: Stream.
        expected: Number of bytes that should follow.
        limit: Surplus at which counting stops.
    """
    found = 0
    while found < expected + limit and (chunk := stream.read(_CHUNK_BYTES)):
        found += len(chunk)
    if found < expected:
        raise EOFError
    return found - expected


def surplus_limit(shape: Sequence[int], size: int) -> int:
    """Return how many bytes a smaller length along one axis would leave, at least.

    Args:
        shape: Shape of the voxels.
        size: Size of the voxels in bytes.
    """
    return size // max(map(int, shape))


def check_surplus(surplus: int, shape: Sequence[int], size: int, path: Path) -> tuple[str, ...]:
    """Judge the bytes after the last voxel.

    Args:
        surplus: Number of these bytes, or `surplus_limit` if counting stopped there.
        shape: Shape of the voxels.
        size: Size of the voxels in bytes.
        path: File with the voxels, for the message.

    Returns:
        A warning if there are some of these bytes.

    Raises:
        LiverSegError: If there are so many that the shape is not that of the file.
    """
    limit = surplus_limit(shape, size)
    if surplus >= limit:
        raise LiverSegError(
            f"Expected the voxels of the shape {tuple(map(int, shape))} in {path}. Received at "
            f"least {limit} bytes more: the header does not describe the file."
        )
    return (f"{count(surplus, 'byte')} after the last voxel ignored",) if surplus else ()


def _has_trailing_bytes(path: Path) -> bool:
    """Return whether the first compressed stream of a file is whole and something follows it."""
    stream = isal_zlib.decompressobj(wbits=31)
    with open(path, "rb") as file:
        try:
            while not stream.eof and (chunk := file.read(_CHUNK_BYTES)):
                stream.decompress(chunk)
                while stream.unconsumed_tail:
                    stream.decompress(stream.unconsumed_tail, _CHUNK_BYTES)
        except isal_zlib.error:  # type: ignore[misc]
            return False
        return stream.eof and bool(stream.unused_data or file.read(1))
