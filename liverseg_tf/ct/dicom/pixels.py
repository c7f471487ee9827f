"""The pixels of a DICOM series: decoded slice by slice into one array of HU."""

import itertools
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pydicom
from pydicom.pixels import get_decoder, iter_pixels
from pydicom.uid import UID, DeflatedExplicitVRLittleEndian

from liverseg_tf.ct.dicom.slices import Slice
from liverseg_tf.ct.rescale import rescale
from liverseg_tf.ct.volume import check_size
from liverseg_tf.errors import LiverSegError


def read_pixels(slices: list[Slice]) -> np.ndarray:
    """Decode slices of one shape, each with its own slope and intercept.

    Args:
        slices: in the order of the volume.

    Returns:
        (z, row, col): int16 where all values are whole numbers that fit, else int32 or float32.
        Padding keeps its value.

    Raises:
        LiverSegError: when a file holds no pixels, too few of them, or pixels in an encoding
            for which no decoder is installed.
    """
    shape = (len(slices), *slices[0].shape)
    check_size(shape[::-1], 2, "the series")
    array = np.empty(shape, np.int16)
    start = 0
    # a multi-frame file is parsed once; single-frame files come one by one
    for file, group in itertools.groupby(slices, key=lambda one: one.file):
        frames = list(group)
        for index, raw in enumerate(_decoded(file, frames), start):
            one = slices[index]
            if raw.shape != one.shape:
                raise LiverSegError(
                    f"Expected pixels of the shape {one.shape} in {file}. Received {raw.shape}."
                )
            array = _put(array, index, rescale(raw, one.slope, one.intercept))
        start += len(frames)
    return array


def _put(array: np.ndarray, index: int, values: np.ndarray) -> np.ndarray:
    """The array with the values in it: the same one as long as its type holds them."""
    if not np.can_cast(values.dtype, array.dtype):
        wider = np.promote_types(values.dtype, array.dtype)
        array = array.astype(np.float32 if wider.kind == "f" else wider)
    array[index] = values
    return array


def _decoded(file: Path, frames: list[Slice]) -> Iterator[np.ndarray]:
    """(row, col) of each frame as it is stored."""
    syntax = UID(frames[0].syntax)
    _check_decoder(syntax, file)
    try:
        if syntax == DeflatedExplicitVRLittleEndian:  # to be unpacked as a whole
            source, options = pydicom.dcmread(file), {}
        else:
            source, options = file, {"transfer_syntax_uid": syntax}
        indices = [frame.frame for frame in frames]
        decoded = iter_pixels(source, indices=indices, raw=True, **options)
        yield from itertools.islice(decoded, len(frames))
    except (LiverSegError, MemoryError):
        raise
    except Exception as error:  # decoders raise what they like on broken pixels
        raise LiverSegError(
            f"Expected whole pixel data in {file}. Received: {error or type(error).__name__}"
        ) from error


def _check_decoder(syntax: UID, file: Path) -> None:
    try:
        available = get_decoder(syntax).is_available
    except NotImplementedError as error:
        raise LiverSegError(
            f"Expected pixels in an encoding of images in {file}. Received {syntax.name}."
        ) from error
    if not available:
        raise LiverSegError(
            f"Expected a decoder for {syntax.name}, in which {file} is stored. "
            "Received none: install it with pip install 'liverseg_tf[jpeg]'."
        )
