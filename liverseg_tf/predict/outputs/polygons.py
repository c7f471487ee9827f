"""Closed polygons around a mask's pixels, holes cut open to the outside."""

from collections.abc import Iterator

import numpy as np
from scipy import ndimage


def find_polygons(mask: np.ndarray) -> Iterator[np.ndarray]:
    """Polygons that hold the centres of a mask's pixels and no others.

    Each group of pixels that touch along edges is one polygon, halfway between its pixels and
    their neighbours. Holes are joined to it by a channel without width, walked there and back
    (a keyhole), so that both readers that unite polygons and readers that subtract them leave
    the holes empty.

    Args:
        mask: (row, col) bool.

    Yields:
        (n, 2) float64 of (row, col), n >= 4, the last point not being the first again.
    """
    from skimage.measure import find_contours

    numbered, _ = ndimage.label(mask)
    for number, box in enumerate(ndimage.find_objects(numbered), 1):
        part = np.pad(numbered[box] == number, 1)
        corner = [side.start - 1 for side in box]
        rings = find_contours(part.astype(np.float32), 0.5, fully_connected="low")
        yield _joined([ring[:-1] for ring in rings], part) + corner


def _joined(rings: list[np.ndarray], part: np.ndarray) -> np.ndarray:
    """One ring of a group's edge and its holes'.

    A channel runs up from the topmost point of each hole through pixels of the group to the
    ring above, so that channels cross nothing and hang together as a tree.
    """
    if len(rings) == 1:
        return _without_midpoints(rings[0])
    rings = sorted(rings, key=_extent)
    outer = len(rings) - 1  # the longest way round; all others are holes
    places = {
        (row, col): (ring, index)
        for ring, points in enumerate(rings)
        for index, (row, col) in enumerate(points.tolist())
    }
    hanging: dict[tuple[int, int], tuple[int, int]] = {}
    for hole in range(outer):
        start = int(rings[hole][:, 0].argmin())
        row, col = rings[hole][start].tolist()
        above = int(row - 0.5)
        while part[above, int(col)]:
            above -= 1
        hanging[places[above + 0.5, col]] = (hole, start)
    return np.array(_walk(rings, outer, hanging))


def _walk(
    rings: list[np.ndarray], outer: int, hanging: dict[tuple[int, int], tuple[int, int]]
) -> list[np.ndarray]:
    """Once round every ring, each hole when its place on another ring is passed."""
    points = []
    # a ring, the index of its next point, and how many are left
    stack = [(outer, 0, len(rings[outer]))]
    while stack:
        ring, index, left = stack.pop()
        while left:
            here = rings[ring][index]
            if (ring, index) in hanging:
                hole, start = hanging.pop((ring, index))
                # there, round the hole, to its first point again, and back to here
                points.append(here)
                stack.append((ring, index, left))
                ring, index, left = hole, start, len(rings[hole]) + 1
                continue
            points.append(here)
            index, left = (index + 1) % len(rings[ring]), left - 1
    return points


def _extent(ring: np.ndarray) -> float:
    return float(np.prod(np.ptp(ring, axis=0)))


def _without_midpoints(ring: np.ndarray) -> np.ndarray:
    """Leave out points on a straight way."""
    into, out = ring - np.roll(ring, 1, axis=0), np.roll(ring, -1, axis=0) - ring
    return ring[into[:, 0] * out[:, 1] != into[:, 1] * out[:, 0]]
