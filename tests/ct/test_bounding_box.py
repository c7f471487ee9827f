import numpy as np

from liverseg_tf.ct.bounding_box import bounding_box


def test_bounding_box():
    mask = np.zeros((4, 5, 6), np.uint8)
    assert bounding_box(mask, mask) == (slice(0, 0),) * 3
    mask[1, 2, 5] = 3
    other = np.zeros_like(mask)
    other[3, 2, 0] = 1
    assert bounding_box(mask, other) == (slice(1, 4), slice(2, 3), slice(0, 6))
