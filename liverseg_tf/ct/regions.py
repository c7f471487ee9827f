"""Regions: the meaning of the labels in a mask."""

import operator
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import numpy as np

from liverseg_tf.errors import SettingsError
from liverseg_tf.plural import count
from liverseg_tf.printable import printable


@dataclass(frozen=True, init=False)
class Regions:
    """Named sets of mask labels. Regions may overlap; outer regions come before nested ones.

    Args:
        items: Pairs (name, labels) in order, or a mapping from names to labels.

    Raises:
        SettingsError: If there is no region, a name is empty, used twice or has control
            characters, a region has no labels, or a label is not an integer from 1 to 255.

    Example:
        >>> Regions({"liver": (1, 2), "tumour": (2,)})
        Regions(liver: 1, 2; tumour: 2)
    """

    items: tuple[tuple[str, tuple[int, ...]], ...]

    def __init__(
        self, items: Mapping[str, Iterable[int]] | Iterable[tuple[str, Iterable[int]]]
    ) -> None:
        pairs = items.items() if isinstance(items, Mapping) else items
        checked = tuple((_check_name(name), _check_labels(name, labels)) for name, labels in pairs)
        if not checked:
            raise SettingsError("Expected at least one region. Received an empty list.")
        names = [name for name, _ in checked]
        for name in names:
            if names.count(name) > 1:
                raise SettingsError(f"Expected one region of each name. Received {name!r} twice.")
        object.__setattr__(self, "items", checked)

    @classmethod
    def parse(cls, texts: Iterable[str]) -> "Regions":
        """Parse regions from the command line.

        Args:
            texts: One text per region: a name, '=' and labels separated by commas.

        Raises:
            SettingsError: If a text has another form, and as the class.

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
        """Read the object that `to_json` returned.

        Raises:
            SettingsError: If the value is not an object of lists, and as the class.
        """
        if not isinstance(value, Mapping):
            raise SettingsError(
                "Expected regions as an object of names and labels. "
                f"Received a value of type {type(value).__name__}."
            )
        return cls(value)

    def to_json(self) -> dict[str, list[int]]:
        """Return names and labels as plain JSON values, in order."""
        return {name: list(labels) for name, labels in self.items}

    def __repr__(self) -> str:
        regions = (f"{name}: {', '.join(map(str, labels))}" for name, labels in self.items)
        return f"Regions({'; '.join(regions)})"

    def __str__(self) -> str:
        """Return the regions as they are written on the command line."""
        return " ".join(f"{name}={','.join(map(str, labels))}" for name, labels in self.items)

    def __len__(self) -> int:
        return len(self.items)

    @property
    def names(self) -> tuple[str, ...]:
        """Names of the regions, in order."""
        return tuple(name for name, _ in self.items)

    def joined(self, others: "Regions | None") -> "Regions":
        """Return these regions and after them others, if there are any."""
        return self if others is None else Regions((*self.items, *others.items))

    @property
    def written_labels(self) -> tuple[int, ...]:
        """The label that `labels_of` writes for each region.

        It is the first label of the region that belongs to no later region, or simply the first
        label if all of them belong to later regions.
        """
        written = []
        for index, (_, labels) in enumerate(self.items):
            later = {label for _, others in self.items[index + 1 :] for label in others}
            written.append(next((label for label in labels if label not in later), labels[0]))
        return tuple(written)

    def only(self, names: Iterable[str]) -> "Regions":
        """Return some of the regions, with the labels that `labels_of` writes for all of them.

        Args:
            names: Names of the regions to keep, in any order.

        Raises:
            SettingsError: If a name does not belong to a region.
        """
        chosen = set(names)
        self.check_names(chosen)
        written = dict(zip(self.names, self.written_labels, strict=True))
        kept = {written[name] for name in chosen}
        return Regions(
            (name, (written[name], *(n for n in labels if n in kept and n != written[name])))
            for name, labels in self.items
            if name in chosen
        )

    def nested_in(self, name: str) -> list[str]:
        """List the other regions that are nested in a region: all their labels belong to it."""
        labels = dict(self.items)
        return [
            other for other in labels if other != name and set(labels[other]) <= set(labels[name])
        ]

    def containing(self, name: str) -> list[str]:
        """List the other regions in which a region is nested."""
        return [other for other in self.names if name in self.nested_in(other)]

    def check_names(self, names: Iterable[str]) -> None:
        """Raise a `SettingsError` for a name that does not belong to a region."""
        for name in names:
            if name not in self.names:
                raise SettingsError(
                    f"Expected a region of {', '.join(self.names)}. Received {name!r}."
                )

    def mask(self, labels: np.ndarray, name: str) -> np.ndarray:
        """Compute the mask of one region.

        Args:
            labels: uint8 label map of any shape.
            name: Name of the region.

        Returns:
            bool, the shape of `labels`.

        Raises:
            SettingsError: If no region has this name.
        """
        self.check_names([name])
        first, *others = dict(self.items)[name]
        # eight times faster than a lookup table of 256 entries
        mask = labels == first
        for label in others:
            mask |= labels == label
        return mask

    def masks(self, labels: np.ndarray) -> np.ndarray:
        """Compute the mask of every region.

        Args:
            labels: uint8 label map of any shape.

        Returns:
            bool, (..., n): the shape of `labels` with one channel per region, in order.
        """
        return np.stack([self.mask(labels, name) for name in self.names], axis=-1)

    def labels_of(self, masks: np.ndarray) -> np.ndarray:
        """Combine overlapping masks into one label map; later regions overwrite earlier ones.

        This is the inverse of `masks` if the regions are nested or disjoint and the label map
        contains only `written_labels`.

        Args:
            masks: bool (or 0 and 1), (..., n), one channel per region.

        Returns:
            uint8, (...), with the labels of `written_labels`.
        """
        if masks.shape[-1:] != (len(self),):
            raise SettingsError(
                f"Expected masks of {count(len(self), 'region')} on the last axis. "
                f"Received the shape {masks.shape}."
            )
        labels = np.zeros(masks.shape[:-1], np.uint8)
        for channel, label in enumerate(self.written_labels):
            labels[masks[..., channel].astype(bool, copy=False)] = label
        return labels


def _check_name(name: object) -> str:
    if not isinstance(name, str):
        raise SettingsError(
            f"Expected the name of a region as text. Received a value of type "
            f"{type(name).__name__}."
        )
    if not name.strip():
        raise SettingsError("Expected a name for each region. Received an empty name.")
    if not name.isprintable():
        raise SettingsError(
            f"Expected names of regions without control characters. Received {printable(name)}."
        )
    return name


def _check_labels(name: str, labels: object) -> tuple[int, ...]:
    if isinstance(labels, str | bytes) or not isinstance(labels, Iterable):
        raise SettingsError(
            f"Expected a list of labels for region {name!r}. "
            f"Received a value of type {type(labels).__name__}."
        )
    labels = tuple(labels)
    try:
        integers = tuple(operator.index(label) for label in labels)
    except TypeError:
        integers = ()
    if not integers or bool in map(type, labels) or min(integers) < 1 or max(integers) > 255:
        raise SettingsError(
            f"Expected labels from 1 to 255 for region {name!r}. "
            f"Received {', '.join(map(str, labels)) or 'an empty list'}."
        )
    return integers


LIVER_REGIONS = Regions({"liver": (1, 2), "tumour": (2,)})
