"""Random noise as a function of a key, the same on every backend."""

import math

from keras import ops

# a 32-bit hash of the pixel's number, of Wellons, "Prospecting for hash functions", 2018
_MULTIPLIERS = (0x7FEB352D, 0x846CA68B - 2**32)
_BYTES = 8  # whose sum is approximately normally distributed
_BYTE_MEAN, _BYTE_VARIANCE = 127.5, (256**2 - 1) / 12


def make_noise(key, shape: tuple[int, int, int]):
    """Return noise with a mean of 0 and a standard deviation of 1, (tiles, *shape) float32.

    The noise is a function of the key alone, the same on every backend: a sum of eight random
    bytes, which no tile shows to be other than normally distributed.

    Args:
        key: (tiles,) int32.
        shape: (h, w, channels).
    """
    numbers = ops.reshape(ops.arange(math.prod(shape), dtype="int32"), shape)
    value = ops.bitwise_xor(key[:, None, None, None], numbers)
    total = 0
    for _ in range(_BYTES // 4):
        value = _hash(value)
        total += sum(ops.bitwise_and(_shift(value, bits), 255) for bits in (0, 8, 16, 24))
    deviation = ops.cast(total, "float32") - _BYTES * _BYTE_MEAN
    return deviation / (_BYTES * _BYTE_VARIANCE) ** 0.5


def _hash(value):
    value = ops.bitwise_xor(value, _shift(value, 16)) * _MULTIPLIERS[0]
    value = ops.bitwise_xor(value, _shift(value, 15)) * _MULTIPLIERS[1]
    return ops.bitwise_xor(value, _shift(value, 16))


def _shift(value, bits: int):
    """Shift int32 numbers to the right and fill with zeros."""
    if not bits:
        return value
    return ops.bitwise_and(ops.right_shift(value, bits), (1 << (32 - bits)) - 1)
