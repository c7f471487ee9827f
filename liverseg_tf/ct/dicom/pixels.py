"""Pixels of a DICOM series, decoded slice by slice into one array."""

import itertools
import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
from pydicom.encaps import generate_frames
from pydicom.pixels import as_pixel_options, get_decoder
from pydicom.uid import UID, JPEG2000TransferSyntaxes, JPEGLSTransferSyntaxes

from liverseg_tf.ct.dicom.codestream import check_codestream
from liverseg_tf.ct.dicom.decoder_messages import collect_messages
from liverseg_tf.ct.dicom.file import PixelElement, open_dicom, read_header, seek_pixels
from liverseg_tf.ct.dicom.padding import to_units
from liverseg_tf.ct.dicom.slices import DicomSlice
from liverseg_tf.ct.size_limit import check_size
from liverseg_tf.errors import LiverSegError, reason_of

_LONGEST_REASON = 200


def read_pixels(slices: list[DicomSlice]) -> np.ndarray:
    """Decode slices of one shape and rescale each with its own slope and intercept.

    Args:
        slices: Slices in the order of the volume.

    Returns:
        (z, row, col) array of HU or MR units: int16 if all values are integers that fit, otherwise
        int32 or float32. Padding is air; see `to_units`.

    Raises:
        LiverSegError: If a file has no pixels, or fewer or more of them than its header states, if
            no decoder for their encoding is installed, or if the volume does not fit into memory.
    """
    shape = (len(slices), *slices[0].shape)
    dtype = _smallest_dtype(slices)
    check_size(shape[::-1], dtype.itemsize, "the series")
    array = np.empty(shape, dtype)
    start = 0
    # A multi-frame file is parsed once for all of its frames.
    for file, group in itertools.groupby(slices, key=lambda current: current.file):
        frames = list(group)
        for index, stored in enumerate(_decode(file, frames), start):
            array = _assign(array, index, to_units(stored, slices[index]))
        start += len(frames)
    return array


def read_slice(current: DicomSlice) -> np.ndarray:
    """Decode and rescale one slice, (row, col).

    Raises:
        LiverSegError: As `read_pixels`.
    """
    return read_pixels([current])[0]


def _smallest_dtype(slices: list[DicomSlice]) -> np.dtype:
    """Return float32 if a slope or intercept is no integer, otherwise int16, as most CTs need."""
    factors = {factor for current in slices for factor in (current.slope, current.intercept)}
    integers = all(factor == round(factor) for factor in factors)
    return np.dtype(np.int16 if integers else np.float32)


def _assign(array: np.ndarray, index: int, values: np.ndarray) -> np.ndarray:
    """Write one slice into the array, which is converted to a wider dtype if necessary."""
    if not np.can_cast(values.dtype, array.dtype):
        wider = np.promote_types(values.dtype, array.dtype)
        wider = np.dtype(np.float32) if wider.kind == "f" else wider
        if wider != array.dtype:
            both = array.dtype.itemsize + wider.itemsize
            check_size(array.shape[::-1], both, "the series")
            array = array.astype(wider)
    array[index] = values
    return array


def _decode(file: Path, frames: list[DicomSlice]) -> Iterator[np.ndarray]:
    """Yield the stored values of each frame, (row, col)."""
    syntax = UID(frames[0].syntax)
    _check_decoder(syntax, file)
    try:
        with open_dicom(file, pixels=True) as stream:
            header = read_header(stream)
            element = seek_pixels(stream)
            total = int(header.get("NumberOfFrames") or 1)
            options = as_pixel_options(header)
            indices: list[int] | None = [current.frame for current in frames]
            if syntax.is_encapsulated:
                _check_encapsulated(stream, element, frames, options)
                # in order, frames need no table of their places in the file
                indices = None if indices == list(range(total)) else indices
            else:
                _check_native(element, frames[0], total)
            assert element is not None
            options |= {"pixel_keyword": "PixelData", "transfer_syntax_uid": syntax}
            if element.vr:
                options["pixel_vr"] = element.vr
            if syntax not in (*JPEG2000TransferSyntaxes, *JPEGLSTransferSyntaxes):
                options["correct_unused_bits"] = False  # padding may use these bits
            decoder = get_decoder(syntax)
            decoded: Iterator[tuple[np.ndarray, dict]]
            if total == 1:  # pydicom's iterator cannot correct the sign of JPEG 2000 pixels
                decoded = (decoder.as_array(stream, index=0, raw=True, **options) for _ in frames)
            else:
                decoded = decoder.iter_array(stream, indices=indices, raw=True, **options)
            for current in frames:
                stored = _decode_next(decoded, current)
                yield _checked(stored, current)
    except (LiverSegError, MemoryError):
        raise
    except OSError as error:
        raise LiverSegError(f"Expected a file at {file}. Received: {reason_of(error)}.") from error
    except Exception as error:  # decoders raise errors of any class for broken pixels
        reason = " ".join(str(error).split())[:_LONGEST_REASON] or type(error).__name__
        raise LiverSegError(
            f"Expected complete pixel data in {file}. Received: {reason}"
        ) from error


def _decode_next(decoded: Iterator[tuple[np.ndarray, dict]], current: DicomSlice) -> np.ndarray:
    """Decode the next frame; what the decoder prints about damage is an error."""
    if not UID(current.syntax).is_encapsulated:
        return next(decoded)[0]
    with collect_messages() as messages:
        stored = next(decoded)[0]
    if messages:
        raise LiverSegError(
            f"Expected complete pixel data in {current.file}. Received a damaged compressed image "
            f"({messages[0][:_LONGEST_REASON]}): copy the file again."
        )
    return stored


def _checked(stored: np.ndarray, current: DicomSlice) -> np.ndarray:
    """Return the decoded pixels in the machine's byte order after a check of shape and sign."""
    if stored.shape != current.shape:
        raise LiverSegError(
            f"Expected {_size(current.shape)} pixels in {current.file}. "
            f"Received {_size(stored.shape)}."
        )
    if (stored.dtype.kind == "i") != current.pixels.signed:
        raise LiverSegError(
            f"Expected {'signed' if current.pixels.signed else 'unsigned'} pixels in "
            f"{current.file}. Received others."
        )
    return stored.astype(stored.dtype.newbyteorder("="), copy=False)


def _size(shape: tuple[int, ...]) -> str:
    return " x ".join(map(str, shape))


def _check_native(element: PixelElement | None, current: DicomSlice, frames: int) -> None:
    """Check the length of uncompressed pixels before they are read."""
    element = _integer_pixels(element, current.file)
    if element.length is None:
        raise LiverSegError(
            f"Expected uncompressed pixel data in {current.file}, as its transfer syntax states. "
            "Received compressed pixels: copy the file again."
        )
    pixel_bytes = current.pixels.bits_allocated // 8
    expected = frames * math.prod(current.shape) * pixel_bytes
    length = min(element.length, element.available)
    # Less than a row and a column of excess bytes is padding: no other shape explains it.
    excess = max(min(current.shape) * pixel_bytes - 1, 1)
    if not expected <= length <= expected + excess or element.length > element.available:
        raise LiverSegError(
            f"Expected {expected} bytes of pixel data in {current.file}, "
            f"{_size((frames, *current.shape))} pixels of {pixel_bytes * 8} bits. Received "
            f"{length} of {element.length} bytes: the file is damaged, or its header is wrong."
        )


def _check_encapsulated(
    stream: BinaryIO,
    element: PixelElement | None,
    frames: list[DicomSlice],
    options: dict[str, Any],
) -> None:
    """Check compressed frames before they are decoded; the stream stays where it is."""
    current = frames[0]
    element = _integer_pixels(element, current.file)
    if element.length is not None:
        raise LiverSegError(
            f"Expected compressed pixel data in {current.file}, as its transfer syntax states. "
            "Received uncompressed pixels: copy the file again."
        )
    place, total = stream.tell(), options["number_of_frames"]
    by_frame = {frame.frame: frame for frame in frames}
    found = 0
    offsets = options.get("extended_offsets")
    for index, codestream in enumerate(
        generate_frames(stream, number_of_frames=total, extended_offsets=offsets)
    ):
        found += 1
        if index in by_frame:
            check_codestream(codestream, by_frame[index])
    if found != total:
        raise LiverSegError(
            f"Expected {total} frames of pixel data in {current.file}. Received {found}."
        )
    stream.seek(place)


def _integer_pixels(element: PixelElement | None, file: Path) -> PixelElement:
    if element is None:
        raise LiverSegError(f"Expected pixel data in {file}. Received a header without pixels.")
    if element.keyword != "PixelData":
        raise LiverSegError(
            f"Expected integers as pixel data in {file}. Received {element.keyword}, which is not "
            "supported."
        )
    return element


def _check_decoder(syntax: UID, file: Path) -> None:
    try:
        available = get_decoder(syntax).is_available
    except NotImplementedError as error:
        raise LiverSegError(
            f"Expected an image encoding as the transfer syntax of {file}. Received {syntax.name}."
        ) from error
    if not available:
        raise LiverSegError(
            f"Expected a decoder for {syntax.name}, the encoding of {file}. "
            "Install one with pip install 'liverseg_tf[jpeg]'."
        )
