"""Which slices of the training cases contain a region, as far as their masks label it."""

from collections.abc import Iterable, Sequence

import numpy as np

from liverseg_tf.ct.annotation import Annotation
from liverseg_tf.ct.regions import Regions
from liverseg_tf.errors import LiverSegError
from liverseg_tf.plural import count
from liverseg_tf.tiles.case_tiles import CaseTiles


def check_labelled(regions: Regions, annotations: Sequence[Annotation]) -> None:
    """Check that each region is labelled in a case; the network would guess any other.

    Args:
        regions: Regions that are learnt.
        annotations: What the mask of each training case labels.

    Raises:
        LiverSegError: If no case labels a region.
    """
    for name, labels in regions.items:
        if annotations and not any(one.knows(labels) for one in annotations):
            raise LiverSegError(
                f"Expected training cases that label the region {name}. Received "
                f"{count(len(annotations), 'case')} of which none does, according to the store: "
                "leave this region out."
            )


def find_region_slices(
    regions: Regions, records: Sequence[dict], annotations: Sequence[Annotation]
) -> dict[str, np.ndarray]:
    """Find the slices that contain a region in the cases that label it.

    Args:
        regions: Regions to look for.
        records: Records of the cases; see `CaseTiles`.
        annotations: What the mask of each case labels.

    Returns:
        Numbers of the slices, counted over all cases, for each region that occurs.
    """
    ends = np.cumsum([record["slices"] for record in records])
    found = {}
    for name, labels in regions.items:
        slices = [
            end - record["slices"] + z
            for end, record, annotation in zip(ends, records, annotations, strict=True)
            if annotation.knows(labels)
            for z in _slices_with(record, set(labels) - {annotation.ignored})
        ]
        if slices:
            found[name] = np.array(slices)
    return found


def _slices_with(record: dict, labels: Iterable[int]) -> list[int]:
    """Indices of the slices of a case that contain at least one of the labels."""
    return sorted({z for label in labels for z in record["slices_with"].get(str(label), [])})


def find_known_slices(cases: Sequence[CaseTiles], annotations: Sequence[Annotation]) -> np.ndarray:
    """Find the slices of which something is known, in several cases.

    Args:
        cases: Tiles of the cases.
        annotations: What the mask of each case labels.

    Returns:
        Numbers of the slices, counted over all cases, in order.
    """
    starts = np.cumsum([0, *(len(case.mask) for case in cases)])
    found = [
        start + find_known_slices_of(case, annotation)
        for start, case, annotation in zip(starts, cases, annotations, strict=False)
    ]
    return np.concatenate(found)


def find_known_slices_of(case: CaseTiles, annotation: Annotation) -> np.ndarray:
    """Find the slices of which something is known: not all of their voxels have the ignored label.

    Args:
        case: Tiles of the case.
        annotation: What its mask labels.

    Returns:
        Indices of the slices, in order.
    """
    known = np.ones(len(case.mask), bool)
    if annotation.ignored is not None:
        for z in _slices_with(case.record, [annotation.ignored]):
            known[z] = (np.asarray(case.mask[z]) != annotation.ignored).any()
    return np.flatnonzero(known)
