"""How much a post-processing gains in Dice, case by case, and whether that is more than noise."""

import math
from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

from liverseg_tf.bootstrap import bootstrap_interval
from liverseg_tf.plural import count

FEW_CASES = 5  # with fewer cases than this, the gain must be beyond doubt
DOUBTLESS_GAIN = 0.01  # of the mean Dice


@dataclass(frozen=True)
class Gain:
    """The gain in Dice of a region.

    Args:
        cases: Number of cases in which the gain is defined.
        mean: Mean gain over these cases; NaN if there is none.
        low: Lower end of its 95 % interval; see `liverseg_tf.bootstrap`.
        high: Upper end of its 95 % interval.
        lowest: Lowest gain of a single case.
    """

    cases: int
    mean: float
    low: float
    high: float
    lowest: float

    @classmethod
    def of(cls, gains: Iterable[float]) -> "Gain":
        """Summarise the gains of several cases; NaN is left out.

        Args:
            gains: One gain per case; see `paired_gains`.
        """
        known = [float(gain) for gain in gains if not math.isnan(gain)]
        if not known:
            return cls(0, math.nan, math.nan, math.nan, math.nan)
        low, high = bootstrap_interval(known)
        return cls(len(known), sum(known) / len(known), low, high, min(known))

    @property
    def is_certain(self) -> bool:
        """Whether the gain is more than noise.

        With at least 5 cases, its interval is above 0. With 2 to 4 cases, the gain is beyond
        doubt: every single case gains, and the mean gain is above 0.01. One case is never enough.
        """
        if self.cases < FEW_CASES:
            return self.cases > 1 and self.lowest > 0 and self.mean > DOUBTLESS_GAIN
        return self.low > 0

    def __str__(self) -> str:
        """Return the gain as in '0.0012 (95 % interval -0.0003 to 0.0027, 27 cases)'."""
        cases = count(self.cases, "case")
        if self.cases < FEW_CASES:
            return f"{self.mean:.4f} ({cases}, fewer than {FEW_CASES})"
        return f"{self.mean:.4f} (95 % interval {self.low:.4f} to {self.high:.4f}, {cases})"


def paired_gains(before: np.ndarray, after: np.ndarray) -> np.ndarray:
    """Compute the gain of each case and region: Dice after minus Dice before.

    A region that is empty both in the prediction and in the reference has no Dice (NaN). If this
    is so before and after, the gain is NaN. If it is so on one side only, a false region
    disappeared or appeared, and NaN counts as a Dice of 1.

    Args:
        before: (cases, regions) Dice.
        after: (cases, regions) Dice of the same cases.

    Returns:
        (cases, regions) float64.
    """
    gains = np.nan_to_num(after, nan=1.0) - np.nan_to_num(before, nan=1.0)
    return np.where(np.isnan(before) & np.isnan(after), np.nan, gains)


def mean_over_cases(scores: np.ndarray) -> np.ndarray:
    """Return the mean of each region over its cases that are finite; NaN if there are none.

    Args:
        scores: (cases, regions) Dice or gains.

    Returns:
        (regions,) float64.
    """
    finite = np.isfinite(scores)
    return np.where(
        finite.any(axis=0), np.nansum(scores, axis=0) / np.maximum(finite.sum(axis=0), 1), np.nan
    )
