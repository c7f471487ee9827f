import numpy as np
import pytest

from liverseg_tf.train.data.buffers import BufferPool


@pytest.mark.parametrize(
    "view",
    [
        lambda array: array,
        lambda array: array[1:, 2],
        lambda array: array.T.reshape(-1)[:3],  # a copy
        lambda array: np.asarray(array[..., None])[0][::2],
        lambda array: memoryview(array)[1:],
    ],
)
def test_memory_is_not_used_again_while_anything_refers_to_it(view):
    pool = BufferPool((4, 5))
    array = pool.take()
    array[:] = np.arange(20).reshape(4, 5)
    kept = view(array)
    before = np.array(kept)
    del array
    pool.take()[:] = 255
    np.testing.assert_array_equal(np.array(kept), before)


def test_memory_is_used_again_when_nothing_refers_to_it():
    pool = BufferPool((4, 5))
    array, other = pool.take(), pool.take()
    address = array.ctypes.data
    assert address % 64 == 0
    assert address != other.ctypes.data
    del array
    assert pool.take().ctypes.data == address
    assert other.shape == (4, 5)
    assert other.dtype == np.uint8
