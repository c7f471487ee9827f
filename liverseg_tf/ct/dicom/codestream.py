"""Compressed images inside DICOM files: kind, size and completeness, without decoding them."""

from typing import NoReturn

from pydicom.uid import (
    UID,
    JPEG2000TransferSyntaxes,
    JPEGLSTransferSyntaxes,
    JPEGTransferSyntaxes,
    RLELossless,
)

from liverseg_tf.ct.dicom.slices import DicomSlice
from liverseg_tf.errors import LiverSegError

_JPEG_START, _JPEG_END = b"\xff\xd8", b"\xff\xd9"
_FILLING = b"\0\xff"  # of a codestream to an even length
_J2K_START = b"\xff\x4f\xff\x51"
_JP2_START = b"\x00\x00\x00\x0cjP  "
_WITHOUT_LENGTH = {0x01, *range(0xD0, 0xD9)}
# Start of frame: all but the tables (DHT, JPG, DAC) that lie between; JPEG-LS has its own.
_FRAME_MARKERS = {*range(0xC0, 0xD0), 0xF7} - {0xC4, 0xC8, 0xCC}
_JPEG_LS_MARKER = 0xF7


def check_codestream(codestream: bytes, current: DicomSlice) -> None:
    """Check that a compressed image is what its header describes, and complete.

    Decoders read images of another shape, and the start of an image that was cut off, without an
    error. A damaged size could also make them allocate any amount of memory.

    Args:
        codestream: One compressed frame.
        current: Slice of the frame.

    Raises:
        LiverSegError: If the image has another encoding, shape, or number of bits than the header
            states, several values per pixel, or no end.
    """
    syntax = current.syntax
    if syntax == RLELossless:
        _check_rle(codestream, current)
    elif syntax in JPEG2000TransferSyntaxes:
        _check_jpeg2000(codestream, current)
    elif syntax in (*JPEGTransferSyntaxes, *JPEGLSTransferSyntaxes):
        _check_jpeg(codestream, current)


def _check_jpeg(codestream: bytes, current: DicomSlice) -> None:
    if not codestream.startswith(_JPEG_START):
        _refuse(current, "something else")
    marker, place = _find_frame(codestream)
    if marker is None:
        _refuse(current, "an image without a frame header")
    if (marker == _JPEG_LS_MARKER) != (current.syntax in JPEGLSTransferSyntaxes):
        _refuse(current, "JPEG-LS" if marker == _JPEG_LS_MARKER else "JPEG")
    segment = codestream[place + 4 : place + 10]
    rows, columns = int.from_bytes(segment[1:3], "big"), int.from_bytes(segment[3:5], "big")
    _check_image(current, (rows, columns), segment[0], segment[5])
    if not codestream.rstrip(_FILLING).endswith(_JPEG_END):
        _refuse_incomplete(current)


def _find_frame(codestream: bytes) -> tuple[int | None, int]:
    """Return the marker of the frame header and its place; None if there is no complete one."""
    place = 2
    while place + 10 <= len(codestream) and codestream[place] == 0xFF:
        marker = codestream[place + 1]
        if marker in _FRAME_MARKERS:
            return marker, place
        if marker == 0xFF:  # filling
            place += 1
        elif marker in _WITHOUT_LENGTH:
            place += 2
        else:
            place += 2 + int.from_bytes(codestream[place + 2 : place + 4], "big")
    return None, place


def _check_jpeg2000(codestream: bytes, current: DicomSlice) -> None:
    place = 0
    if codestream.startswith(_JP2_START):
        place = codestream.find(_J2K_START, 0, 4096)  # after the first boxes of the JP2 file
    elif not codestream.startswith(_J2K_START):
        place = -1
    size = codestream[place + 4 : place + 43]
    if place < 0 or len(size) < 39:
        _refuse(current, "something else")
    x_end, y_end, x_start, y_start = (
        int.from_bytes(size[start : start + 4], "big") for start in (4, 8, 12, 16)
    )
    samples = int.from_bytes(size[36:38], "big")
    _check_image(current, (y_end - y_start, x_end - x_start), (size[38] & 0x7F) + 1, samples)
    if not codestream.rstrip(_FILLING).endswith(_JPEG_END):
        _refuse_incomplete(current)


def _check_rle(codestream: bytes, current: DicomSlice) -> None:
    numbers = [int.from_bytes(codestream[n : n + 4], "little") for n in range(0, 64, 4)]
    count, offsets = numbers[0], numbers[1:]
    expected = current.pixels.bits_allocated // 8
    if len(codestream) < 64 or count != expected or offsets[0] != 64:
        _refuse(current, f"something else than {expected} segments of runs")
    if list(offsets[:count]) != sorted({*offsets[:count]}) or offsets[count - 1] >= len(codestream):
        _refuse(current, "segments out of order")


def _check_image(current: DicomSlice, shape: tuple[int, int], bits: int, samples: int) -> None:
    if shape != current.shape:
        _refuse(current, "an image of {} x {}".format(*shape))
    if samples != 1:
        _refuse(current, f"an image with {samples} values per pixel")
    if bits > current.pixels.bits_allocated:
        _refuse(current, f"an image of {bits} bits")


def _refuse(current: DicomSlice, received: str) -> NoReturn:
    rows, columns = current.shape
    raise LiverSegError(
        f"Expected complete pixel data, {UID(current.syntax).name} of {rows} x {columns} pixels "
        f"with at most {current.pixels.bits_allocated} bits, in {current.file}. "
        f"Received {received}."
    )


def _refuse_incomplete(current: DicomSlice) -> NoReturn:
    raise LiverSegError(
        f"Expected complete pixel data in {current.file}. Received a compressed image without "
        "its end: copy the file again."
    )
