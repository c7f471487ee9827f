"""Thresholds and post-processing chosen on cases that a model has not learnt from."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from liverseg_tf.ct.regions import Regions
from liverseg_tf.errors import LiverSegError
from liverseg_tf.model.postprocessing import THRESHOLD, PostProcessing
from liverseg_tf.model.run_record import write_postprocessing
from liverseg_tf.predict.models.predictor import Predictor
from liverseg_tf.predict.tuning.validation_masks import (
    THRESHOLDS,
    ValidationMasks,
    predict_validation_masks,
)
from liverseg_tf.tiles.store import TileStore

SMALLEST_ML = (0.05, 0.2, 0.5)
_GAIN = 1e-3  # of a threshold: less is chance


@dataclass(frozen=True)
class TuningResult:
    """What was chosen.

    Args:
        chosen: thresholds and steps that help.
        before: case to Dice of each region without them, on the tile grid; NaN where it is
            neither there nor found.
        after: with them.
    """

    chosen: PostProcessing
    before: dict[str, dict[str, float]]
    after: dict[str, dict[str, float]]

    def means(self) -> dict[str, tuple[float, float]]:
        """Region to its mean Dice over the cases, before and after; NaN where no case has one."""
        names = next(iter(self.before.values()))
        before, after = (
            _means(np.array([list(case.values()) for case in side.values()])).tolist()
            for side in (self.before, self.after)
        )
        return dict(zip(names, zip(before, after, strict=True), strict=True))


def tune_run(folder: Path, store: TileStore) -> TuningResult:
    """Choose a run's post-processing and write it into its `run.json`; loads the model.

    Args:
        folder: of the run.
        store: of the run.

    Raises:
        LiverSegError: as `tune_postprocessing`, or when the run can't be used.
    """
    from liverseg_tf.model.run_record import RunRecord
    from liverseg_tf.predict.models.run import RunPredictor

    tuned = tune_postprocessing(RunPredictor(folder), store, RunRecord.read(folder).split["val"])
    write_postprocessing(folder, tuned.chosen)
    return tuned


def tune_postprocessing(
    predictor: Predictor, store: TileStore, names: Sequence[str]
) -> TuningResult:
    """Choose on a model's validation cases; see `choose`.

    Args:
        predictor: of the slices.
        store: of the run.
        names: of its validation cases.

    Raises:
        LiverSegError: when there are none, or the store has other tiles than the network.
    """
    if not names:
        raise LiverSegError(f"Expected validation cases in {store.folder}. Received none.")
    return choose(predict_validation_masks(predictor, store, names), predictor.network.regions)


def choose(held: Iterable[ValidationMasks], regions: Regions) -> TuningResult:
    """Choose by nnU-Net's rule: what lowers no region's Dice, and raises its own.

    For each region its threshold, then, from the outside in: its largest component alone, only
    what lies inside the region it is nested in, and no components below some volumes. Dice is
    that of whole cases in 3D on the tile grid.

    Args:
        held: cases that their model has not learnt from.
        regions: of all of them.
    """
    held = list(held)
    chosen = PostProcessing()
    before = scores = _scores(held, chosen)
    for candidates in _thresholds(regions), _steps(regions):
        for name, candidate in candidates:
            trial = candidate(chosen)
            tried = _scores(held, trial)
            column = regions.names.index(name)
            gain = _means(tried) - _means(scores)
            least = _GAIN if trial.threshold != chosen.threshold else 1e-9
            others = np.nan_to_num(gain, nan=0.0)
            if gain[column] > least and (others > -1e-9).all():
                chosen, scores = trial, tried
    return TuningResult(chosen, _by_case(held, before), _by_case(held, scores))


def _thresholds(regions: Regions) -> list[tuple]:
    """Region, and what makes post-processing one with another threshold for it."""

    def with_threshold(name, p):
        def change(steps: PostProcessing) -> PostProcessing:
            others = tuple(each for each in steps.threshold if each[0] != name)
            return replace(steps, threshold=(*others, (name, p)))

        return change

    return [
        (name, with_threshold(name, p))
        for name in regions.names
        for p in sorted(THRESHOLDS, key=lambda p: abs(p - THRESHOLD))
        if p != THRESHOLD
    ]


def _steps(regions: Regions) -> list[tuple]:
    """As above, with a further step."""

    def adding(field, *step):
        value = step[0] if len(step) == 1 else step
        return lambda steps: replace(steps, **{field: (*getattr(steps, field), value)})

    def of_volume(name, ml):
        def change(steps: PostProcessing) -> PostProcessing:
            others = tuple(each for each in steps.smallest_ml if each[0] != name)
            return replace(steps, smallest_ml=(*others, (name, ml)))

        return change

    found = []
    for name in regions.names:
        found.append((name, adding("largest", name)))
        found += [(name, adding("inside", name, outer, 0.0)) for outer in regions.around(name)]
        found += [(name, of_volume(name, ml)) for ml in SMALLEST_ML]
    return found


def _scores(held: list[ValidationMasks], steps: PostProcessing) -> np.ndarray:
    """(cases, regions) Dice."""
    return np.array(
        [case.dice(steps.apply(case.found(steps.thresholds(case.regions)))) for case in held]
    )


def _means(scores: np.ndarray) -> np.ndarray:
    """(regions,) over the cases; NaN where no case is left."""
    known = np.isfinite(scores)
    return np.where(
        known.any(axis=0), np.nansum(scores, axis=0) / np.maximum(known.sum(axis=0), 1), np.nan
    )


def _by_case(held: list[ValidationMasks], scores: np.ndarray) -> dict[str, dict[str, float]]:
    return {
        case.name: dict(zip(case.regions.names, map(float, row), strict=True))
        for case, row in zip(held, scores, strict=True)
    }
