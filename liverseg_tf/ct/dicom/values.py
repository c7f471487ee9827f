"""Values of DICOM tags as numbers, checked."""

import math
from pathlib import Path
from typing import Any

from pydicom.dataset import Dataset

from liverseg_tf.errors import LiverSegError
from liverseg_tf.plural import count


def read_integer(dataset: Dataset, keyword: str, file: Path, signed: bool = False) -> int:
    """Return the integer of a tag.

    Args:
        dataset: Header.
        keyword: Keyword of the tag.
        file: Path of the file, for the error message.
        signed: Whether a value whose sign the file does not state is signed.

    Raises:
        LiverSegError: If it is missing, empty or something else than one integer.
    """
    value = dataset.get(keyword)
    if value is None or value == "":
        raise LiverSegError(f"Expected {keyword} in {file}. The tag is missing or empty.")
    if isinstance(value, bytes) and len(value) == 2:  # an ambiguous value representation
        return int.from_bytes(value, "little", signed=signed)
    if not isinstance(value, int):
        raise LiverSegError(f"Expected one integer as {keyword} in {file}. Received {value}.")
    return int(value)


def check_numbers(value: object, keyword: str, length: int, file: Path) -> tuple[float, ...]:
    """Return the numbers of a value.

    Raises:
        LiverSegError: If there are fewer or more of them, or one is not finite.
    """
    numbers = tuple(float(number) for number in as_list(value))
    expected = f"Expected {keyword} of {count(length, 'finite number')} in {file}."
    if not numbers:
        raise LiverSegError(f"{expected} The tag is missing or empty.")
    if len(numbers) != length or not all(map(math.isfinite, numbers)):
        raise LiverSegError(f"{expected} Received {format_numbers(numbers)}.")
    return numbers


def format_numbers(numbers: tuple[float, ...]) -> str:
    """Return numbers as text for an error message, separated by commas."""
    return ", ".join(f"{number:g}" for number in numbers)


def as_list(value: Any) -> list:
    """Return a DICOM value, which may be missing, single or multiple, as a list."""
    if value is None or value == "":
        return []
    return [value] if isinstance(value, str | float | int) else list(value)
