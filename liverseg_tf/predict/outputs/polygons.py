"""Closed polygons around the pixels of a mask, in which holes are keyholes."""

from collections.abc import Iterator

import numpy as np
from scipy import ndimage


def find_polygons(mask: np.ndarray) -> Iterator[np.ndarray]:
    """Trace polygons that contain the centres of a mask's pixels and no others.

    Each connected component (4 neighbours) is one polygon, halfway between its pixels and their
    neighbours. A hole is connected to the outer boundary by a channel of zero width (the keyhole
    technique). Holes therefore stay empty both in programs that unite polygons and in programs
    that subtract them.

    Args:
        mask: (row, col) bool.

    Yields:
        (n, 2) float64, the (row, col) coordinates of n >= 4 points. The first point is not
        repeated at the end.
    """
    from skimage.measure import find_contours

    components, _ = ndimage.label(mask)
    for number, box in enumerate(ndimage.find_objects(components), 1):
        component = np.pad(components[box] == number, 1)
        corner = [side.start - 1 for side in box]
        rings = find_contours(component.astype(np.float32), 0.5, fully_connected="low")
        yield _join_rings([ring[:-1] for ring in rings], component) + corner


def _join_rings(rings: list[np.ndarray], component: np.ndarray) -> np.ndarray:
    """Join the outer boundary of a component and the boundaries of its holes to one ring.

    A channel runs upwards from the topmost point of each hole, through pixels of the component, to
    the next ring. Channels therefore do not cross, and they connect the rings as a tree.
    """
    if len(rings) == 1:
        return _remove_collinear(rings[0])
    rings = sorted(rings, key=_box_area)
    outer = len(rings) - 1  # the largest ring is the outer boundary; all others are holes
    places = {
        (row, col): (ring, index)
        for ring, points in enumerate(rings)
        for index, (row, col) in enumerate(points.tolist())
    }
    channels: dict[tuple[int, int], tuple[int, int]] = {}
    for hole in range(outer):
        start = int(rings[hole][:, 0].argmin())
        row, col = rings[hole][start].tolist()
        above = int(row - 0.5)
        while component[above, int(col)]:
            above -= 1
        channels[places[above + 0.5, col]] = (hole, start)
    return np.array(_walk(rings, outer, channels))


def _walk(
    rings: list[np.ndarray], outer: int, channels: dict[tuple[int, int], tuple[int, int]]
) -> list[np.ndarray]:
    """Walk around the outer ring and, wherever a channel starts, around its hole and back.

    Args:
        rings: (n, 2) points of each ring.
        outer: Index of the outer ring.
        channels: (ring, index of the point) at which a channel starts, to (hole, index of the
            point) at which it ends.
    """
    points = []
    # ring, index of its next point, number of points left
    stack = [(outer, 0, len(rings[outer]))]
    while stack:
        ring, index, left = stack.pop()
        while left:
            point = rings[ring][index]
            if (ring, index) in channels:
                hole, start = channels.pop((ring, index))
                # through the channel, around the hole to its first point, and back to this point
                points.append(point)
                stack.append((ring, index, left))
                ring, index, left = hole, start, len(rings[hole]) + 1
                continue
            points.append(point)
            index, left = (index + 1) % len(rings[ring]), left - 1
    return points


def _box_area(ring: np.ndarray) -> float:
    return float(np.prod(np.ptp(ring, axis=0)))


def _remove_collinear(ring: np.ndarray) -> np.ndarray:
    """Remove points that lie on a straight line between their neighbours."""
    into, out = ring - np.roll(ring, 1, axis=0), np.roll(ring, -1, axis=0) - ring
    return ring[into[:, 0] * out[:, 1] != into[:, 1] * out[:, 0]]
