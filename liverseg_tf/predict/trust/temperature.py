"""Temperature scaling: one divisor of the logits of a region, fitted on voxels of unseen cases.

(Guo et al., On Calibration of Modern Neural Networks, ICML 2017)
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy import optimize
from scipy.special import expit, logit

from liverseg_tf.bootstrap import FEWEST_CASES
from liverseg_tf.model.trust_record import (
    MAX_TEMPERATURE,
    MIN_TEMPERATURE,
    RELIABILITY_BINS,
    Reliability,
)

EDGE = 16.0  # logits beyond it, 1e-7 from 0 or 1, are counted there
LOGIT_BINS = 2049  # odd, so that a bin is centred on 0
CENTRES = np.linspace(-EDGE, EDGE, LOGIT_BINS)
UNCERTAIN = 0.01  # voxels between it and 1 minus it are calibrated
_STEP = CENTRES[1] - CENTRES[0]
_IS_UNCERTAIN = np.abs(CENTRES) <= logit(1 - UNCERTAIN)


def count_logits(probabilities: np.ndarray, is_region: np.ndarray) -> np.ndarray:
    """Count voxels by the logit of their probability and by their ground truth.

    Args:
        probabilities: (n,) float32.
        is_region: (n,) bool: whether a voxel belongs to the region.

    Returns:
        (2, LOGIT_BINS) int64: voxels that do not belong to the region, and those that do.
    """
    logits = np.clip(logit(probabilities.astype(np.float32)), -EDGE, EDGE)
    bins = np.rint((logits + EDGE) / _STEP).astype(np.int64)
    counts = np.bincount(bins + LOGIT_BINS * is_region, minlength=2 * LOGIT_BINS)
    return counts.reshape(2, LOGIT_BINS)


def log_loss(counts: np.ndarray, temperature: float = 1.0) -> float:
    """Return the mean negative log-likelihood of the ground truth, in nats per voxel.

    Args:
        counts: (2, LOGIT_BINS); see `count_logits`.
        temperature: Divisor of the logits.
    """
    scaled = CENTRES / temperature
    total = counts[0] @ np.logaddexp(0, scaled) + counts[1] @ np.logaddexp(0, -scaled)
    return float(total / max(counts.sum(), 1))


def fit_temperature(counts: np.ndarray) -> float | None:
    """Return the temperature with the smallest log loss.

    Args:
        counts: (2, LOGIT_BINS); see `count_logits`.

    Returns:
        None if it is not between `MIN_TEMPERATURE` and `MAX_TEMPERATURE`, as for voxels without
        any error.
    """
    if not counts.any():
        return None
    # the log loss is a convex function of 1 / temperature
    found = optimize.minimize_scalar(
        lambda inverse: log_loss(counts, 1 / inverse),
        bounds=(1 / MAX_TEMPERATURE, 1 / MIN_TEMPERATURE),
        method="bounded",
        options={"xatol": 1e-6},
    )
    temperature = float(1 / found.x)
    is_inside = MIN_TEMPERATURE * 1.001 < temperature < MAX_TEMPERATURE / 1.001
    return temperature if is_inside else None


@dataclass(frozen=True)
class Calibration:
    """The temperature of a region and what it does.

    Args:
        temperature: None if it is not used.
        before: Reliability of the probabilities; None if no voxel is uncertain.
        after: Reliability after the scaling, of each case by the temperature of the others.
        note: Why it is not used; an empty text if it is.
    """

    temperature: float | None
    before: Reliability | None
    after: Reliability | None
    note: str = ""


def calibrate_cases(counts: Sequence[np.ndarray], groups: Sequence[int]) -> Calibration:
    """Fit the temperature of a region, and test it on cases without which it was fitted.

    The voxels are those whose probability is 0.01 to 0.99. Nearly all others are background far
    from the region: they would decide on the temperature by how near their probabilities are to 0,
    and let errors at the border seem small. It is used if it lowers the log loss of held-out cases,
    in the mean over these.

    Args:
        counts: (2, LOGIT_BINS) for each case; see `count_logits`.
        groups: Fold of each case, which is left out as a whole.
    """
    counts = [np.where(_IS_UNCERTAIN, one, 0) for one in counts]
    total = sum(counts, np.zeros((2, LOGIT_BINS), np.int64))
    before = reliability([(total, 1.0)])
    if len(counts) < FEWEST_CASES:
        return Calibration(None, before, None, f"fewer than {FEWEST_CASES} cases")
    temperature = fit_temperature(total)
    if temperature is None:
        return Calibration(None, before, None, "no temperature fits the voxels")
    held_out, gains = [], []
    numbers = groups if len(set(groups)) > 1 else range(len(counts))
    for group in sorted(set(numbers)):
        inside = [one for one, number in zip(counts, numbers, strict=True) if number == group]
        others = fit_temperature(total - sum(inside))
        for one in inside:
            held_out.append((one, others or 1.0))
            gains.append(log_loss(one) - log_loss(one, others or 1.0))
    after = reliability(held_out)
    if np.mean(gains) <= 0:
        return Calibration(None, before, after, "it does not lower the log loss of held-out cases")
    return Calibration(temperature, before, after)


def reliability(parts: Sequence[tuple[np.ndarray, float]]) -> Reliability | None:
    """Compare the probabilities of uncertain voxels with how often these belong to the region.

    The voxels are those whose probability before the scaling is 0.01 to 0.99.

    Args:
        parts: Counts of a case, (2, LOGIT_BINS), and its temperature.

    Returns:
        None if there is no such voxel.
    """
    sums = np.zeros((3, RELIABILITY_BINS))  # voxels, their probabilities, those in the region
    for counts, temperature in parts:
        probability = expit(CENTRES[_IS_UNCERTAIN] / temperature)
        chosen = counts[:, _IS_UNCERTAIN]
        bins = np.minimum((probability * RELIABILITY_BINS).astype(int), RELIABILITY_BINS - 1)
        both = chosen.sum(axis=0)
        for row, weights in enumerate((both, both * probability, chosen[1])):
            sums[row] += np.bincount(bins, weights, RELIABILITY_BINS)
    if not sums[0].any():
        return None
    known = sums[0] > 0
    means = np.divide(sums[1:], sums[0], out=np.zeros_like(sums[1:]), where=known)
    probability, frequency = (
        tuple(float(v) if k else None for v, k in zip(row, known, strict=True)) for row in means
    )
    return Reliability(tuple(map(int, sums[0])), probability, frequency)
