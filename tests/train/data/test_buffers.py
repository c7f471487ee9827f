import numpy as np
import pytest

from liverseg_tf.train.data.buffers import BufferPool


@pytest.mark.parametrize(
    "view",
    [
        lambda array: array,
        lambda array: array[1:].reshape(-1, 1)[::2].T,
        lambda array: np.asarray(array.reshape(4, 5)[..., None])[0],
        lambda array: memoryview(array)[1:],
    ],
)
def test_memory_is_not_used_again_while_anything_refers_to_it(view):
    pool = BufferPool(20)
    array = pool.take()
    array[:] = np.arange(20)
    kept = view(array)
    before = np.array(kept)
    del array
    pool.take()[:] = 255
    np.testing.assert_array_equal(np.array(kept), before)


def test_memory_is_used_again_when_nothing_refers_to_it():
    pool = BufferPool(20)
    array, other = pool.take(), pool.take()
    address = array.ctypes.data
    assert address % 64 == 0
    assert address != other.ctypes.data
    del array
    assert pool.take().ctypes.data == address
    assert other.shape == (20,)
    assert other.dtype == np.uint8
