"""The score below which predicted lesions are removed, chosen from a FROC curve.

A predicted lesion is a connected component of the post-processed mask. Its score is the mean or
the largest probability of its voxels. With a higher threshold, false positives disappear, and at
some point true lesions as well: the points of a FROC curve (Bunch et al., Proc. SPIE 127, 1977).
The chosen point is the one with the highest benefit: false positives removed, minus `MISS_COST`
for each true lesion that is not found any more.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from liverseg_tf.ct.components import label_components
from liverseg_tf.model.postprocessing import PostProcessing
from liverseg_tf.plural import count
from liverseg_tf.predict.tuning.gains import FEW_CASES, Gain
from liverseg_tf.predict.tuning.validation_masks import ValidationMasks

MISS_COST = 4.0  # false positives that a true lesion is worth
FEWEST_LESIONS = 10  # true lesions that are found; with fewer, what a threshold loses is unknown
SCORES = ("min_mean_probability", "min_peak_probability")  # steps of `PostProcessing`
WORDS = dict(zip(SCORES, ("mean probability", "largest probability"), strict=True))
_STEP = 0.005  # thresholds are multiples of it


@dataclass(frozen=True, eq=False)
class CaseLesions:
    """The lesions of a region in one case.

    Args:
        false_scores: (n, 2) scores of the predicted lesions that overlap no true one, in the order
            of `SCORES`, from 0 to 1.
        best_scores: (m, 2) for each true lesion the highest score of the predicted ones that
            overlap it; 0 if it is not found.
    """

    false_scores: np.ndarray
    best_scores: np.ndarray

    @classmethod
    def of(cls, case: ValidationMasks, region: int, steps: PostProcessing) -> "CaseLesions | None":
        """Find the lesions of a case after post-processing; None if it does not label the region.

        Args:
            case: The case.
            region: Number of the region.
            steps: Post-processing before lesions are removed by their score.
        """
        truth, ignored = case.reference(region), case.ignored()
        if truth is None or ignored is not None:  # unknown voxels may cut a lesion in two
            return None
        masks = steps.apply(case.masks_above(steps.thresholds(case.regions), True))
        predicted = label_components(masks.canonical_bits >> region & 1 == 1)
        truths = label_components(truth)
        values = masks.canonical_probabilities(region)
        scores = np.stack([predicted.means(values), predicted.maxima(values)], axis=1) / 255
        numbers = np.zeros(truth.shape, np.int32)
        numbers[predicted.box] = predicted.labels
        both = np.stack([numbers[truths.box].ravel(), truths.labels.ravel()], axis=1)
        pairs = np.unique(both[both.all(axis=1)], axis=0)
        best = np.zeros((truths.count + 1, len(SCORES)))
        np.maximum.at(best, pairs[:, 1], scores[pairs[:, 0]])
        is_false = ~np.isin(np.arange(len(scores)), [0, *pairs[:, 0]])
        return cls(scores[is_false], best[1:])


@dataclass(frozen=True)
class LesionThreshold:
    """The result of `choose_lesion_threshold`.

    Args:
        steps: Post-processing that removes lesions by their score; without a further step if no
            threshold is certain to be worth it.
        remark: What was chosen and what it removes, or why nothing was; empty if there is nothing
            to say.
    """

    steps: PostProcessing
    remark: str = ""


def choose_lesion_threshold(
    cases: Sequence[CaseLesions | None], folds: np.ndarray, name: str, steps: PostProcessing
) -> LesionThreshold:
    """Choose the score and its threshold.

    The choice is also made without each fold, and its benefit measured on the cases of this fold.
    If this benefit is within noise (see `Gain.is_certain`), nothing is removed.

    Args:
        cases: Lesions of each case; None for cases that do not label the region.
        folds: (cases,) number of the fold of each case.
        name: Name of the region.
        steps: Post-processing with which the lesions were found.
    """
    known = [case is not None for case in cases]
    lesions = [case for case in cases if case is not None]
    folds = np.asarray(folds)[known]
    false = sum(len(case.false_scores) for case in lesions)
    found = sum(int((case.best_scores[:, 0] > 0).sum()) for case in lesions)
    if not false:
        return LesionThreshold(steps)
    are_few = len(lesions) < FEW_CASES or found < FEWEST_LESIONS
    if are_few or len(np.unique(folds)) < 2:
        reason = ", since all cases that label it are in one fold"
        if are_few:
            reason = (
                f" from {count(found, 'lesion')} found in {count(len(lesions), 'case')} (at least "
                f"{FEWEST_LESIONS} in {FEW_CASES})"
            )
        remark = f"{name}: no threshold of the lesions' score is chosen{reason}."
        return LesionThreshold(steps, remark)
    thresholds = np.arange(_STEP, 1, _STEP)
    benefits = np.stack([_benefits(case, thresholds) for case in lesions])
    number, row = _best(benefits)
    held_out = np.empty(len(lesions))
    for fold in np.unique(folds):
        rows = folds == fold
        held_out[rows] = benefits[rows][:, *_best(benefits[~rows])]
    gain = Gain.of(held_out)
    step, threshold = SCORES[number], round(float(thresholds[row]), 3)
    kept = sum(int((case.best_scores[:, number] >= threshold).sum()) for case in lesions)
    removed = sum(int((case.false_scores[:, number] < threshold).sum()) for case in lesions)
    effect = (
        f"{name}: a {WORDS[step]} of at least {threshold:g} removes {removed} of "
        f"{count(false, 'false lesion')} and {found - kept} of {found} that were found"
    )
    if not benefits[:, number, row].sum() > 0:
        return LesionThreshold(
            steps, f"{name}: no threshold of the lesions' score removes more than it loses."
        )
    if not gain.is_certain:
        return LesionThreshold(steps, f"{effect}; on held-out cases within noise: not used.")
    others = tuple(item for item in getattr(steps, step) if item[0] != name)
    return LesionThreshold(replace(steps, **{step: (*others, (name, threshold))}), f"{effect}.")


def _benefits(case: CaseLesions, thresholds: np.ndarray) -> np.ndarray:
    """Benefit of each score and threshold in a case, (scores, thresholds) float64."""
    removed = (case.false_scores[:, :, None] < thresholds).sum(axis=0)
    best = case.best_scores[:, :, None]
    lost = ((best > 0) & (best < thresholds)).sum(axis=0)
    return removed - MISS_COST * lost


def _best(benefits: np.ndarray) -> tuple[int, int]:
    """Number of the score and of the threshold with the highest sum over cases.

    Of equal thresholds, the middle one of the first run is chosen, so that it is not at the score
    of a true lesion.
    """
    total = benefits.sum(axis=0)
    number = int(total.max(axis=1).argmax())
    equal = np.flatnonzero(total[number] >= total[number].max() - 1e-9)
    run = equal[: int(np.argmax(np.diff(equal, append=equal[-1] + 2) > 1)) + 1]
    return number, int(run[len(run) // 2])
