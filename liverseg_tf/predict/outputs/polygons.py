"""Closed polygons around the pixels of a mask, in which holes are keyholes."""

from collections.abc import Iterator

import numpy as np
from scipy import ndimage

Point = tuple[float, float]  # (row, col)


def find_polygons(mask: np.ndarray) -> Iterator[np.ndarray]:
    """Trace polygons that contain the centres of a mask's pixels and no others.

    Each connected component (4 neighbours) is one polygon, halfway between its pixels and their
    neighbours. A hole is connected to the outer boundary by a channel of zero width (the keyhole
    technique). Holes therefore stay empty both in programs that unite polygons and in programs
    that subtract them. No edge passes through the centre of a pixel, so that programs which count
    points on an edge as inside and those which do not read the same mask.

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

    A channel runs upwards from the upper right corner of each hole to the next ring, between two
    columns of pixels, so that it does not matter whether a program counts a line as inside.
    Channels do not cross, and they connect the rings as a tree.
    """
    if len(rings) == 1:
        return _remove_collinear(rings[0])
    rings = sorted(rings, key=_box_area)
    outer = len(rings) - 1  # the largest ring is the outer boundary; all others are holes
    ends = [_find_channel(ring, component) for ring in rings[:outer]]
    rings = [_insert_points(ring, {upper for upper, _ in ends}) for ring in rings]
    places = {
        (row, col): (ring, index)
        for ring, points in enumerate(rings)
        for index, (row, col) in enumerate(points.tolist())
    }
    channels = {places[upper]: places[lower] for upper, lower in ends}
    return np.array(_walk(rings, outer, channels))


def _find_channel(hole: np.ndarray, component: np.ndarray) -> tuple[Point, Point]:
    """Find where the channel of a hole ends above it, and where it begins at the hole.

    Args:
        hole: (n, 2) points of the hole's boundary.
        component: (row, col) bool.
    """
    top = hole[:, 0].min()
    row, col = int(top + 0.5), int(hole[hole[:, 0] == top, 1].max())  # a pixel of the hole
    above = row - 1
    while component[above, col] and component[above, col + 1]:
        above -= 1
    # either the boundary passes between the two pixels, or below both of them
    passes_between = component[above, col] or component[above, col + 1]
    return (above + (0.0 if passes_between else 0.5), col + 0.5), (float(row), col + 0.5)


def _insert_points(ring: np.ndarray, wanted: set[Point]) -> np.ndarray:
    """Insert those of the wanted points that lie in the middle of a horizontal edge of the ring."""
    middles = (ring + np.roll(ring, -1, axis=0)) / 2
    is_horizontal = ring[:, 0] == np.roll(ring[:, 0], -1)
    is_wanted = [
        bool(horizontal) and (row, col) in wanted
        for horizontal, (row, col) in zip(is_horizontal, middles.tolist(), strict=True)
    ]
    return np.insert(ring, np.flatnonzero(is_wanted) + 1, middles[is_wanted], axis=0)


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
