import tracemalloc

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from scipy import ndimage

from liverseg_tf.ct.bounding_box import bounding_box, union


def test_bounding_box():
    mask = np.zeros((4, 5, 6), np.uint8)
    assert bounding_box(mask, mask) == (slice(0, 0),) * 3
    mask[1, 2, 5] = 3
    other = np.zeros_like(mask)
    other[3, 2, 0] = 1
    assert bounding_box(mask, other) == (slice(1, 4), slice(2, 3), slice(0, 6))


@given(st.data(), hnp.array_shapes(min_dims=1, max_dims=3, max_side=6))
def test_the_box_is_that_of_scipy(data, shape):
    dtype = data.draw(st.sampled_from([bool, np.uint8, np.uint16, np.float32]))
    mask = data.draw(hnp.arrays(dtype, shape, elements=st.sampled_from([0, 0, 0, 1])))
    expected = ndimage.find_objects((mask != 0).astype(np.uint8))
    empty = (slice(0, 0),) * len(shape)
    assert bounding_box(mask) == (expected[0] if expected else empty)
    assert bounding_box(mask, np.zeros_like(mask)) == bounding_box(mask)
    assert bounding_box(mask.T) == bounding_box(mask)[::-1]


@pytest.mark.parametrize("dtype", [bool, np.uint8, np.float32])
def test_a_large_mask_is_not_copied(dtype):
    mask = np.zeros((64, 256, 256), dtype)
    mask[10:50, 100:200, 100:200] = 1
    view = mask.transpose(2, 0, 1)[::-1]
    tracemalloc.start()
    bounding_box(view)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < mask.size / 8


def test_union():
    first, second = (slice(1, 3), slice(4, 5)), (slice(0, 2), slice(7, 9))
    assert union([first, None, second]) == (slice(0, 3), slice(4, 9))
    assert union([second]) == second
    assert union([None]) is None
    assert union([]) is None
