"""How the pixels of a DICOM file are stored: bits, sign, colours, and values that mean padding."""

from dataclasses import dataclass
from pathlib import Path

from pydicom.dataset import Dataset

from liverseg_tf import plural
from liverseg_tf.ct.dicom.values import read_integer
from liverseg_tf.errors import LiverSegError

LARGEST_PIXELS = 2**26


@dataclass(frozen=True)
class PixelFormat:
    """How the pixels of a file are stored.

    Args:
        bits_allocated: Bits per pixel in the file: 8, 16 or 32.
        bits_stored: Lowest bits that hold the value; the others may hold anything.
        signed: Whether the value is in two's complement.
        padding: First and last stored value that mean padding; None if the header states none.
    """

    bits_allocated: int
    bits_stored: int
    signed: bool
    padding: tuple[int, int] | None = None


def read_shape(dataset: Dataset, file: Path) -> tuple[int, int]:
    """Return (rows, columns) of a file.

    Raises:
        LiverSegError: If there is no size, or the image is in colour.
    """
    rows, columns = (read_integer(dataset, keyword, file) for keyword in ("Rows", "Columns"))
    if not (rows > 0 and columns > 0 and rows * columns <= LARGEST_PIXELS):
        raise LiverSegError(
            f"Expected a slice of 1 to {LARGEST_PIXELS} pixels in {file}. "
            f"Received {plural.count(rows, 'row')} and {plural.count(columns, 'column')}."
        )
    colours = str(dataset.get("PhotometricInterpretation") or "MONOCHROME2")
    samples = int(dataset.get("SamplesPerPixel") or 1)
    # MONOCHROME1 only inverts the display: the HU are the same.
    if samples != 1 or colours not in ("MONOCHROME1", "MONOCHROME2"):
        raise LiverSegError(
            f"Expected one grey value per pixel in {file}. "
            f"Received a colour image ({colours}, values per pixel: {samples})."
        )
    return rows, columns


def read_pixel_format(dataset: Dataset, file: Path) -> PixelFormat:
    """Read how the pixels of a file are stored.

    Raises:
        LiverSegError: If a tag is missing, or the pixels are stored in a way of which readers make
            different values.
    """
    allocated = read_integer(dataset, "BitsAllocated", file)
    stored = read_integer(dataset, "BitsStored", file)
    sign = read_integer(dataset, "PixelRepresentation", file)
    if allocated not in (8, 16, 32):
        raise LiverSegError(
            f"Expected 8, 16 or 32 BitsAllocated for the pixel data of {file}. "
            f"Received {allocated}."
        )
    if not 1 <= stored <= allocated:
        raise LiverSegError(
            f"Expected BitsStored from 1 to {allocated} (BitsAllocated) for the pixel data of "
            f"{file}. Received {stored}."
        )
    if sign not in (0, 1):
        raise LiverSegError(f"Expected a PixelRepresentation of 0 or 1 in {file}. Received {sign}.")
    high = stored - 1
    if dataset.get("HighBit") is not None or stored != allocated:
        high = read_integer(dataset, "HighBit", file)
    if high != stored - 1:
        raise LiverSegError(
            f"Expected a HighBit of {stored - 1} (BitsStored - 1) in {file}. Received {high}: "
            "readers disagree about such values; write the file again with its pixels in the "
            "lowest bits."
        )
    padding = _read_padding(dataset, bool(sign), allocated, file)
    return PixelFormat(allocated, stored, bool(sign), padding)


def _read_padding(dataset: Dataset, signed: bool, bits: int, file: Path) -> tuple[int, int] | None:
    """Return the first and the last stored value that mean padding.

    Writers confuse the sign of these values, so that -2000 stands as 63536 beside signed pixels,
    or the other way round. A negative value is taken as signed, and one that is too large for
    signed pixels as unsigned; `padding.py` compares bits accordingly.
    """
    ends = [
        read_integer(dataset, keyword, file, signed)
        for keyword in ("PixelPaddingValue", "PixelPaddingRangeLimit")
        if dataset.get(keyword) not in (None, "")
    ]
    if not ends or dataset.get("PixelPaddingValue") in (None, ""):
        return None
    if min(ends) < 0 and max(ends) >= 1 << (bits - 1):
        ends = [end - (1 << bits) if end >= 1 << (bits - 1) else end for end in ends]
    return min(ends), max(ends)
