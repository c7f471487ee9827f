"""One of several shares of a data set, for the array jobs of a cluster."""

import re
from dataclasses import dataclass

from liverseg_tf.errors import SettingsError


@dataclass(frozen=True)
class DatasetPart:
    """Share `index` of `count`; together the shares hold everything once.

    Args:
        index: from 1 to `count`.
        count: number of shares.

    Raises:
        SettingsError: when index or count are out of range.

    Example:
        >>> [DatasetPart(index, 3).of(list("abcde")) for index in (1, 2, 3)]
        [['a', 'd'], ['b', 'e'], ['c']]
    """

    index: int = 1
    count: int = 1

    def __post_init__(self) -> None:
        if not 1 <= self.index <= self.count:
            raise SettingsError(f"Expected a part from 1/N to N/N. Received {self}.")

    def __str__(self) -> str:
        return f"{self.index}/{self.count}"

    @classmethod
    def parse(cls, text: str) -> "DatasetPart":
        """The part that 'I/N' names.

        Raises:
            SettingsError: when the text is something else.
        """
        match = re.fullmatch(r"(\d{1,9})/(\d{1,9})", text.strip())
        if match is None:
            raise SettingsError(f"Expected a part as I/N (2/8). Received {text!r}.")
        return cls(int(match[1]), int(match[2]))

    def of(self, items: list) -> list:
        """Every `count`-th item from the `index`-th on: neighbours, often alike, are dealt out."""
        return items[self.index - 1 :: self.count]
