"""What the mask of a case says: not every mask labels every region."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from liverseg_tf.ct.regions import Regions
from liverseg_tf.ct.slice_list import SliceList
from liverseg_tf.ct.volume import Volume
from liverseg_tf.errors import LiverSegError, SettingsError


@dataclass(frozen=True)
class Annotation:
    """The regions that were drawn in a mask, and the voxels that nobody looked at.

    In a mask of the liver alone, tumours have the label of the liver, and the spleen that of the
    background: neither says that there is no tumour and no spleen.

    Args:
        labelled: Regions that were drawn. None means that every region was.
        ignored: Label of voxels of which nothing is known. None means that there are none.
        slices: Slices that were drawn, counted along the third axis of the mask's file; the voxels
            of all others get the ignored label. None means that every slice was.
        ignored_is_chosen: Whether the ignored label was chosen for these voxels, so that the mask
            must not contain it.

    Raises:
        SettingsError: If the ignored label belongs to a region that was drawn, is not from 1 to
            255, or is missing although there are slices that were not drawn.

    Example:
        >>> Annotation(Regions({"liver": (1, 2)})).knows([1, 2])
        True
        >>> Annotation(Regions({"liver": (1, 2)})).knows([2])
        False
    """

    labelled: Regions | None = None
    ignored: int | None = None
    slices: SliceList | None = None
    ignored_is_chosen: bool = False

    def __post_init__(self) -> None:
        if self.ignored is None:
            if self.slices is not None:
                raise SettingsError(
                    "Expected a label for the voxels of slices that are not labelled. Received "
                    "only the list of the labelled slices."
                )
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

    def mark_unlabelled_slices(self, mask: Volume) -> Volume:
        """Return a mask with the ignored label in the slices that nobody drew.

        Args:
            mask: uint8 labels as read: the first axis of the array is the third one of the file.

        Raises:
            LiverSegError: If a slice that was drawn does not exist, or contains the label that was
                chosen for the others.
        """
        if self.slices is None:
            return mask
        drawn = self.slices.mask(len(mask.array))
        if self.ignored_is_chosen and (mask.array[drawn] == self.ignored).any():
            raise LiverSegError(
                f"Expected masks without the label {self.ignored}, which marks the slices that are "
                "not labelled. Received a mask that contains it: name it with --ignore if it means "
                "unknown, or else another label that no mask contains."
            )
        labels = mask.array.copy()
        labels[~drawn] = self.ignored
        return mask.with_array(labels)

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
        value: dict[str, Any] = {"labelled": labelled, "ignored": self.ignored}
        if self.slices is not None:
            value |= {"slices": str(self.slices), "ignored_is_chosen": self.ignored_is_chosen}
        return value

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
        slices, is_chosen = value.get("slices"), value.get("ignored_is_chosen", False)
        if not isinstance(slices, str | None) or not isinstance(is_chosen, bool):
            raise SettingsError("Expected labelled slices as text. Received another type.")
        return cls(
            None if labelled is None else Regions.from_json(labelled),
            ignored,
            None if slices is None else SliceList.parse(slices),
            is_chosen,
        )

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
