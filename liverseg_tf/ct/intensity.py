"""Intensities: windows in HU (or MR units) and their conversion to uint8."""

import math
from dataclasses import dataclass

import numpy as np

from liverseg_tf.errors import LiverSegError, SettingsError

AIR_HU = -1024  # lowest value of tissue; scanners pad with -2048 or -3024 outside their circle
BODY_HU = -300  # voxels above this are the body: between air (with noise and foam) and fat
_PERCENTILE_SAMPLE = 1 << 21  # voxels


@dataclass(frozen=True)
class Window:
    """Intensity window, defined by level and width as in radiology.

    Args:
        level_hu: Centre of the window, in HU (or MR units).
        width_hu: Width of the window, above 0.

    Raises:
        SettingsError: If the level is not finite or the width is not above 0.

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
        """Lower end of the window."""
        return self.level_hu - self.width_hu / 2

    @property
    def upper_hu(self) -> float:
        """Upper end of the window."""
        return self.level_hu + self.width_hu / 2

    def __repr__(self) -> str:
        return (
            f"Window(level_hu: {self.level_hu:g}; width_hu: {self.width_hu:g}; "
            f"range: {self.lower_hu:g} to {self.upper_hu:g})"
        )


@dataclass(frozen=True)
class PercentileRange:
    """Intensity window between two percentiles of each volume, for images without HU (MR).

    Args:
        lower: Percentile that becomes 0.
        upper: Percentile that becomes 255.

    Raises:
        SettingsError: If the percentiles are not in order or not within 0 to 100.
    """

    lower: float = 0.5
    upper: float = 99.5

    def __post_init__(self) -> None:
        if not 0 <= self.lower < self.upper <= 100:
            raise SettingsError(
                "Expected percentiles with 0 <= lower < upper <= 100. "
                f"Received {self.lower:g} and {self.upper:g}."
            )

    def __repr__(self) -> str:
        return f"PercentileRange(lower: {self.lower:g}; upper: {self.upper:g})"

    def window_of(self, array: np.ndarray) -> Window:
        """Compute the window of a volume.

        NaN, infinity and the lowest value of the volume (background, padding) are ignored.
        Large volumes are sampled: every n-th voxel is used, at least two million voxels.

        Args:
            array: (z, row, col), any real dtype.

        Raises:
            LiverSegError: If no voxel is left because the image has only one value.
        """
        sample = array.reshape(-1)[:: max(1, array.size // _PERCENTILE_SAMPLE)]
        sample = sample[np.isfinite(sample)]
        sample = sample[sample > sample.min()] if sample.size else sample
        if not sample.size:
            raise LiverSegError("Expected an image with contrast. Received one value everywhere.")
        low, high = np.percentile(sample, (self.lower, self.upper))
        return Window((low + high) / 2, max(high - low, 1e-6))


def without_padding(slices: np.ndarray, floor: float = AIR_HU) -> np.ndarray:
    """Raise padding (-2048, -3024) and NaN to air, so that resampling does not blur them.

    Args:
        slices: (z, row, col) HU or MR units, any real dtype.
        floor: Lowest valid intensity: the HU of air, or the lower end of an MR window.

    Returns:
        Values of at least `floor` (rounded down for integers), same shape and dtype.
    """
    if slices.dtype.kind in "iu":  # integers have no NaN, and np.fmax is ten times slower
        floor = max(math.floor(floor), np.iinfo(slices.dtype).min)
        return np.maximum(slices, slices.dtype.type(floor))
    return np.fmax(slices, slices.dtype.type(floor))


def to_uint8(slices: np.ndarray, window: Window) -> np.ndarray:
    """Apply an intensity window: map its range to 0 to 255, with rounding and clipping.

    Args:
        slices: (z, row, col) HU or MR units, any real dtype; NaN becomes 0.
        window: Window whose width is divided into 255 steps. A width of 400 HU costs at most
            0.8 HU of precision.

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
