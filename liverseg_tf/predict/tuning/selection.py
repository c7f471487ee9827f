"""Selection of thresholds and post-processing that gain more than noise on validation cases."""

from collections.abc import Iterable, Mapping
from dataclasses import replace

import numpy as np

from liverseg_tf.ct.region_kinds import is_lesion, is_single_organ
from liverseg_tf.ct.regions import Regions
from liverseg_tf.model.postprocessing import PostProcessing
from liverseg_tf.predict.tuning.candidates import Candidate, step_candidates, threshold_candidates
from liverseg_tf.predict.tuning.gains import FEW_CASES, Gain, mean_over_cases, paired_gains
from liverseg_tf.predict.tuning.lesion_scores import CaseLesions, choose_lesion_threshold
from liverseg_tf.predict.tuning.tuning_result import TuningResult
from liverseg_tf.predict.tuning.validation_masks import ValidationMasks

_MIN_GAIN = 1e-9  # of the mean Dice, above rounding
_MIN_THRESHOLD_GAIN = 1e-3  # smaller gains of a threshold are regarded as chance


def select_postprocessing(
    cases: Iterable[ValidationMasks], regions: Regions, folds: Mapping[str, int] | None = None
) -> TuningResult:
    """Select thresholds and steps that raise the Dice of their region and lower no other.

    This is the rule of nnU-Net (Isensee et al., Nature Methods 18, 2021), applied to more steps,
    and with a test against noise. The selection starts with the threshold 0.5, and with the
    largest component for regions that are single organs, unless this lowers a Dice. First the
    thresholds of all regions are selected. Then follow, for each region from the outer to the inner
    ones: keeping only the largest component, keeping only the part inside the region in which it
    is nested, and removing components below several volumes. The Dice is that of whole cases in 3D
    on the tile grid.

    A gain counts if it is more than noise; see `Gain.is_certain`. Only the largest component of a
    region that is no lesion is selected after any gain. Then all choices are made again without
    each fold, and scored on the cases of this fold: if the gain of a region over the threshold 0.5
    and the largest component is within noise there, the region returns to these. At the end,
    lesions with a low score may be removed; see `choose_lesion_threshold`.

    Args:
        cases: Cases on which the model was not trained.
        regions: Regions of all cases.
        folds: Number of the fold by case name. None takes each case for a fold if there are at
            least 5 cases; with fewer, nothing is held out.

    Returns:
        The selected post-processing, and the Dice without and with it.
    """
    scores = _Scores(list(cases))
    selected, doubts = _select(scores, regions, np.full(len(scores.cases), True))
    notes = [f"{name}: {doubt}" for name, doubt in doubts.items()]
    numbers = np.arange(len(scores.cases))
    if folds is not None:
        numbers = np.array([folds[case.name] for case in scores.cases])
    held_out = np.empty((0, len(regions)))
    if folds is not None or len(scores.cases) >= FEW_CASES:
        held_out = _held_out_gains(scores, regions, numbers)
        for column, name in enumerate(regions.names):
            reduced, gain = _without_choices(selected, regions, name), Gain.of(held_out[:, column])
            if reduced != selected and not gain.is_certain:
                notes.append(
                    f"{_difference(selected, reduced)} gains {gain} on held-out cases, which is "
                    "within noise: not used."
                )
                selected = reduced
        selected, remarks = _remove_false_lesions(scores, regions, numbers, selected)
        notes += remarks
    return TuningResult(
        selected,
        scores.by_case(scores.of(PostProcessing())),
        scores.by_case(scores.of(selected)),
        scores.by_case(held_out),
        tuple(notes),
    )


def expected_postprocessing(regions: Regions) -> PostProcessing:
    """Return the post-processing without any validation case: the largest component of organs.

    Args:
        regions: Regions of the model; see `is_single_organ`.
    """
    return PostProcessing(
        largest=tuple(name for name in regions.names if is_single_organ(regions, name))
    )


def _remove_false_lesions(
    scores: "_Scores", regions: Regions, folds: np.ndarray, selected: PostProcessing
) -> tuple[PostProcessing, list[str]]:
    """Select the score below which lesions are removed, unless this lowers a Dice.

    Returns:
        The post-processing and remarks for the user.
    """
    remarks = []
    for region, name in enumerate(regions.names):
        if not is_lesion(regions, name):
            continue
        lesions = [CaseLesions.of(case, region, selected) for case in scores.cases]
        chosen = choose_lesion_threshold(lesions, folds, name, selected)
        gains = paired_gains(scores.of(selected), scores.of(chosen.steps))
        if not _lowers_none(gains):
            remarks.append(f"{chosen.remark} It lowers the mean Dice of a region: not used.")
            continue
        selected = chosen.steps
        remarks += [chosen.remark] if chosen.remark else []
    return selected, remarks


class _Scores:
    """The Dice of all cases after a post-processing; each is computed once.

    Args:
        cases: All cases.
    """

    def __init__(self, cases: list[ValidationMasks]):
        self.cases = cases
        self._known: dict[PostProcessing, np.ndarray] = {}

    def of(self, steps: PostProcessing) -> np.ndarray:
        """Return the Dice after post-processing, (cases, regions) float64."""
        if steps not in self._known:
            dice = [
                case.dice(
                    steps.apply(
                        case.masks_above(steps.thresholds(case.regions), steps.needs_probabilities)
                    )
                )
                for case in self.cases
            ]
            self._known[steps] = np.array(dice)
        return self._known[steps]

    def by_case(self, values: np.ndarray) -> dict[str, dict[str, float]]:
        """Return values, (cases, regions), by case name and region; empty if there are none."""
        return {
            case.name: dict(zip(case.regions.names, map(float, row), strict=True))
            for case, row in zip(self.cases, values, strict=False)
        }


def _select(
    scores: _Scores, regions: Regions, rows: np.ndarray
) -> tuple[PostProcessing, dict[str, str]]:
    """Select a post-processing on some of the cases.

    Args:
        scores: Dice of all cases.
        regions: Regions of all cases.
        rows: (cases,) bool, the cases on which it is selected.

    Returns:
        The post-processing, and for each region of which a choice is in doubt, the choice with the
        highest gain, in words.
    """

    def gains_of(trial: PostProcessing) -> np.ndarray:
        return paired_gains(scores.of(selected)[rows], scores.of(trial)[rows])

    selected = PostProcessing()
    for name in expected_postprocessing(regions).largest:
        trial = replace(selected, largest=(*selected.largest, name))
        if _lowers_none(gains_of(trial)):
            selected = trial
    doubts: dict[str, tuple[float, str]] = {}
    for candidates in threshold_candidates(regions), step_candidates(regions):
        for candidate in candidates:
            trial = candidate.change(selected)
            gains = gains_of(trial)
            gain = Gain.of(gains[:, regions.names.index(candidate.region)])
            min_gain = _MIN_THRESHOLD_GAIN if candidate.is_threshold else _MIN_GAIN
            if not (gain.mean > min_gain and _lowers_none(gains)):
                continue
            if gain.is_certain or _needs_no_certainty(candidate, regions):
                selected = trial
            elif gain.mean > doubts.get(candidate.region, (0.0, ""))[0]:
                doubt = f"{candidate.text} gains {gain}, which is within noise: not used."
                doubts[candidate.region] = gain.mean, doubt
    return selected, {name: text for name, (_, text) in doubts.items()}


def _needs_no_certainty(candidate: Candidate, regions: Regions) -> bool:
    return candidate.is_largest and not is_lesion(regions, candidate.region)


def _lowers_none(gains: np.ndarray) -> bool:
    """Whether no region has a negative mean of its gains, (cases, regions)."""
    return bool((np.nan_to_num(mean_over_cases(gains), nan=0.0) > -_MIN_GAIN).all())


def _held_out_gains(scores: _Scores, regions: Regions, folds: np.ndarray) -> np.ndarray:
    """Score choices on cases without which they were made.

    Args:
        scores: Dice of all cases.
        regions: Regions of all cases.
        folds: (cases,) number of the fold of each case.

    Returns:
        (cases, regions) gain over the threshold 0.5 and the largest component.
    """
    gains = np.empty((len(folds), len(regions)))
    for fold in np.unique(folds):
        selected, _ = _select(scores, regions, folds != fold)
        reduced = selected
        for name in regions.names:
            reduced = _without_choices(reduced, regions, name)
        rows = folds == fold
        gains[rows] = paired_gains(scores.of(reduced)[rows], scores.of(selected)[rows])
    return gains


def _without_choices(steps: PostProcessing, regions: Regions, name: str) -> PostProcessing:
    """Return steps in which a region has the threshold 0.5 and the largest component at most."""
    keeps_largest = not is_lesion(regions, name)
    return replace(
        steps,
        threshold=tuple(item for item in steps.threshold if item[0] != name),
        inside=tuple(item for item in steps.inside if item[0] != name),
        min_volume_ml=tuple(item for item in steps.min_volume_ml if item[0] != name),
        largest=tuple(item for item in steps.largest if item != name or keeps_largest),
    )


def _difference(steps: PostProcessing, reduced: PostProcessing) -> str:
    """Describe the steps that are not among the reduced ones, such as 'threshold liver 0.4'."""
    missing = {
        name: tuple(item for item in value if item not in reduced.steps.get(name, ()))
        for name, value in steps.steps.items()
    }
    return str(PostProcessing(**missing))
