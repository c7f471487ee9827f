"""Masks with as few bits per voxel as the number of labels needs."""

from collections.abc import Iterable

import numpy as np
from keras import ops

from liverseg_tf.errors import LiverSegError

_UNKNOWN = 255


class LabelCodes:
    """Packs masks of a few labels, and unpacks them on the device.

    A label is replaced by its index among the labels, a number of 1, 2, 4 or 8 bits. A mask is cut
    into as many parts as there are numbers in a byte, and each byte holds one number of each part.

    Args:
        labels: Labels other than 0 that occur.
        pixels: Number of pixels of a mask.
    """

    def __init__(self, labels: Iterable[int], pixels: int):
        self._labels = np.array(sorted({0, *labels}), np.uint8)
        self._bits = next(bits for bits in (1, 2, 4, 8) if len(self._labels) <= 1 << bits)
        self._pixels, self._parts = pixels, 8 // self._bits
        self._table = np.full(256, _UNKNOWN, np.uint8)
        self._table[self._labels] = np.arange(len(self._labels))

    @property
    def packed_bytes(self) -> int:
        """Bytes of a packed mask."""
        return -(-self._pixels // self._parts)

    def pack(self, mask: np.ndarray, case: str) -> np.ndarray:
        """Return (z, packed_bytes) uint8 for masks of z slices.

        Args:
            mask: (z, h, w) uint8 labels.
            case: Name of the case, for the error message.

        Raises:
            LiverSegError: If there are other labels.
        """
        codes = self._table[mask.reshape(len(mask), self._pixels)]
        if len(self._labels) < 256 and codes.max(initial=0) == _UNKNOWN:
            labels = sorted(set(np.unique(mask)) - set(self._labels))
            raise LiverSegError(
                f"Expected masks with the labels {', '.join(map(str, self._labels))} in the case "
                f"{case}, as the records of the store say. Received {', '.join(map(str, labels))}: "
                "preprocess the data set again."
            )
        size = self.packed_bytes
        packed = np.zeros((len(mask), size), np.uint8)
        for part in range(self._parts):
            values = codes[:, part * size : (part + 1) * size]
            packed[:, : values.shape[1]] |= values << np.uint8(part * self._bits)
        return packed

    def unpack(self, packed):
        """Return (tiles, pixels) uint8 labels from (tiles, packed_bytes) uint8, on the device."""
        values = ops.cast(packed, "int32")
        shifts = range(0, 8, self._bits)
        parts = [ops.bitwise_and(ops.right_shift(values, n), (1 << self._bits) - 1) for n in shifts]
        codes = ops.concatenate(parts, axis=1)[:, : self._pixels]
        return ops.take(ops.convert_to_tensor(self._labels), codes, axis=0)
