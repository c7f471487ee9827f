"""One of several parts of a data set, for array jobs on a cluster."""

import re
from dataclasses import dataclass

from liverseg_tf.errors import SettingsError


@dataclass(frozen=True)
class DatasetPart:
    """Part `index` of `count`; every item belongs to exactly one part.

    Args:
        index: Number of the part, from 1 to `count`.
        count: Number of parts.

    Raises:
        SettingsError: If index or count are out of range.

    Example:
        >>> [DatasetPart(index, 3).select(list("abcde")) for index in (1, 2, 3)]
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
        """Read a part from text of the form 'I/N'.

        Raises:
            SettingsError: If the text has another form.
        """
        match = re.fullmatch(r"(\d{1,9})/(\d{1,9})", text.strip())
        if match is None:
            raise SettingsError(f"Expected a part as I/N, such as 2/8. Received '{text}'.")
        return cls(int(match[1]), int(match[2]))

    def select(self, items: list) -> list:
        """Select every `count`-th item from the `index`-th on.

        Neighbouring items, which are often similar, go to different parts.
        """
        return items[self.index - 1 :: self.count]
