"""Label maps: whole numbers from 0 to 255 in any dtype, converted to uint8."""

from pathlib import Path

import numpy as np

from liverseg_tf.ct.volume import Volume
from liverseg_tf.errors import LiverSegError
from liverseg_tf.plural import count


def as_labels(volume: Volume, path: Path) -> Volume:
    """Convert a volume that was read as an image to a label map.

    Args:
        volume: Whole numbers, or floats within 0.01 of a whole number, which are rounded (some
            tools write 0.99999).
        path: Path of the file, for error messages.

    Returns:
        A volume with the same grid and header and a uint8 array.

    Raises:
        LiverSegError: If a value is not a whole number from 0 to 255.
    """
    array = volume.array
    if array.dtype == np.uint8:
        return volume
    if array.dtype.kind == "f":
        with np.errstate(invalid="ignore"):
            whole = np.rint(array)
            off = ~(np.abs(array - whole) <= 0.01)
        if off.any():
            raise LiverSegError(
                f"Expected whole numbers as labels in {path}. Received {array[off][0]:g} "
                f"and {count(int(off.sum()) - 1, 'more such value')} (an image instead of a mask?)."
            )
        array = whole
    low, high = array.min(), array.max()
    if low < 0 or high > 255:
        raise LiverSegError(
            f"Expected labels from 0 to 255 in {path}. "
            f"Received values from {low:g} to {high:g} (an image instead of a mask?)."
        )
    return volume.with_array(array.astype(np.uint8))
