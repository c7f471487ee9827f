"""How far a mean over cases may be off: percentile bootstrap."""

import math
from collections.abc import Iterable

import numpy as np

REPEATS = 5000
TEXT = (
    f"95 % interval of the mean: 2.5th to 97.5th percentile of the means of {REPEATS} seeded "
    "resamples of the cases; undefined (null) below two cases"
)


def bootstrap_interval(values: Iterable[float], seed: int = 0) -> tuple[float, float]:
    """95 % interval of the mean of the values that are no NaN.

    Args:
        values: one a case.
        seed: the same seed and values give the same interval.

    Returns:
        Its ends; NaN below two values.

    Example:
        >>> bootstrap_interval([0.5, 0.5, float("nan")])
        (0.5, 0.5)
    """
    known = np.array([value for value in values if not math.isnan(value)])
    if len(known) < 2:
        return math.nan, math.nan
    draws = np.random.default_rng(seed).integers(len(known), size=(REPEATS, len(known)))
    low, high = np.percentile(known[draws].mean(axis=1), (2.5, 97.5))
    return float(low), float(high)
