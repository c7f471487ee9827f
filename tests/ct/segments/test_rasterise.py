"""Filled polygons, compared with those that were traced and with another library."""

import numpy as np
from skimage.draw import polygon2mask

from liverseg_tf.ct.segments import rasterise
from liverseg_tf.ct.segments.rasterise import fill_polygons


def _square(low, high):
    return np.array([(low, low), (low, high), (high, high), (high, low)], float)


def test_pixel_centres_inside_are_filled(monkeypatch):
    monkeypatch.setattr(rasterise, "_ON_LINE", 1e-9)  # of the library, lines have no width
    rng = np.random.default_rng(0)
    for _ in range(20):
        polygon = rng.uniform(-1, 21, (7, 2))
        np.testing.assert_array_equal(
            fill_polygons([polygon], (20, 20)), polygon2mask((20, 20), polygon)
        )


def test_a_polygon_inside_of_another_one_is_a_hole():
    found = fill_polygons([_square(0.5, 9.5), _square(3.5, 6.5)], (11, 11))
    expected = np.zeros((11, 11), bool)
    expected[1:10, 1:10], expected[4:7, 4:7] = True, False
    np.testing.assert_array_equal(found, expected)


def test_centres_on_a_line_belong_to_the_mask():
    """OpenCV's contours, which rt-utils writes, run through the outermost pixels of the mask."""
    assert fill_polygons([_square(2, 4)], (7, 7)).sum() == 9
    assert fill_polygons([np.array([[3.0, 5.0]])], (7, 7)).sum() == 1
    # a hole of one pixel, of which the contour runs through the pixels around it
    hole = np.array([(2, 3), (3, 2), (4, 3), (3, 4)], float)
    found = fill_polygons([_square(1, 5), hole], (7, 7))
    expected = np.zeros((7, 7), bool)
    expected[1:6, 1:6], expected[3, 3] = True, False
    np.testing.assert_array_equal(found, expected)


def test_polygons_may_leave_the_slice():
    assert fill_polygons([_square(-5, 20)], (4, 6)).all()
    assert not fill_polygons([_square(30, 40)], (4, 6)).any()
