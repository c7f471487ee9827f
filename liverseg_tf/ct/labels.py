"""Label maps: whole numbers from 0 to 255, however a file stores them."""

from pathlib import Path

import numpy as np

from liverseg_tf.ct.volume import Volume
from liverseg_tf.errors import LiverSegError


def as_labels(volume: Volume, path: Path) -> Volume:
    """A volume that was read as an image, as the label map that it is.

    Args:
        volume: whole numbers, or floats within 0.01 of one (0.99999 occurs), which are rounded.
        path: its file, for errors.

    Returns:
        The same grid and header with uint8.

    Raises:
        LiverSegError: when a value is no whole number from 0 to 255.
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
                f"and {int(off.sum()) - 1} more voxels like it (an image instead of a mask?)."
            )
        array = whole
    low, high = array.min(), array.max()
    if low < 0 or high > 255:
        raise LiverSegError(
            f"Expected labels from 0 to 255 in {path}. "
            f"Received values from {low:g} to {high:g} (an image instead of a mask?)."
        )
    return volume.with_array(array.astype(np.uint8))
