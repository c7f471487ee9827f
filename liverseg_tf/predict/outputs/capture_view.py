"""The window and the direction in which the slices of a secondary capture are shown."""

from collections.abc import Iterator
from contextlib import suppress

import numpy as np
from pydicom.multival import MultiValue

from liverseg_tf.ct.intensity import Window
from liverseg_tf.ct.volume import Volume
from liverseg_tf.errors import SettingsError
from liverseg_tf.predict.outputs.dicom_source import SourceSlice

_SOFT_TISSUE = Window(40, 400)
_WIDEST_HU = 2000
_PERCENTILES = (1, 99)  # of MR without a window


def turn_upright(directions: np.ndarray) -> tuple[tuple[slice, slice], np.ndarray]:
    """Find the flips after which a picture is shown as usual: anterior or superior at the top.

    Args:
        directions: Direction in which columns are counted and direction of the rows, (2, 3), LPS.

    Returns:
        Slices of rows and columns, and the directions after the flips. Columns then run to the
        patient's left or to posterior, rows to posterior or to inferior.
    """
    turned, steps = directions.copy(), [1, 1]
    for index, vector in enumerate(directions):
        axis = int(np.abs(vector).argmax())
        if (vector[axis] > 0) == (axis == 2):
            turned[index], steps[index] = -vector, -1
    return (slice(None, None, steps[1]), slice(None, None, steps[0])), turned


def orientation_letters(vector: np.ndarray) -> str:
    """Return the direction of a vector in LPS as letters, such as L or AF."""
    order = np.argsort(-np.abs(vector))
    letters = ("RL", "AP", "FH")
    return "".join(
        letters[axis][int(vector[axis] > 0)] for axis in order if abs(vector[axis]) > 0.1
    )


def choose_window(source: SourceSlice, image: Volume, mean: float | None) -> Window:
    """Return the window of the image's header, or a usual one if it does not show the regions.

    Args:
        source: One of the slices.
        image: Image in HU or MR units.
        mean: Mean of the outermost region; None if nothing was found.
    """
    windows = list(_header_windows(source))
    if image.modality == "MR":
        low, high = np.percentile(image.array[len(image.array) // 2], _PERCENTILES)
        windows.append(Window(float(low + high) / 2, max(float(high - low), 1.0)))
    else:
        # converters store the range of all values as the window, in which organs look alike
        windows = [window for window in windows if window.width_hu <= _WIDEST_HU]
        windows.append(_SOFT_TISSUE)
    for window in windows:
        if mean is None or window.lower_hu < mean < window.upper_hu:
            return window
    return Window(float(round(mean or 0)), windows[-1].width_hu)


def _header_windows(source: SourceSlice) -> Iterator[Window]:
    groups = [source.header]
    for keyword, index in (
        ("PerFrameFunctionalGroupsSequence", source.place.frame),
        ("SharedFunctionalGroupsSequence", 0),
    ):
        items = source.header.get(keyword) or ()
        if index < len(items):
            groups += items[index].get("FrameVOILUTSequence") or ()
    for group in groups:
        # values that are missing or no numbers
        with suppress(TypeError, ValueError, IndexError, SettingsError):
            values = [group.get("WindowCenter"), group.get("WindowWidth")]
            centre, width = (one[0] if isinstance(one, MultiValue) else one for one in values)
            yield Window(float(centre), float(width))
