"""A setting of a plan, and the plan as a whole."""

from collections.abc import Sequence
from dataclasses import dataclass

Scalar = str | int | float | bool
Value = Scalar | Sequence[Scalar] | Sequence[Sequence[float]]

TILE_SECTIONS = ("check", "preprocess")
REGION_SECTIONS = ("check", "preprocess", "train", "evaluate", "view")


@dataclass(frozen=True)
class Setting:
    """An option with its value, and why it has this value.

    Args:
        key: Long option of the commands, without its hyphens.
        value: Value, as TOML has it.
        reason: Reason, one line.
        sections: Commands to which it applies.
    """

    key: str
    value: Value
    reason: str
    sections: tuple[str, ...] = ("train",)


@dataclass(frozen=True)
class Plan:
    """Settings for a data set on a machine.

    Args:
        settings: Settings in the order in which they are shown.
        notes: What should be known besides, a line each.
    """

    settings: tuple[Setting, ...]
    notes: tuple[str, ...] = ()

    def value(self, key: str, default: Value | None = None) -> Value | None:
        """Return the value of a setting, or a default if the plan leaves it out."""
        return next((one.value for one in self.settings if one.key == key), default)
