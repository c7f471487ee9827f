"""Which masks are flagged: a threshold of a score at a given rate of false alarms."""

import math
from collections.abc import Sequence

import numpy as np
from scipy import stats

from liverseg_tf.bootstrap import FEWEST_CASES


def choose_threshold(good_scores: Sequence[float], false_alarm_rate: float) -> float | None:
    """Choose the threshold below which a score raises an alarm.

    It is the highest of the given scores for which a further good case, exchangeable with these,
    raises a false alarm with at most this probability: below the k-th smallest of n scores lies
    the next one with a probability of at most k / (n + 1). (Vovk et al., Algorithmic Learning in
    a Random World, 2005) If n is too small for the rate, it is the smallest score, with a
    probability of at most 1 / (n + 1).

    Args:
        good_scores: Scores of the cases that should not be flagged.
        false_alarm_rate: Accepted probability of a false alarm, 0 to 1.

    Returns:
        None for fewer than `FEWEST_CASES` scores.

    Example:
        >>> choose_threshold([0.8, 0.9, 0.91, 0.92, 0.93, 0.94, 0.95, 0.96, 0.97], 0.2)
        0.9
    """
    ordered = sorted(good_scores)
    if len(ordered) < FEWEST_CASES:
        return None
    rank = math.floor(false_alarm_rate * (len(ordered) + 1) + 1e-9)
    return float(ordered[min(max(rank, 1), len(ordered)) - 1])


def reached_rate(n_good: int, false_alarm_rate: float) -> float:
    """Return the probability of a false alarm that `choose_threshold` keeps with so many scores."""
    return max(false_alarm_rate, 1 / (n_good + 1))


def exact_interval(found: int, total: int) -> tuple[float, float]:
    """Return the 95 % interval of a proportion. (Clopper and Pearson, Biometrika 1934)

    Args:
        found: Number of successes.
        total: Number of trials.

    Returns:
        Lower and upper end; 0 and 1 without trials.
    """
    if not total:
        return 0.0, 1.0
    interval = stats.binomtest(found, total).proportion_ci(0.95, "exact")
    return float(interval.low), float(interval.high)


def risk_coverage(scores: Sequence[float], dice: Sequence[float]) -> tuple[np.ndarray, np.ndarray]:
    """Compute the risk of the masks that are kept if those with the lowest scores are left out.

    The risk is the mean of 1 - Dice. Cases of equal scores are left out in random order, of which
    this is the expectation. (Geifman and El-Yaniv, NeurIPS 2017)

    Args:
        scores: One score per case.
        dice: One Dice per case.

    Returns:
        Coverage, the fraction of the cases that are kept, and risk, each (cases,), from the
        smallest coverage to 1.
    """
    values, losses = np.asarray(scores, float), 1 - np.asarray(dice, float)
    order = np.argsort(-values, kind="stable")
    values, losses = values[order], losses[order]
    _, group, sizes = np.unique(-values, return_inverse=True, return_counts=True)
    losses = (np.bincount(group, losses) / sizes)[group]
    numbers = np.arange(1, len(losses) + 1)
    return numbers / len(losses), np.cumsum(losses) / numbers


def area_under_risk_coverage(scores: Sequence[float], dice: Sequence[float]) -> float:
    """Return the mean risk over all coverages (AURC); that of a useless score is the mean risk."""
    return float(risk_coverage(scores, dice)[1].mean())


def rank_correlation(scores: Sequence[float], dice: Sequence[float]) -> float | None:
    """Return Spearman's correlation; None for fewer than three cases, or if one is constant."""
    if len(scores) < 3 or len(set(scores)) == 1 or len(set(dice)) == 1:
        return None
    return float(np.clip(stats.spearmanr(scores, dice).statistic, -1, 1))
