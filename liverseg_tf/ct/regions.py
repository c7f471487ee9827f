"""Regions: what the labels of a mask mean."""

import operator
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import numpy as np

from liverseg_tf.errors import SettingsError


@dataclass(frozen=True)
class Regions:
    """Named sets of mask labels; they may overlap, and nested ones are listed from the outside in.

    Args:
        items: (name, labels) in order; a mapping of names to labels is taken as well.

    Raises:
        SettingsError: without a region, on an empty or repeated name, on a region without
            labels, or on a label that is no whole number from 1 to 255.

    Example:
        >>> Regions({"liver": (1, 2), "tumour": (2,)}).names
        ('liver', 'tumour')
    """

    items: tuple[tuple[str, tuple[int, ...]], ...]

    def __post_init__(self) -> None:
        items = self.items.items() if isinstance(self.items, Mapping) else self.items
        items = tuple((_checked_name(name), _checked_labels(name, of)) for name, of in items)
        if not items:
            raise SettingsError("Expected at least one region. Received none.")
        names = [name for name, _ in items]
        for name in names:
            if names.count(name) > 1:
                raise SettingsError(f"Expected one region of each name. Received {name!r} twice.")
        object.__setattr__(self, "items", items)

    @classmethod
    def parse(cls, texts: Iterable[str]) -> "Regions":
        """Regions as they are written on a command line.

        Args:
            texts: each a name, '=' and labels with commas between them.

        Raises:
            SettingsError: as the class, and on a text of another form.

        Example:
            >>> Regions.parse(["liver=1,2", "tumour=2"]) == LIVER_REGIONS
            True
        """
        items = []
        for text in texts:
            name, _, labels = text.partition("=")
            try:
                items.append((name.strip(), tuple(int(label) for label in labels.split(","))))
            except ValueError as error:
                raise SettingsError(
                    f"Expected a region as name=label,label. Received {text!r}."
                ) from error
        return cls(tuple(items))

    @classmethod
    def from_json(cls, value: object) -> "Regions":
        """The inverse of `to_json`.

        Raises:
            SettingsError: as the class, and when `value` is no object of lists.
        """
        if not isinstance(value, Mapping):
            raise SettingsError(
                f"Expected regions as an object of names and labels. Received {value!r}."
            )
        return cls(value)

    def to_json(self) -> dict[str, list[int]]:
        """Names and labels as plain JSON values, in order."""
        return {name: list(labels) for name, labels in self.items}

    @property
    def names(self) -> tuple[str, ...]:
        return tuple(name for name, _ in self.items)

    @property
    def written_labels(self) -> tuple[int, ...]:
        """The label that `labels_of` writes for each region.

        It is the region's first label that no later region contains; the first of all where
        later regions contain each of them.
        """
        written = []
        for place, (_, labels) in enumerate(self.items):
            later = {label for _, others in self.items[place + 1 :] for label in others}
            written.append(next((label for label in labels if label not in later), labels[0]))
        return tuple(written)

    def __len__(self) -> int:
        return len(self.items)

    def nested_in(self, name: str) -> list[str]:
        """The other regions all of whose labels are labels of this one."""
        labels = dict(self.items)
        return [
            other for other in labels if other != name and set(labels[other]) <= set(labels[name])
        ]

    def around(self, name: str) -> list[str]:
        """The other regions in which this one is nested."""
        return [other for other in self.names if name in self.nested_in(other)]

    def check_names(self, names: Iterable[str]) -> None:
        """Raise a `SettingsError` for a name that is no region's."""
        for name in names:
            if name not in self.names:
                raise SettingsError(
                    f"Expected a region of {', '.join(self.names)}. Received {name!r}."
                )

    def mask(self, labels: np.ndarray, name: str) -> np.ndarray:
        """Where one region is.

        Args:
            labels: uint8 label map of any shape.
            name: of the region.

        Returns:
            bool, the shape of `labels`.

        Raises:
            SettingsError: when there is no region of that name.
        """
        self.check_names([name])
        first, *others = dict(self.items)[name]
        # comparisons run eight times faster than a lookup table of 256 entries
        mask = labels == first
        for label in others:
            mask |= labels == label
        return mask

    def masks(self, labels: np.ndarray) -> np.ndarray:
        """Where each region is.

        Args:
            labels: uint8 label map of any shape.

        Returns:
            bool, (..., n): the shape of `labels` with one channel a region, in order.
        """
        return np.stack([self.mask(labels, name) for name in self.names], axis=-1)

    def labels_of(self, masks: np.ndarray) -> np.ndarray:
        """One label map of overlapping masks; where they overlap, the later region is written.

        Args:
            masks: bool (or 0 and 1), (..., n), one channel a region.

        Returns:
            uint8, (...), of `written_labels`. It is the inverse of `masks` for labels of
            which each is the written one of a region and regions that are nested or disjoint.
        """
        if masks.shape[-1:] != (len(self),):
            raise SettingsError(
                f"Expected masks of {len(self)} regions on the last axis. "
                f"Received the shape {masks.shape}."
            )
        labels = np.zeros(masks.shape[:-1], np.uint8)
        for channel, label in enumerate(self.written_labels):
            labels[masks[..., channel].astype(bool, copy=False)] = label
        return labels


def _checked_name(name: object) -> str:
    if not (isinstance(name, str) and name.strip()):
        raise SettingsError(f"Expected a name for each region. Received {name!r}.")
    return name


def _checked_labels(name: str, labels: object) -> tuple[int, ...]:
    if isinstance(labels, str | bytes) or not isinstance(labels, Iterable):
        raise SettingsError(f"Expected a list of labels for region {name!r}. Received {labels!r}.")
    labels = tuple(labels)
    try:
        whole = tuple(operator.index(label) for label in labels)
    except TypeError:
        whole = ()
    if not whole or bool in map(type, labels) or min(whole) < 1 or max(whole) > 255:
        raise SettingsError(
            f"Expected labels from 1 to 255 for region {name!r}. "
            f"Received {', '.join(map(str, labels)) or 'none'}."
        )
    return whole


LIVER_REGIONS = Regions({"liver": (1, 2), "tumour": (2,)})
