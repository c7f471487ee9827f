"""Confidence interval of a mean over cases, by percentile bootstrap."""

import math
from collections.abc import Iterable

import numpy as np

RESAMPLES = 5000
FEWEST_CASES = 5  # the resamples of fewer cases show too little of how patients differ
_PERCENTILES = (
    f"95 % interval of the mean: 2.5th to 97.5th percentile of the means of {RESAMPLES} seeded "
    "resamples of the cases; undefined (null) for fewer than "
)
DEFINITION = f"{_PERCENTILES}two cases"
DEFINITION_OF_SCORES = f"{_PERCENTILES}five cases"


def bootstrap_interval(
    values: Iterable[float], seed: int = 0, fewest: int = 2
) -> tuple[float, float]:
    """Compute the 95 % interval of the mean of the values that are not NaN.

    Args:
        values: One value per case.
        seed: Seed of the resampling. Equal seeds and values give equal intervals.
        fewest: Number of values, at least 2, from which there is an interval.

    Returns:
        Lower and upper end of the interval; NaN for fewer values.

    Example:
        >>> bootstrap_interval([0.5, 0.5, float("nan")])
        (0.5, 0.5)
    """
    known = np.array([value for value in values if not math.isnan(value)])
    if len(known) < max(fewest, 2):
        return math.nan, math.nan
    draws = np.random.default_rng(seed).integers(len(known), size=(RESAMPLES, len(known)))
    low, high = np.percentile(known[draws].mean(axis=1), (2.5, 97.5))
    return float(low), float(high)
