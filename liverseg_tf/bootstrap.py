"""Confidence interval of a mean over cases, by percentile bootstrap."""

import math
from collections.abc import Iterable

import numpy as np

RESAMPLES = 5000
DEFINITION = (
    f"95 % interval of the mean: 2.5th to 97.5th percentile of the means of {RESAMPLES} seeded "
    "resamples of the cases; undefined (null) for fewer than two cases"
)


def bootstrap_interval(values: Iterable[float], seed: int = 0) -> tuple[float, float]:
    """Compute the 95 % interval of the mean of the values that are not NaN.

    Args:
        values: One value per case.
        seed: Seed of the resampling. Equal seeds and values give equal intervals.

    Returns:
        Lower and upper end of the interval; NaN for fewer than two values.

    Example:
        >>> bootstrap_interval([0.5, 0.5, float("nan")])
        (0.5, 0.5)
    """
    known = np.array([value for value in values if not math.isnan(value)])
    if len(known) < 2:
        return math.nan, math.nan
    draws = np.random.default_rng(seed).integers(len(known), size=(RESAMPLES, len(known)))
    low, high = np.percentile(known[draws].mean(axis=1), (2.5, 97.5))
    return float(low), float(high)
