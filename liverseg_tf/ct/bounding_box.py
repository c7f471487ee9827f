"""Bounding boxes of masks."""

from collections.abc import Iterable

import numpy as np

Box = tuple[slice, ...]


def bounding_box(*masks: np.ndarray) -> Box:
    """Find the smallest box that contains every element that is not 0 in any of the masks.

    No mask is copied.

    Args:
        masks: Arrays of one shape, any dtype.

    Returns:
        One slice for each axis; the slices are empty if every element is 0.

    Example:
        >>> bounding_box(np.array([[0, 0, 0], [0, 2, 1]]))
        (slice(1, 2, None), slice(1, 3, None))
    """
    ndim = masks[0].ndim
    box: list[slice] = []
    for axis in range(ndim):
        others = tuple(other for other in range(ndim) if other != axis)
        # the axes that are already known narrow the search along the next ones
        part = (*box, *[slice(None)] * (ndim - axis))
        occupied = np.logical_or.reduce([mask[part].any(axis=others) for mask in masks])
        indices = np.flatnonzero(occupied)
        if not indices.size:
            return (slice(0, 0),) * ndim
        box.append(slice(int(indices[0]), int(indices[-1]) + 1))
    return tuple(box)


def union(boxes: Iterable[Box | None]) -> Box | None:
    """Find the smallest box that contains all boxes.

    Args:
        boxes: Boxes with the same number of axes. None stands for no box and is ignored.

    Returns:
        None if there is no box.

    Example:
        >>> union([(slice(0, 2),), None, (slice(5, 6),)])
        (slice(0, 6, None),)
    """
    known = [box for box in boxes if box is not None]
    if not known:
        return None
    return tuple(
        slice(min(part.start for part in parts), max(part.stop for part in parts))
        for parts in zip(*known, strict=True)
    )
