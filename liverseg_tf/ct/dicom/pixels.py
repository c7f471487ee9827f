"""Pixels of a DICOM series, decoded slice by slice into one array."""

import itertools
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pydicom
from pydicom.dataset import Dataset
from pydicom.pixels import get_decoder, iter_pixels
from pydicom.uid import UID, DeflatedExplicitVRLittleEndian

from liverseg_tf.ct.dicom.slices import DicomSlice
from liverseg_tf.ct.rescale import rescale
from liverseg_tf.ct.volume import check_size
from liverseg_tf.errors import LiverSegError


def read_pixels(slices: list[DicomSlice]) -> np.ndarray:
    """Decode slices of one shape and rescale each with its own slope and intercept.

    Args:
        slices: Slices in the order of the volume.

    Returns:
        (z, row, col) array of HU or MR units: int16 if all values are integers that fit, otherwise
        int32 or float32. Padding values are rescaled like all others.

    Raises:
        LiverSegError: If a file has no pixels or too few of them, if no decoder for their encoding
            is installed, or if the volume is too large for the memory.
    """
    shape = (len(slices), *slices[0].shape)
    check_size(shape[::-1], 2, "the series")
    array = np.empty(shape, np.int16)
    start = 0
    # A multi-frame file is parsed once for all of its frames.
    for file, group in itertools.groupby(slices, key=lambda current: current.file):
        frames = list(group)
        for index, stored in enumerate(_decode(file, frames), start):
            current = slices[index]
            if stored.shape != current.shape:
                raise LiverSegError(
                    f"Expected {_size(current.shape)} pixels in {file}. "
                    f"Received {_size(stored.shape)}."
                )
            array = _assign(array, index, rescale(stored, current.slope, current.intercept))
        start += len(frames)
    return array


def _size(shape: tuple[int, ...]) -> str:
    return " x ".join(map(str, shape))


def _assign(array: np.ndarray, index: int, values: np.ndarray) -> np.ndarray:
    """Write one slice into the array, which is converted to a wider dtype if necessary."""
    if not np.can_cast(values.dtype, array.dtype):
        wider = np.promote_types(values.dtype, array.dtype)
        array = array.astype(np.float32 if wider.kind == "f" else wider)
    array[index] = values
    return array


def _decode(file: Path, frames: list[DicomSlice]) -> Iterator[np.ndarray]:
    """Yield the stored values of each frame, (row, col)."""
    syntax = UID(frames[0].syntax)
    _check_decoder(syntax, file)
    source: Path | Dataset
    options: dict[str, Any]
    try:
        if syntax == DeflatedExplicitVRLittleEndian:  # can only be decompressed as a whole
            source, options = pydicom.dcmread(file), {}
        else:
            source, options = file, {"transfer_syntax_uid": syntax}
        indices = [frame.frame for frame in frames]
        decoded = iter_pixels(source, indices=indices, raw=True, **options)
        yield from itertools.islice(decoded, len(frames))
    except (LiverSegError, MemoryError):
        raise
    except Exception as error:  # decoders raise errors of any class for broken pixels
        raise LiverSegError(
            f"Expected complete pixel data in {file}. Received: {error or type(error).__name__}"
        ) from error


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
