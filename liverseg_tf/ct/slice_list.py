"""Lists of slices in words, such as "0-5, 10, 20" or "every=10"."""

import re
from dataclasses import dataclass

import numpy as np

from liverseg_tf.errors import LiverSegError, SettingsError
from liverseg_tf.plural import count
from liverseg_tf.printable import printable

_ITEM = re.compile(
    r"(?P<first>[0-9]{1,6})(-(?P<last>[0-9]{1,6}|end)(/(?P<step>[0-9]{1,6}))?)?"
    r"|every=(?P<every>[0-9]{1,6})|(?P<all>all)"
)
_MAX_ITEMS = 100_000


@dataclass(frozen=True)
class SliceRange:
    """Every `step`-th slice from `first` to `last`, both included; None is the last slice."""

    first: int
    last: int | None
    step: int = 1

    def __str__(self) -> str:
        if self.first == self.last:
            return str(self.first)
        last = "end" if self.last is None else self.last
        return f"{self.first}-{last}" + (f"/{self.step}" if self.step > 1 else "")


@dataclass(frozen=True)
class SliceList:
    """Slices of a volume, counted from 0.

    Args:
        ranges: Ranges of slices, in any order.
    """

    ranges: tuple[SliceRange, ...]

    @classmethod
    def parse(cls, text: str) -> "SliceList":
        """Parse a list of slices.

        Args:
            text: Slices and ranges, separated by commas, semicolons or spaces: "7", "0-5" (both
                included), "4-end", "4-end/10" (every tenth from 4), "every=10" (the same as
                "0-end/10") or "all".

        Raises:
            SettingsError: If there is no slice, or an item has another form.

        Example:
            >>> str(SliceList.parse("0-2; 5 every=10"))
            '0-2,5,0-end/10'
        """
        text = re.sub(r"\s*([-=/])\s*", r"\1", text.strip().lower())
        items = [item for item in re.split(r"[\s,;]+", text) if item]
        if not 0 < len(items) <= _MAX_ITEMS:
            raise SettingsError(
                "Expected slices such as 0-5,10,20 or every=10. Received "
                f"{'no slice' if not items else count(len(items), 'item')}."
            )
        return cls(tuple(map(_parse_item, items)))

    def __str__(self) -> str:
        return ",".join(map(str, self.ranges))

    def mask(self, depth: int) -> np.ndarray:
        """Return which slices of a volume are in the list, (depth,) bool.

        Args:
            depth: Number of slices of the volume.

        Raises:
            LiverSegError: If the list names a slice that the volume does not have.
        """
        listed = np.zeros(depth, bool)
        for one in self.ranges:
            last = one.first if one.last is None else one.last
            if last >= depth:
                raise LiverSegError(
                    f"Expected slices from 0 to {depth - 1}, counted along the third axis of the "
                    f"mask. Received slice {last} in the list of labelled slices."
                )
            listed[one.first : None if one.last is None else one.last + 1 : one.step] = True
        return listed

    def repeated(self, depth: int) -> list[int]:
        """Return the slices of a volume that are in the list more than once."""
        times = np.zeros(depth, int)
        for one in self.ranges:
            times[one.first : None if one.last is None else one.last + 1 : one.step] += 1
        return np.flatnonzero(times > 1).tolist()


def _parse_item(item: str) -> SliceRange:
    match = _ITEM.fullmatch(item)
    if match is None:
        raise SettingsError(
            "Expected slices such as 7, 0-5, 4-end/10, every=10 or all. Received "
            f"'{printable(item[:40])}'."
        )
    step = int(match["every"] or match["step"] or 1)
    first = int(match["first"] or 0)
    last: int | None = None
    if match["first"] and match["last"] != "end":
        last = int(match["last"] or first)
    if step < 1 or (last is not None and last < first):
        raise SettingsError(
            f"Expected a range from a lower to a higher slice in steps of at least 1. Received "
            f"'{item}'."
        )
    return SliceRange(first, last, step)
