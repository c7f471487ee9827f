"""Statistics of the intensities of an image, which show whether its values are HU."""

from dataclasses import dataclass

import numpy as np

from liverseg_tf.ct.volume import count_not_finite

PERCENTILES = (0.5, 5, 50, 95, 99.5)
SOFT_TISSUE_HU = (-200, 300)
AIR_HU = (-1100, -850)
DENSE_HU = (800, 1300)  # compact bone; organs if an intercept of -1024 was left out
PADDING_HU = -1500  # scanners pad with -2000 or less outside their circle
HUGE_HU = 5000  # above metal; where HU below 0 end that were read as unsigned numbers
LOWEST_HU = -4000  # below air and the usual padding
_SAMPLE_VOXELS = 1 << 20
_TISSUE_HU = -600  # what is above is neither air nor lung
_ABOVE_LOWEST = 150
_MIN_AIR = 0.01
_BIN = 25.0  # width of the bins in which the most common value is found
_BAND = 10.0  # width of the band around a blurred end of the range
_NEAR = 8.0  # neighbours of an end of the range
_MIN_VALUES = 32  # drawings have fewer different values, and many voxels at each of them
_MIN_PILE, _MIN_BLURRED_PILE = 0.001, 0.015  # of the voxels


@dataclass(frozen=True)
class IntensityStatistics:
    """Statistics of the intensities of an image.

    Fractions and percentiles are those of a sample of about a million voxels.

    Args:
        minimum: Lowest finite value.
        maximum: Highest finite value.
        fraction_at_maximum: Fraction of the voxels with the highest value.
        fraction_not_finite: Fraction of the voxels that are NaN or infinite.
        fraction_soft_tissue: Fraction of the voxels in `SOFT_TISSUE_HU`.
        fraction_air: Fraction of the voxels in `AIR_HU`, without those that have the lowest value.
        fraction_dense: Fraction of the voxels in `DENSE_HU`.
        fraction_huge: Fraction of the voxels above `HUGE_HU`.
        fraction_below: Fraction of the voxels below `LOWEST_HU`, without those that have the lowest
            value, which may be padding.
        fraction_most_common: Fraction of the voxels with the most common value.
        clipped_below: Value at which many voxels end that were lower. None if there is none.
        clipped_above: Value at which many voxels end that were higher. None if there is none.
        step: Distance between neighbouring values; 1 for images that were not scaled.
        tissue: Most common value of the voxels that are neither air nor padding. None if there
            are no such voxels.
        spread: Distance between the 5th and the 95th percentile of the voxels above half of the
            lowest value, thus of tissue if air is the lowest.
        percentiles: Percentiles of `PERCENTILES`.
        label_percentiles: The same percentiles of the voxels of each label.
    """

    minimum: float
    maximum: float
    fraction_at_maximum: float
    fraction_not_finite: float
    fraction_soft_tissue: float
    fraction_air: float
    fraction_dense: float
    fraction_huge: float
    fraction_below: float
    fraction_most_common: float
    clipped_below: float | None
    clipped_above: float | None
    step: float
    tissue: float | None
    spread: float
    percentiles: tuple[float, ...]
    label_percentiles: dict[int, tuple[float, ...]]


@dataclass(frozen=True)
class _Histogram:
    """The values that occur in a sample, in increasing order, and how often."""

    values: np.ndarray
    counts: np.ndarray

    @property
    def total(self) -> int:
        return int(self.counts.sum())

    def count(self, low: float, high: float) -> int:
        """Number of voxels from `low` to `high`, both included."""
        first, last = np.searchsorted(self.values, low), np.searchsorted(self.values, high, "right")
        return int(self.counts[first:last].sum())

    def fraction(self, low: float, high: float) -> float:
        return self.count(low, high) / self.total if self.total else 0.0

    def above(self, low: float) -> "_Histogram":
        """The part above a value."""
        first = np.searchsorted(self.values, low, "right")
        return _Histogram(self.values[first:], self.counts[first:])

    def percentile(self, percent: float) -> float:
        at = np.searchsorted(np.cumsum(self.counts), percent / 100 * self.total)
        return float(self.values[min(int(at), len(self.values) - 1)])

    def percentiles(self) -> tuple[float, ...]:
        return tuple(map(self.percentile, PERCENTILES)) if self.total else ()


def measure_intensities(array: np.ndarray, labels: np.ndarray | None = None) -> IntensityStatistics:
    """Measure the intensities of an image.

    Args:
        array: (z, row, col), any real dtype.
        labels: (z, row, col) uint8 on the same voxels, or None.
    """
    step = max(1, int(np.ceil((array.size / _SAMPLE_VOXELS) ** 0.5)))
    sample = array[:, ::step, ::step]
    finite = np.isfinite(sample)
    label_percentiles: dict[int, tuple[float, ...]] = {}
    if labels is not None:
        labels = labels[:, ::step, ::step]
        for label in np.flatnonzero(np.bincount(labels.reshape(-1), minlength=256)[1:]) + 1:
            if found := _histogram(sample[(labels == label) & finite]).percentiles():
                label_percentiles[int(label)] = found
    histogram = _histogram(sample[finite])
    minimum, maximum, fraction_not_finite = _range(array)
    rest = histogram.above(minimum)
    below, above = _find_piles(histogram)
    return IntensityStatistics(
        minimum=minimum,
        maximum=maximum,
        fraction_at_maximum=histogram.fraction(maximum, maximum),
        fraction_not_finite=fraction_not_finite,
        fraction_soft_tissue=histogram.fraction(*SOFT_TISSUE_HU),
        fraction_air=rest.count(*AIR_HU) / max(1, histogram.total),
        fraction_dense=histogram.fraction(*DENSE_HU),
        fraction_huge=histogram.fraction(HUGE_HU, np.inf),
        fraction_below=rest.count(-np.inf, LOWEST_HU) / max(1, histogram.total),
        fraction_most_common=float(histogram.counts.max(initial=0) / max(1, histogram.total)),
        clipped_below=below,
        clipped_above=above,
        step=_find_step(histogram.values),
        tissue=_find_tissue(rest, histogram.fraction(*AIR_HU) >= _MIN_AIR),
        spread=_find_spread(histogram.above(min(0.0, minimum / 2))),
        percentiles=histogram.percentiles(),
        label_percentiles=label_percentiles,
    )


def _range(array: np.ndarray) -> tuple[float, float, float]:
    """Lowest and highest finite value (0 if there is none), and the fraction of other values."""
    low, high = float(array.min()), float(array.max())
    if np.isfinite([low, high]).all():
        return low, high, 0.0
    planes = [plane[np.isfinite(plane)] for plane in array]
    ends = [float(end) for plane in planes if plane.size for end in (plane.min(), plane.max())]
    fraction = float(count_not_finite(array) / array.size)
    return min(ends, default=0.0), max(ends, default=0.0), fraction


def _histogram(values: np.ndarray) -> _Histogram:
    return _Histogram(*np.unique(values, return_counts=True))


def _find_piles(histogram: _Histogram) -> tuple[float | None, float | None]:
    """Find the values at which the lower and the upper part of the histogram was cut off.

    A cut puts more voxels on the last value than there are on all values beside it. If the image
    was resampled or compressed after it was cut, they are in a narrow band instead.
    """
    if len(histogram.values) < _MIN_VALUES:
        return None, None
    low, high = float(histogram.values[0]), float(histogram.values[-1])
    below = above = None
    first, last = histogram.percentile(0.5), histogram.percentile(99.5)
    if _is_pile(histogram, histogram.counts[0], low, low + _NEAR):
        below = low
    elif _is_blurred_pile(histogram, (low, first + _BAND), (first + _BAND, first + 2 * _BAND)):
        below = first
    if _is_pile(histogram, histogram.counts[-1], high - _NEAR, high):
        above = high
    elif _is_blurred_pile(histogram, (last - _BAND, high), (last - 2 * _BAND, last - _BAND)):
        above = last
    return below, above


def _is_pile(histogram: _Histogram, at_end: int, low: float, high: float) -> bool:
    beside = histogram.count(low, high) - at_end
    return at_end > max(0.3 * beside, _MIN_PILE * histogram.total)


def _is_blurred_pile(
    histogram: _Histogram, end: tuple[float, float], beside: tuple[float, float]
) -> bool:
    at_end = histogram.count(*end)
    return at_end > max(2 * histogram.count(*beside), _MIN_BLURRED_PILE * histogram.total)


def _find_step(values: np.ndarray) -> float:
    """Median distance between neighbouring values of soft tissue."""
    tissue = values[(values >= SOFT_TISSUE_HU[0]) & (values <= SOFT_TISSUE_HU[1])]
    return float(np.median(np.diff(tissue.astype(np.float64)))) if tissue.size > 1 else 1.0


def _find_tissue(rest: _Histogram, has_air: bool) -> float | None:
    """Find the most common value above air, or above what is lowest if nothing has the HU of air.

    Args:
        rest: All values but the lowest, which may be padding.
        has_air: Whether there are voxels with the HU of air.
    """
    rest = rest.above(PADDING_HU)
    if not rest.total:
        return None
    lowest = -np.inf if has_air else rest.percentile(0.1)
    tissue = rest.above(max(_TISSUE_HU, lowest + _ABOVE_LOWEST))
    if len(tissue.values) > 1:  # many voxels may be clipped at the highest value
        tissue = _Histogram(tissue.values[:-1], tissue.counts[:-1])
    if not tissue.total:
        return None
    bins = np.floor(tissue.values.astype(np.float64) / _BIN)
    found, which = np.unique(bins, return_inverse=True)
    counts = np.bincount(which, weights=tissue.counts)
    return float((found[counts.argmax()] + 0.5) * _BIN)


def _find_spread(tissue: _Histogram) -> float:
    return tissue.percentile(95) - tissue.percentile(5) if tissue.total else 0.0
