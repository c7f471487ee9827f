"""Selection of thresholds and post-processing on validation cases."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from liverseg_tf.ct.regions import Regions
from liverseg_tf.errors import LiverSegError
from liverseg_tf.model.postprocessing import THRESHOLD, PostProcessing
from liverseg_tf.model.run_lock import run_lock
from liverseg_tf.model.run_record import RunRecord, write_postprocessing
from liverseg_tf.predict.models.predictor import Predictor
from liverseg_tf.predict.tuning.validation_masks import (
    THRESHOLDS,
    ValidationMasks,
    predict_validation_masks,
)
from liverseg_tf.tiles.store import TileStore

MIN_VOLUMES_ML = (0.05, 0.2, 0.5)
_MIN_GAIN = 1e-9  # of the mean Dice, above rounding
_MIN_THRESHOLD_GAIN = 1e-3  # smaller gains of a threshold are regarded as chance

# a region, and a function that returns the post-processing with a further step or other threshold
_Candidate = tuple[str, Callable[[PostProcessing], PostProcessing]]


@dataclass(frozen=True)
class TuningResult:
    """The selected post-processing and its effect.

    Args:
        postprocessing: Selected thresholds and steps.
        dice_before: Dice without them, by case name and region, in 3D on the tile grid. NaN if a
            region is empty both in the prediction and in the reference.
        dice_after: Dice with them.
    """

    postprocessing: PostProcessing
    dice_before: dict[str, dict[str, float]]
    dice_after: dict[str, dict[str, float]]

    def means(self) -> dict[str, tuple[float, float]]:
        """Return the mean Dice of each region over the cases, before and after.

        A mean is NaN if no case has a Dice.
        """
        names = next(iter(self.dice_before.values()))
        before, after = (
            _mean_over_cases(np.array([list(dice.values()) for dice in cases.values()])).tolist()
            for cases in (self.dice_before, self.dice_after)
        )
        return dict(zip(names, zip(before, after, strict=True), strict=True))

    def __repr__(self) -> str:
        dice = ", ".join(
            f"{region} {before:.3f} to {after:.3f}"
            for region, (before, after) in self.means().items()
        )
        return (
            f"TuningResult(cases: {len(self.dice_before)}; mean Dice: {dice}; "
            f"post-processing: {self.postprocessing})"
        )


def tune_run(folder: Path, store: TileStore, unfinished: bool = False) -> TuningResult:
    """Select the post-processing of a run and write it into its `run.json`.

    Args:
        folder: Folder of the run.
        store: Store from which the run was trained.
        unfinished: Whether to accept a run that has not finished.

    Returns:
        The selected post-processing.

    Raises:
        LiverSegError: If the run cannot be loaded, has not finished, or is being written by
            another process; see also `tune_postprocessing`.
    """
    from liverseg_tf.predict.models.run import RunPredictor

    record = RunRecord.read(folder)
    if not unfinished:
        record.check_finished(folder)
    with run_lock(folder):
        result = tune_postprocessing(RunPredictor(folder), store, record.split["val"])
        write_postprocessing(folder, result.postprocessing)
    return result


def tune_postprocessing(
    predictor: Predictor, store: TileStore, names: Sequence[str]
) -> TuningResult:
    """Select the post-processing on the validation cases of a model.

    Args:
        predictor: Model that predicts the probabilities of tiles.
        store: Store from which the model was trained.
        names: Names of its validation cases.

    Returns:
        The selected post-processing; see `select_postprocessing`.

    Raises:
        LiverSegError: If there are no validation cases, or the tiles of the store differ from
            those of the model.
    """
    if not names:
        raise LiverSegError(
            f"Expected validation cases in {store.folder}, but the split of the run has none. "
            "Train with a validation split to tune."
        )
    cases = predict_validation_masks(predictor, store, names)
    return select_postprocessing(cases, predictor.network.regions)


def select_postprocessing(cases: Iterable[ValidationMasks], regions: Regions) -> TuningResult:
    """Select thresholds and steps that raise the Dice of their region and lower no other.

    This is the rule of nnU-Net (Isensee et al., Nature Methods 18, 2021), applied to more steps.
    First the thresholds of all regions are selected. Then follow, for each region from the outer
    to the inner ones: keeping only the largest component, keeping only the part inside the region
    in which it is nested, and removing components below several volumes. The Dice is that of whole
    cases in 3D on the tile grid.

    Args:
        cases: Cases on which the model was not trained.
        regions: Regions of all cases.

    Returns:
        The selected post-processing, and the Dice without and with it.
    """
    cases = list(cases)
    selected = PostProcessing()
    before = scores = _dice_scores(cases, selected)
    for candidates in _threshold_candidates(regions), _step_candidates(regions):
        for name, change in candidates:
            trial = change(selected)
            trial_scores = _dice_scores(cases, trial)
            column = regions.names.index(name)
            gain = _mean_over_cases(trial_scores) - _mean_over_cases(scores)
            changes_threshold = trial.threshold != selected.threshold
            min_gain = _MIN_THRESHOLD_GAIN if changes_threshold else _MIN_GAIN
            lowers_none = (np.nan_to_num(gain, nan=0.0) > -_MIN_GAIN).all()
            if gain[column] > min_gain and lowers_none:
                selected, scores = trial, trial_scores
    return TuningResult(selected, _by_case(cases, before), _by_case(cases, scores))


def _threshold_candidates(regions: Regions) -> list[_Candidate]:
    """Return the candidates that set another threshold, for each region nearest to 0.5 first."""

    def set_threshold(name: str, p: float) -> Callable[[PostProcessing], PostProcessing]:
        def change(steps: PostProcessing) -> PostProcessing:
            others = tuple(item for item in steps.threshold if item[0] != name)
            return replace(steps, threshold=(*others, (name, p)))

        return change

    return [
        (name, set_threshold(name, p))
        for name in regions.names
        for p in sorted(THRESHOLDS, key=lambda p: abs(p - THRESHOLD))
        if p != THRESHOLD
    ]


def _step_candidates(regions: Regions) -> list[_Candidate]:
    """Return the candidates that add a step, in the order in which they are tried."""

    def add_step(field: str, value: object) -> Callable[[PostProcessing], PostProcessing]:
        return lambda steps: replace(steps, **{field: (*getattr(steps, field), value)})

    def set_min_volume(name: str, ml: float) -> Callable[[PostProcessing], PostProcessing]:
        def change(steps: PostProcessing) -> PostProcessing:
            others = tuple(item for item in steps.min_volume_ml if item[0] != name)
            return replace(steps, min_volume_ml=(*others, (name, ml)))

        return change

    candidates: list[_Candidate] = []
    for name in regions.names:
        candidates.append((name, add_step("largest", name)))
        candidates += [
            (name, add_step("inside", (name, outer, 0.0))) for outer in regions.containing(name)
        ]
        candidates += [(name, set_min_volume(name, ml)) for ml in MIN_VOLUMES_ML]
    return candidates


def _dice_scores(cases: list[ValidationMasks], steps: PostProcessing) -> np.ndarray:
    """Return the Dice after post-processing, (cases, regions) float64."""
    return np.array(
        [case.dice(steps.apply(case.masks_above(steps.thresholds(case.regions)))) for case in cases]
    )


def _mean_over_cases(scores: np.ndarray) -> np.ndarray:
    """Return the mean (regions,) of finite scores; NaN if a region has none."""
    finite = np.isfinite(scores)
    return np.where(
        finite.any(axis=0), np.nansum(scores, axis=0) / np.maximum(finite.sum(axis=0), 1), np.nan
    )


def _by_case(cases: list[ValidationMasks], scores: np.ndarray) -> dict[str, dict[str, float]]:
    return {
        case.name: dict(zip(case.regions.names, map(float, row), strict=True))
        for case, row in zip(cases, scores, strict=True)
    }
