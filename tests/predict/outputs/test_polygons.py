import numpy as np
import pytest
from skimage.draw import polygon2mask

from liverseg_tf.predict.outputs.polygons import find_polygons


def _rasterise(polygon, shape, edges):
    """Even-odd rule at the centres of the pixels; `edges`: whether points on an edge are inside."""
    rows, cols = np.indices(shape)
    inside, on_edge = np.zeros(shape, bool), np.zeros(shape, bool)
    for (row, col), (next_row, next_col) in zip(polygon, np.roll(polygon, -1, axis=0), strict=True):
        side = (next_col - col) * (rows - row) - (next_row - row) * (cols - col)
        on_edge |= (
            (side == 0)
            & (np.minimum(row, next_row) <= rows)
            & (rows <= np.maximum(row, next_row))
            & (np.minimum(col, next_col) <= cols)
            & (cols <= np.maximum(col, next_col))
        )
        crosses = (row > rows) != (next_row > rows)
        inside ^= crosses & ((side < 0) == (next_row > row))
    return inside | on_edge if edges else inside & ~on_edge


@pytest.mark.parametrize("seed", range(6))
def test_programs_agree_whether_or_not_they_count_edges_as_inside(seed):
    rng = np.random.default_rng(seed)
    mask = rng.random((13, 17)) < rng.uniform(0.6, 0.97)
    for edges in (True, False):
        drawn = [_rasterise(polygon, mask.shape, edges) for polygon in find_polygons(mask)]
        np.testing.assert_array_equal(np.logical_xor.reduce(drawn), mask)


def test_holes_above_each_other_and_at_the_same_corner():
    mask = np.ones((12, 9), bool)
    mask[2, 3:5] = mask[5:7, 2:5] = mask[8, 4] = mask[10, 6] = False
    (polygon,) = find_polygons(mask)
    for edges in (True, False):
        np.testing.assert_array_equal(_rasterise(polygon, mask.shape, edges), mask)


@pytest.mark.parametrize("seed", range(20))
def test_polygons_contain_exactly_the_pixels(seed):
    """Both the union of the polygons and their symmetric difference are the mask."""
    rng = np.random.default_rng(seed)
    mask = rng.random((25, 31)) < rng.uniform(0.2, 0.98)
    drawn = [polygon2mask(mask.shape, polygon) for polygon in find_polygons(mask)]
    np.testing.assert_array_equal(np.logical_or.reduce(drawn), mask)
    np.testing.assert_array_equal(np.logical_xor.reduce(drawn), mask)


def test_a_component_inside_a_hole_is_another_polygon():
    mask = np.zeros((20, 24), bool)
    mask[2:18, 2:22] = True
    mask[4:8, 4:8] = mask[10:16, 10:18] = False
    mask[12:14, 13:15] = True
    polygons = list(find_polygons(mask))
    assert len(polygons) == 2
    ring, island = sorted(polygons, key=len, reverse=True)
    assert len(island) == 8
    x, y = ring.T
    area = abs(np.sum(x * np.roll(y, 1) - y * np.roll(x, 1))) / 2
    assert area == pytest.approx(mask[2:18, 2:22].sum() - 4, abs=2)


def test_one_pixel_and_an_empty_mask():
    mask = np.zeros((3, 4), bool)
    assert list(find_polygons(mask)) == []
    mask[0, 3] = True
    (diamond,) = find_polygons(mask)
    assert {tuple(point) for point in diamond} == {(-0.5, 3), (0.5, 3), (0, 2.5), (0, 3.5)}


@pytest.mark.slow
def test_a_mask_with_thousands_of_holes():
    mask = np.ones((120, 130), bool)
    mask[1:-1:2, 1:-1:2] = False
    (polygon,) = find_polygons(mask)
    np.testing.assert_array_equal(polygon2mask(mask.shape, polygon), mask)
