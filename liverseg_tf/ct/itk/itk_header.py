"""Headers of MetaImage and NRRD files, and the parsing of their fields."""

from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

import numpy as np

from liverseg_tf.ct.itk.voxel_files import VoxelFiles
from liverseg_tf.ct.regular_file import neighbouring_file, regular_file_size
from liverseg_tf.errors import LiverSegError, reason_of

MAX_HEADER_BYTES = 1 << 20


@dataclass(frozen=True, eq=False)
class ItkHeader:
    """Grid and voxels of a 3D image according to its header.

    Args:
        voxels: Where the voxels are.
        affine: (4, 4) float64, from voxel (i, j, k) to RAS+ mm.
        modality: See `Volume`.
        lacks_orientation: See `Volume`.
        warnings: See `Volume`.
    """

    voxels: VoxelFiles
    affine: np.ndarray
    modality: str = ""
    lacks_orientation: bool = False
    warnings: tuple[str, ...] = ()


class HeaderError(Exception):
    """What is wrong with a header, as the words after "Received"."""


def open_header(path: Path) -> BinaryIO:
    """Open a header, if it is a regular file.

    Raises:
        LiverSegError: If it is not, or cannot be opened.
    """
    regular_file_size(path)
    try:
        return open(path, "rb")
    except OSError as error:
        raise LiverSegError(f"Expected a file at {path}. Received: {reason_of(error)}.") from error


def read_line(stream: BinaryIO) -> str | None:
    """Read one line of a header without its end; None at the end of the file.

    Raises:
        HeaderError: If the header is too long or not text.
    """
    if stream.tell() > MAX_HEADER_BYTES:
        raise HeaderError(f"a header of more than {MAX_HEADER_BYTES} bytes")
    line = stream.readline(MAX_HEADER_BYTES)
    if not line:
        return None
    try:
        return line.decode("utf-8").rstrip("\r\n")
    except UnicodeDecodeError:
        raise HeaderError("a header that is not text") from None


def get_field(fields: dict[str, str], key: str) -> str:
    """Return a field of a header that must be there.

    Raises:
        HeaderError: If it is missing.
    """
    if key not in fields:
        raise HeaderError(f"a header without {key}")
    return fields[key]


def parse_numbers(text: str, name: str, count: int | None = None) -> list[float]:
    """Parse numbers separated by blanks.

    Args:
        text: The numbers.
        name: Name of the field.
        count: Number of numbers; None accepts any.

    Raises:
        HeaderError: If there are others, or they are not finite.
    """
    try:
        numbers = [float(word) for word in text.split()]
    except ValueError:
        raise HeaderError(f"{name} of '{text}', which are no numbers") from None
    if count is not None and len(numbers) != count:
        raise HeaderError(f"{name} of '{text}' instead of {count} numbers")
    if not np.isfinite(numbers).all():
        raise HeaderError(f"{name} of '{text}', which are not finite")
    return numbers


def parse_integers(text: str, name: str, count: int | None = None) -> list[int]:
    """Parse integers separated by blanks; see `parse_numbers`."""
    numbers = parse_numbers(text, name, count)
    if any(number != int(number) or abs(number) >= 2**53 for number in numbers):
        raise HeaderError(f"{name} of '{text}', which are no integers")
    return [int(number) for number in numbers]


def read_file_list(stream: BinaryIO, path: Path, slices: int) -> tuple[Path, ...]:
    """Read the rest of a header as names of files, one for each slice.

    Raises:
        HeaderError: If their number is not that of the slices, or one is listed twice.
        LiverSegError: If a file is outside the header's folder.
    """
    names = []
    while (line := read_line(stream)) is not None:
        if line.strip():
            names.append(line.strip())
    if len(names) != slices:
        raise HeaderError(f"a list of {len(names)} files for {slices} slices")
    if len(set(names)) < len(names):
        raise HeaderError("a list with a file twice")
    return tuple(neighbouring_file(path, name) for name in names)
