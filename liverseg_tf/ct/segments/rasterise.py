"""Polygons filled on the pixels of a slice: the inverse of tracing them."""

from collections.abc import Sequence

import numpy as np

# contours are written with three decimals of a millimetre
_ON_LINE = 0.01
_EDGES = 20_000  # at a time


def fill_polygons(polygons: Sequence[np.ndarray], shape: tuple[int, int]) -> np.ndarray:
    """Fill closed polygons together by the even-odd rule.

    A pixel is inside if its centre is inside of an odd number of polygons, so that a polygon inside
    another one is a hole, and a channel of zero width (keyhole) disappears. Centres on a line
    belong to the mask: some programs draw contours through the outermost pixels.

    Args:
        polygons: (n, 2) float64 each, (row, col) of the points in pixels; pixel centres are whole
            numbers.
        shape: (rows, cols).

    Returns:
        (row, col) bool.
    """
    crossings = np.zeros((shape[0], shape[1] + 1), np.int32)
    on_line = np.zeros(shape, bool)
    for polygon in polygons:
        ends = np.roll(polygon, -1, axis=0)
        for first in range(0, len(polygon), _EDGES):  # hostile files have millions of edges
            part = slice(first, first + _EDGES)
            _count_crossings(polygon[part], ends[part], crossings)
            _mark_lines(polygon[part], ends[part], on_line)
    inside = np.cumsum(crossings[:, :-1], axis=1) % 2 == 1
    return inside | on_line


def _count_crossings(start: np.ndarray, end: np.ndarray, crossings: np.ndarray) -> None:
    """Count, in each row, the edges that cross it, at the first pixel to their right."""
    low = np.ceil(np.minimum(start[:, 0], end[:, 0])).astype(np.int64)
    high = np.ceil(np.maximum(start[:, 0], end[:, 0])).astype(np.int64)  # not included
    low, high = np.clip(low, 0, len(crossings)), np.clip(high, 0, len(crossings))
    edge, row = _spread(low, high)
    rise = end[edge, 0] - start[edge, 0]
    share = (row - start[edge, 0]) / rise
    col = start[edge, 1] + share * (end[edge, 1] - start[edge, 1])
    first = np.clip(np.ceil(col), 0, crossings.shape[1] - 1).astype(np.int64)
    np.add.at(crossings, (row, first), 1)


def _mark_lines(start: np.ndarray, end: np.ndarray, on_line: np.ndarray) -> None:
    """Mark the pixels whose centres lie on an edge."""
    for along in (0, 1):
        across = 1 - along
        steep = np.abs(end - start)[:, along] >= np.abs(end - start)[:, across]
        one, two = start[steep], end[steep]
        low = np.ceil(np.minimum(one[:, along], two[:, along]) - _ON_LINE).astype(np.int64)
        high = np.floor(np.maximum(one[:, along], two[:, along]) + _ON_LINE).astype(np.int64) + 1
        limit = on_line.shape[along]
        edge, place = _spread(np.clip(low, 0, limit), np.clip(high, 0, limit))
        length = two[edge, along] - one[edge, along]
        share = (place - one[edge, along]) / np.where(length == 0, 1, length)
        share = np.clip(share, 0, 1)
        other = one[edge, across] + share * (two[edge, across] - one[edge, across])
        nearest = np.rint(other).astype(np.int64)
        near = (np.abs(other - nearest) <= _ON_LINE) & (nearest >= 0)
        near &= nearest < on_line.shape[across]
        points = (place[near], nearest[near]) if along == 0 else (nearest[near], place[near])
        on_line[points] = True


def _spread(low: np.ndarray, high: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return, for each edge and each whole number from low to high (excluded), both of them."""
    lengths = np.maximum(high - low, 0)
    edge = np.repeat(np.arange(len(low)), lengths)
    before = np.cumsum(lengths) - lengths
    return edge, low[edge] + np.arange(lengths.sum()) - before[edge]
