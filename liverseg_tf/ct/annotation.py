"""What the mask of a case says: not every mask labels every region."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from liverseg_tf.ct.regions import Regions
from liverseg_tf.errors import SettingsError


@dataclass(frozen=True)
class Annotation:
    """The regions that were drawn in a mask, and the label of voxels that nobody looked at.

    In a mask of the liver alone, tumours have the label of the liver, and the spleen that of the
    background: neither says that there is no tumour and no spleen.

    Args:
        labelled: Regions that were drawn. None means that every region was.
        ignored: Label of voxels of which nothing is known. None means that there are none.

    Raises:
        SettingsError: If the ignored label belongs to a region that was drawn, or is not from 1
            to 255.

    Example:
        >>> Annotation(Regions({"liver": (1, 2)})).knows([1, 2])
        True
        >>> Annotation(Regions({"liver": (1, 2)})).knows([2])
        False
    """

    labelled: Regions | None = None
    ignored: int | None = None

    def __post_init__(self) -> None:
        if self.ignored is None:
            return
        if not 1 <= self.ignored <= 255:
            raise SettingsError(
                f"Expected a label from 1 to 255 to ignore. Received {self.ignored}."
            )
        for name, labels in () if self.labelled is None else self.labelled.items:
            if self.ignored in labels:
                raise SettingsError(
                    "Expected a label to ignore that belongs to no region. "
                    f"Received {self.ignored}, a label of {name}."
                )

    @property
    def is_complete(self) -> bool:
        """Whether every region is labelled in every voxel."""
        return self.labelled is None and self.ignored is None

    def knows(self, labels: Iterable[int]) -> bool:
        """Return whether the voxels of these labels together, and no others, are known.

        The regions that were drawn tell some labels apart. Labels that none of them tells apart
        are either all in the region or all outside, and labels of no drawn region are outside.

        Args:
            labels: Labels of a region.
        """
        if self.labelled is None:
            return True
        inside = set(labels)
        classes = {self._class_of(label) for label in inside}
        others = {self._class_of(label) for label in range(1, 256) if label not in inside}
        return all(map(any, classes)) and not classes & others

    def known_regions(self, regions: Regions) -> tuple[bool, ...]:
        """Return for each region whether it is labelled; see `knows`."""
        return tuple(self.knows(labels) for _, labels in regions.items)

    def contradictions(self, labels: Iterable[int], regions: Regions) -> list[str]:
        """Find the labels of regions that should not occur in such a mask.

        Args:
            labels: Labels that occur.
            regions: Named regions. In a mask of the liver alone, the label of a tumour contradicts.
                Labels of no region are not looked at.

        Returns:
            For each of these labels, a text of what it belongs to.
        """
        if self.labelled is None:
            return []
        drawn = [set(one) for _, one in self.labelled.items]
        found = []
        for label in sorted(set(labels) - {0, self.ignored}):
            missing = [
                name
                for name, of in regions.items
                if label in of
                and not self.knows(of)
                and not any(label in one and one <= set(of) for one in drawn)
            ]
            if missing:
                found.append(f"label {label} ({', '.join(missing)})")
        return found

    def to_json(self) -> dict[str, Any]:
        """Return a dictionary of plain JSON values, the inverse of `from_json`."""
        labelled = None if self.labelled is None else self.labelled.to_json()
        return {"labelled": labelled, "ignored": self.ignored}

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> "Annotation":
        """Create an annotation from the value that `to_json` returned.

        Raises:
            SettingsError: If an entry is wrong.
        """
        labelled, ignored = value.get("labelled"), value.get("ignored")
        if ignored is not None and type(ignored) is not int:
            raise SettingsError(
                "Expected the label to ignore as an integer. Received another type."
            )
        return cls(None if labelled is None else Regions.from_json(labelled), ignored)

    def _class_of(self, label: int) -> tuple[bool, ...]:
        """Whether a label belongs to each of the regions that were drawn."""
        assert self.labelled is not None, "otherwise, every label is a class of its own"
        return tuple(label in labels for _, labels in self.labelled.items)


def read_annotation(record: Mapping[str, Any]) -> Annotation:
    """Return what the mask of a case labels, according to its record in a store.

    Args:
        record: Record of the case. Without an entry `annotation`, its mask labels everything.

    Raises:
        SettingsError: If the entry is wrong.
    """
    value = record.get("annotation")
    return Annotation() if value is None else Annotation.from_json(value)
