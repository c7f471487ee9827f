"""DICOM files as streams: bounded reads and inflation, headers, and the place of the pixels."""

import io
import struct
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

import pydicom
from pydicom.dataset import Dataset
from pydicom.filereader import read_dataset
from pydicom.uid import UID, DeflatedExplicitVRLittleEndian, ExplicitVRLittleEndian

from liverseg_tf.ct.size_limit import check_size
from liverseg_tf.errors import LiverSegError

_LARGE_READ = 1 << 16
_HEADER_BYTES = 1 << 24  # of a deflated file: headers of enhanced files have some megabytes
_UNDEFINED_LENGTH = 0xFFFFFFFF
_PIXEL_TAGS = {0x0008: "FloatPixelData", 0x0009: "DoubleFloatPixelData", 0x0010: "PixelData"}


@dataclass(frozen=True)
class PixelElement:
    """The element of a file that holds its pixels.

    Args:
        keyword: PixelData, FloatPixelData or DoubleFloatPixelData.
        vr: Value representation as stated; empty in files of implicit value representation.
        length: Length in bytes. None if it is undefined, as for encapsulated pixels.
        available: Bytes from the start of the value to the end of the file.
        little_endian: Whether the numbers of the file are little endian.
    """

    keyword: str
    vr: str
    length: int | None
    available: int
    little_endian: bool


@contextmanager
def open_dicom(file: Path, pixels: bool = False) -> Iterator[BinaryIO]:
    """Open a DICOM file at its start; of a deflated file, the inflated data set.

    Args:
        file: Path of the file.
        pixels: Whether pixels will be read. Otherwise, only the start of a deflated data set is
            inflated.

    Yields:
        A stream whose reads never allocate more memory than the file has bytes.

    Raises:
        OSError: If the file cannot be read.
        LiverSegError: If the file inflates to more bytes than its header accounts for, or is
            truncated.
    """
    with _BoundedFile(io.FileIO(file)) as stream:
        if _skip_to_deflated(stream):
            inflated = _inflate(stream, file) if pixels else _inflate_header(stream)
            with inflated:
                yield inflated
        else:
            stream.seek(0)
            yield stream


def read_header(stream: BinaryIO) -> Dataset:
    """Read the header of an opened DICOM file; the stream then stands at the pixels, if any."""
    return pydicom.dcmread(stream, stop_before_pixels=True, force=True)


def transfer_syntax(dataset: Dataset) -> UID:
    """Return the transfer syntax; it is inferred for files without a preamble."""
    stated = dataset.file_meta.get("TransferSyntaxUID")
    implicit = dataset.original_encoding[0]
    return UID(
        stated or (pydicom.uid.ImplicitVRLittleEndian if implicit else ExplicitVRLittleEndian)
    )


def seek_pixels(stream: BinaryIO) -> PixelElement | None:
    """Move a stream, after `read_header`, to the value of the pixel element.

    The element is read as it is stored, since the transfer syntax of a file may be wrong about
    implicit and explicit value representations (pydicom/pydicom#1943).

    Returns:
        The element, or None if the file has none.
    """
    start = stream.read(8)
    if len(start) < 8:
        return None
    little = start[:2] == b"\xe0\x7f"
    order = "<" if little else ">"
    group, element = struct.unpack(order + "HH", start[:4])
    if group != 0x7FE0 or element not in _PIXEL_TAGS:
        return None
    # No implicit length ends in these letters: it would be odd.
    explicit = start[4:6] in (b"OB", b"OW", b"OF", b"OD", b"UN")
    length = stream.read(4) if explicit else start[4:]
    if len(length) < 4:
        return None
    (size,) = struct.unpack(order + "L", length)
    place = stream.tell()
    available = stream.seek(0, io.SEEK_END) - place
    stream.seek(place)
    return PixelElement(
        keyword=_PIXEL_TAGS[element],
        vr=start[4:6].decode() if explicit else "",
        length=None if size == _UNDEFINED_LENGTH else size,
        available=available,
        little_endian=little,
    )


class _BoundedFile(io.BufferedReader):
    """A file whose reads never allocate more than remains: damaged headers state any length."""

    def read(self, size: int | None = -1, /) -> bytes:
        if size is not None and size > _LARGE_READ:
            place = self.tell()
            remaining = self.seek(0, io.SEEK_END) - place
            self.seek(place)
            size = min(size, max(remaining, 0))
        return super().read(size)


def _skip_to_deflated(stream: BinaryIO) -> bool:
    """Return whether the data set is deflated, and move the stream to its start if it is."""
    if stream.read(132)[128:] != b"DICM":
        return False
    meta = read_dataset(stream, False, True, stop_when=lambda tag, vr, length: tag >> 16 != 2)
    return meta.get("TransferSyntaxUID") == DeflatedExplicitVRLittleEndian


def _inflate_header(stream: BinaryIO) -> io.BytesIO:
    return io.BytesIO(zlib.decompressobj(-zlib.MAX_WBITS).decompress(stream.read(), _HEADER_BYTES))


def _inflate(stream: BinaryIO, file: Path) -> io.BytesIO:
    inflater = zlib.decompressobj(-zlib.MAX_WBITS)
    start = inflater.decompress(stream.read(), _HEADER_BYTES)
    header = read_header(io.BytesIO(start))
    shape = [int(header.get(key) or 1) for key in ("Columns", "Rows", "NumberOfFrames")]
    voxel_bytes = max(int(header.get("BitsAllocated") or 16) // 8, 1)
    check_size(tuple(shape), 3 * voxel_bytes, file)  # inflated, copied, and the volume
    needed = shape[0] * shape[1] * shape[2] * voxel_bytes
    content = start + inflater.decompress(inflater.unconsumed_tail, needed + _HEADER_BYTES)
    if inflater.unconsumed_tail:
        raise LiverSegError(
            f"Expected {file} to inflate to the {needed} bytes of pixels that its header states. "
            f"Received more than {len(content)} bytes."
        )
    if not inflater.eof:
        raise LiverSegError(
            f"Expected a complete deflated file at {file}. Received a truncated one."
        )
    return io.BytesIO(content)
