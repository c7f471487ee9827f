"""The values of the masks of a batch, and what they say about each region."""

from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple

import numpy as np

from liverseg_tf.ct.annotation import Annotation
from liverseg_tf.ct.regions import Regions
from liverseg_tf.errors import LiverSegError

NOT_LABELLED = -1
_MAX_CODES = 255


class _Kind(NamedTuple):
    """Which regions the masks of some cases label, and the label of voxels that are unknown."""

    labelled: tuple[bool, ...]
    ignored: int


class _Code(NamedTuple):
    """A value of the masks of a batch: a kind of cases, a label, and its ground truth."""

    kind: _Kind
    label: int
    truth: tuple[int, ...]


@dataclass(frozen=True)
class MaskCodes:
    """The meaning of the values of masks in a batch.

    If the masks of all cases label every region, the values are the labels. Otherwise they are
    codes: each stands for labels with the same ground truth in cases that label the same regions.
    Code 0 is then beyond the edge of a tile, where the augmentation fills in zeros; the ground
    truth there is that of the background of the same case.

    Args:
        regions: Regions that are learnt.
        kinds: The combinations of labelled regions that occur; empty if all are labelled.
    """

    regions: Regions
    kinds: tuple[_Kind, ...] = ()

    @classmethod
    def of_cases(cls, regions: Regions, annotations: Iterable[Annotation]) -> "MaskCodes":
        """Make the codes of the cases of a run.

        Args:
            regions: Regions that are learnt.
            annotations: What the mask of each case labels.

        Raises:
            LiverSegError: If there are too many combinations of labelled regions.
        """
        kinds = tuple(sorted({_kind_of(regions, one) for one in annotations}))
        if all(all(kind.labelled) and not kind.ignored for kind in kinds):
            return cls(regions)
        codes = cls(regions, kinds)
        if len(codes._codes) > _MAX_CODES:
            raise LiverSegError(
                f"Expected cases with few combinations of labelled regions. Received {len(kinds)}: "
                "leave out some regions or auxiliary regions."
            )
        return codes

    @property
    def are_labels(self) -> bool:
        """Whether the values of the masks are the labels of the store."""
        return not self.kinds

    @property
    def values(self) -> range:
        """The codes that can occur."""
        return range(1, len(self._codes) + 1)

    @cached_property
    def table(self) -> np.ndarray:
        """Ground truth of each value, (256, regions).

        It is uint8, 0 or 1; or int8 if there are regions that are not labelled, with
        `NOT_LABELLED` for them.
        """
        if self.are_labels:
            return _truth_of_labels(self.regions).astype(np.uint8)
        table = np.full((256, len(self.regions)), NOT_LABELLED, np.int8)
        for value, code in zip(self.values, self._codes, strict=True):
            table[value] = code.truth
        return table

    @cached_property
    def labels(self) -> np.ndarray:
        """A label of the store for which each value stands, (256,) uint8."""
        if self.are_labels:
            return np.arange(256, dtype=np.uint8)
        labels = np.zeros(256, np.uint8)
        labels[1 : len(self._codes) + 1] = [code.label for code in self._codes]
        return labels

    @cached_property
    def backgrounds(self) -> np.ndarray:
        """Code of the background in cases of the same kind as each value, (256,) uint8."""
        backgrounds = np.zeros(256, np.uint8)
        for value, code in zip(self.values, self._codes, strict=True):
            backgrounds[value] = self._code_of_label(code.kind)[0]
        return backgrounds

    def translation(self, annotation: Annotation) -> np.ndarray | None:
        """Return the table from the labels of a case to codes, (256,) uint8; None for labels."""
        if self.are_labels:
            return None
        return self._code_of_label(_kind_of(self.regions, annotation))

    @cached_property
    def _codes(self) -> list[_Code]:
        found: dict[tuple, _Code] = {}
        for kind in self.kinds:
            for label, truth in enumerate(_truths(self.regions, kind)):
                found.setdefault((kind, truth), _Code(kind, label, truth))
        return list(found.values())

    def _code_of_label(self, kind: _Kind) -> np.ndarray:
        values = {
            code.truth: value
            for value, code in zip(self.values, self._codes, strict=True)
            if code.kind == kind
        }
        return np.array([values[truth] for truth in _truths(self.regions, kind)], np.uint8)


def _kind_of(regions: Regions, annotation: Annotation) -> _Kind:
    return _Kind(annotation.known_regions(regions), annotation.ignored or 0)


def _truths(regions: Regions, kind: _Kind) -> list[tuple[int, ...]]:
    """Ground truth of each label from 0 to 255 in cases of a kind."""
    table = np.where(kind.labelled, _truth_of_labels(regions).astype(int), NOT_LABELLED)
    if kind.ignored:
        table[kind.ignored] = NOT_LABELLED
    return list(map(tuple, table.tolist()))


def _truth_of_labels(regions: Regions) -> np.ndarray:
    """Whether each label belongs to each region, (256, regions) bool."""
    return regions.masks(np.arange(256, dtype=np.uint8))
