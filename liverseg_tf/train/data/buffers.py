"""Memory for batches that is used again."""

import weakref
from collections import deque

import numpy as np

_ALIGNMENT = 64  # bytes; TensorFlow and JAX take over such an array without copying it


class BufferPool:
    """Memory of one size for arrays; it is used again once nothing refers to the array.

    Memory that is new to the process costs more time than copying tiles into it.

    Args:
        size: Size of the arrays in bytes.
    """

    def __init__(self, size: int):
        self._size, self._free = size, deque[np.ndarray]()

    def take(self) -> np.ndarray:
        """Return (size,) uint8 with arbitrary values. Threads may call this at once."""
        try:
            memory = self._free.pop()
        except IndexError:
            memory = np.empty(self._size + _ALIGNMENT, np.uint8)
        # NumPy refers from each view to the first array above a memoryview: to this one
        start = -memory.ctypes.data % _ALIGNMENT
        array = np.frombuffer(memory.data, np.uint8, self._size, start)
        weakref.finalize(array, self._free.append, memory).atexit = False
        return array
