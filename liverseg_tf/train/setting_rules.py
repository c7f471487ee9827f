"""Types and ranges of the settings of a run."""

from typing import Any, get_args

from liverseg_tf.errors import LiverSegError
from liverseg_tf.records import convert_record

MAX_STEM_FILTERS = 64
_TYPE_NAMES: dict[Any, str] = {
    int: "an integer",
    float: "a number",
    str: "text",
    bool: "true or false",
}


def describe_type(expected: Any) -> str:
    """Return a type such as `int | None` in words."""
    return _TYPE_NAMES[next(iter(get_args(expected)), expected)]


def has_type(value: object, expected: Any) -> bool:
    """Whether a value, which may be a number of NumPy, has a type such as `int | None`."""
    try:
        convert_record(value.item() if hasattr(value, "item") else value, expected, "a setting")
    except LiverSegError:
        return False
    return True


def between(value: float | None, lowest: float, highest: float) -> tuple[bool, str]:
    """Return whether a value, if there is one, lies in a range, and the range in words."""
    return value is None or lowest <= value <= highest, f"from {lowest} to {highest}"


def positive(value: float | None, highest: float) -> tuple[bool, str]:
    """Return whether a value, if there is one, is above 0 and not too high, and this in words."""
    return value is None or 0 < value <= highest, f"above 0 and at most {highest}"


def stem_rule(stem_filters: int, patch: int) -> tuple[bool, str]:
    """Return whether a skip connection beside patches has a valid size, and the rule in words."""
    is_valid = stem_filters == 0 or (patch > 1 and 0 < stem_filters <= MAX_STEM_FILTERS)
    return is_valid, f"0, or from 1 to {MAX_STEM_FILTERS} together with patch 2 or 4"


def one_of(value: object, choices: tuple) -> tuple[bool, str]:
    """Return whether a value is one of some choices, and the choices in words."""
    names = (str(choice) for choice in choices if choice is not None)
    return value in choices, f"one of {', '.join(names)}"
