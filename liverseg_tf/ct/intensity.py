"""From HU (or MR units) to uint8: window, or percentile range."""

import math
from dataclasses import dataclass

import numpy as np

from liverseg_tf.errors import LiverSegError, SettingsError

AIR_HU = -1024  # scanners pad with -2048 or -3024 outside their circle: no tissue is below air
_PERCENTILE_SAMPLE = 1 << 21


@dataclass(frozen=True)
class Window:
    """A display window, as radiologists name it.

    Args:
        level_hu: its middle.
        width_hu: its width, > 0.

    Example:
        >>> Window(25, 450).lower_hu, Window(25, 450).upper_hu
        (-200.0, 250.0)
    """

    level_hu: float
    width_hu: float

    def __post_init__(self) -> None:
        if not (np.isfinite([self.level_hu, self.width_hu]).all() and self.width_hu > 0):
            raise SettingsError(
                "Expected a window with a finite level and a width above 0 HU. "
                f"Received level {self.level_hu:g}, width {self.width_hu:g}."
            )

    @property
    def lower_hu(self) -> float:
        return self.level_hu - self.width_hu / 2

    @property
    def upper_hu(self) -> float:
        return self.level_hu + self.width_hu / 2


@dataclass(frozen=True)
class PercentileRange:
    """The range between two percentiles of a volume, for images without HU (MR).

    Args:
        lower: percentile that becomes 0.
        upper: percentile that becomes 255.
    """

    lower: float = 0.5
    upper: float = 99.5

    def __post_init__(self) -> None:
        if not 0 <= self.lower < self.upper <= 100:
            raise SettingsError(
                "Expected percentiles with 0 <= lower < upper <= 100. "
                f"Received {self.lower:g} and {self.upper:g}."
            )

    def window_of(self, array: np.ndarray) -> Window:
        """The window between the percentiles of a volume.

        NaN, infinity and the volume's lowest value (background, padding) are left out. Of more
        than two million voxels, every n-th is taken.

        Args:
            array: (z, row, col), any real dtype.

        Raises:
            LiverSegError: when no voxel is left: the image holds one value only.
        """
        sample = array.reshape(-1)[:: max(1, array.size // _PERCENTILE_SAMPLE)]
        sample = sample[np.isfinite(sample)]
        sample = sample[sample > sample.min()] if sample.size else sample
        if not sample.size:
            raise LiverSegError("Expected an image with contrast. Received one value everywhere.")
        low, high = np.percentile(sample, (self.lower, self.upper))
        return Window((low + high) / 2, max(high - low, 1e-6))


def without_padding(slices: np.ndarray, floor: float = AIR_HU) -> np.ndarray:
    """Lift padding (-2048, -3024) and NaN to air, so that resampling doesn't smear them.

    Args:
        slices: (z, row, col) HU or MR units, any real dtype.
        floor: the lowest value that is meant; air's HU, or an MR window's lower end.

    Returns:
        Values of at least `floor` (rounded down for whole numbers), same shape and dtype.
    """
    if slices.dtype.kind in "iu":  # NaN there is none, and fmax is a tenth as fast
        floor = max(math.floor(floor), np.iinfo(slices.dtype).min)
        return np.maximum(slices, slices.dtype.type(floor))
    return np.fmax(slices, slices.dtype.type(floor))


def to_uint8(slices: np.ndarray, window: Window) -> np.ndarray:
    """Map a window to 0..255, rounding; what lies outside is clipped, NaN becomes 0.

    Args:
        slices: (z, row, col) HU or MR units, any real dtype.
        window: its width becomes 255 steps (a width of 400 HU costs at most 0.8 HU).

    Returns:
        (z, row, col) uint8.
    """
    scale = np.float32(255 / window.width_hu)
    values = np.subtract(slices, np.float32(window.lower_hu), dtype=np.float32)
    values *= scale
    values += np.float32(0.5)
    np.fmax(values, 0, out=values)
    np.minimum(values, 255, out=values)
    return values.astype(np.uint8)
