"""FROC curve: sensitivity for lesions against false positives per case, over a threshold.

Source: Bunch et al., A free-response approach to the measurement and characterization of
radiographic-observer performance, Proc. SPIE 127 (1977).
"""

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

from liverseg_tf.evaluate.metrics.lesion_detection import PredictedLesion, RegionLesions

PROBABILITY, PEAK, VOLUME = "mean probability", "largest probability", "volume in ml"
RATES = (0.5, 1.0, 2.0, 4.0)  # false positives per case at which the sensitivity is listed
DEFINITION = (
    "Predicted lesions whose score is at least the threshold are kept. Sensitivity: fraction of "
    "the true lesions that a kept lesion overlaps; false positives: kept lesions that overlap no "
    "true lesion, divided by the number of cases. The score is the mean probability of the voxels "
    "if probabilities were saved in all cases (predict --probabilities), or else the volume "
    "(Bunch et al., Proc. SPIE 127, 1977)"
)


@dataclass(frozen=True)
class FrocCurve:
    """Points of a FROC curve, from the highest threshold to the lowest.

    Args:
        score: `PROBABILITY`, `PEAK` or `VOLUME`.
        thresholds: Score of a lesion from which it is kept.
        fp_per_case: False positives per case.
        sensitivity: Fraction of the true lesions that are found.
    """

    score: str
    thresholds: tuple[float, ...]
    fp_per_case: tuple[float, ...]
    sensitivity: tuple[float, ...]

    def sensitivity_at(self, rate: float) -> float:
        """Return the largest sensitivity with at most this number of false positives per case."""
        allowed = (
            found
            for fp, found in zip(self.fp_per_case, self.sensitivity, strict=True)
            if fp <= rate
        )
        return max(allowed, default=0.0)


def compute_froc(cases: Iterable[RegionLesions], score: str | None = None) -> FrocCurve | None:
    """Compute the FROC curve of a region.

    Args:
        cases: Lesions of the region in each case.
        score: As in `FrocCurve`; None for `PROBABILITY`, or for `VOLUME` if a case has no
            probabilities.

    Returns:
        The curve; None without a true lesion, for which no sensitivity is defined.
    """
    cases = list(cases)
    n_lesions = sum(len(case.truths) for case in cases)
    if not n_lesions:
        return None
    score = score or usable_scores(cases)[0]
    all_scores: list[float] = []
    false_scores: list[float] = []
    best_scores: list[float] = []
    for case in cases:
        best = np.full(len(case.truths), -np.inf)  # of the predictions that overlap each lesion
        for one in case.predictions:
            value = _score_of(one, score)
            all_scores.append(value)
            if not one.overlapped:
                false_scores.append(value)
            for index in one.overlapped:
                best[index] = max(best[index], value)
        best_scores += best.tolist()
    thresholds = np.unique(all_scores)[::-1]
    return FrocCurve(
        score,
        tuple(thresholds.tolist()),
        tuple((_count_from(false_scores, thresholds) / len(cases)).tolist()),
        tuple((_count_from(best_scores, thresholds) / n_lesions).tolist()),
    )


def usable_scores(cases: Iterable[RegionLesions]) -> tuple[str, ...]:
    """Return the scores that all predicted lesions have, the default one first."""
    known = [one.probability for case in cases for one in case.predictions]
    has_probabilities = bool(known) and not np.isnan(known).any()
    return (PROBABILITY, PEAK, VOLUME) if has_probabilities else (VOLUME,)


def _score_of(lesion: PredictedLesion, score: str) -> float:
    if score == VOLUME:
        return lesion.volume_ml
    return lesion.probability if score == PROBABILITY else lesion.peak_probability


def _count_from(scores: list[float], thresholds: np.ndarray) -> np.ndarray:
    """Number of scores that are at least each threshold."""
    return len(scores) - np.searchsorted(np.sort(scores), thresholds, side="left")
