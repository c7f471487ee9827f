"""Scores of one case: its masks are read, checked and compared region by region."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np

from liverseg_tf.ct.annotation import Annotation
from liverseg_tf.ct.bounding_box import bounding_box
from liverseg_tf.ct.orientation import to_canonical
from liverseg_tf.ct.regions import Regions
from liverseg_tf.ct.volume import Volume, check_same_grid
from liverseg_tf.errors import LiverSegError, MemoryLimitError, first_line
from liverseg_tf.evaluate.masks import read_prediction, read_truth
from liverseg_tf.evaluate.metrics.lesion_detection import RegionLesions, find_lesions
from liverseg_tf.evaluate.metrics.overlap import Overlap
from liverseg_tf.evaluate.metrics.reliability import count_probabilities
from liverseg_tf.evaluate.origin import describe_origin
from liverseg_tf.evaluate.pairs import Pair
from liverseg_tf.evaluate.probabilities import SavedProbabilities
from liverseg_tf.evaluate.protocols.lits import LitsCase, score_lits_case
from liverseg_tf.evaluate.protocols.scoring import Scoring, score_region
from liverseg_tf.evaluate.unknown_voxels import (
    check_annotation,
    clear_ignored,
    describe_unknown_slices,
    has_unknown_gaps,
    without_distances,
)

WORST_SCORES = {"dice": 0.0, "jaccard": 0.0, "nsd": 0.0}  # if the prediction is missing


@dataclass(frozen=True)
class RegionResult:
    """Scores of one region in one case.

    Args:
        case: Name of the case.
        region: Name of the region.
        overlap: Voxel counts. Pooled over cases, they give global scores.
        scores: Scores by the names in `overlap.DEFINITIONS` and, if surfaces were measured,
            `distances.DEFINITIONS`; NaN if undefined.
        grid_voxels: Number of voxels of the complete volume.
        lesions: Connected components of the region; None if the protocol does not count them.
        reliability: Voxels by saved probability and ground truth; see `count_probabilities`.
    """

    case: str
    region: str
    overlap: Overlap
    scores: Mapping[str, float]
    grid_voxels: int = 0
    lesions: RegionLesions | None = None
    reliability: np.ndarray | None = field(default=None, compare=False)


@dataclass(frozen=True)
class CaseResult:
    """Scores of one case, or the reason why there are none.

    Args:
        case: Name of the case.
        regions: Results of the regions, in order.
        lits: Scores of the LiTS challenge; None under other protocols.
        notes: Labels in the masks that belong to no region, one line each.
        origins: Remarks on the origin of the prediction, one line each.
        failure: Why the case or its prediction could not be used; None if all went well.
    """

    case: str
    regions: tuple[RegionResult, ...] = ()
    lits: LitsCase | None = None
    notes: tuple[str, ...] = ()
    origins: tuple[str, ...] = ()
    failure: str | None = None


def score_case(pair: Pair, scoring: Scoring) -> CaseResult:
    """Read the masks of a case and score them. An error is returned as `CaseResult.failure`."""
    assert pair.truth is not None, "a prediction without ground truth is not scored"
    truth = prediction = failure = None
    try:
        truth = to_canonical(read_truth(pair, scoring.regions))
        try:
            prediction = _read_prediction(pair, truth, scoring.regions)
        except LiverSegError as error:
            # a prediction that does not fit into memory is none that is missing
            if not scoring.missing_as_empty or isinstance(error, MemoryLimitError):
                raise
            failure = _describe_error(error, pair.case, truth)
        return _score_volumes(pair, truth, prediction, scoring, failure)
    except Exception as error:  # a damaged file or a bug must not stop the other cases
        failure = _describe_error(error, pair.case, truth, prediction)
    return CaseResult(pair.case, failure=failure)


def score_masks(
    case: str,
    truth: Volume,
    prediction: Volume,
    regions: Regions,
    scoring: Scoring | None = None,
    probabilities: SavedProbabilities | None = None,
) -> list[RegionResult]:
    """Score each region of two label maps.

    The masks may have different axis orders, if their voxels are at the same positions.

    Args:
        case: Name of the case.
        truth: Ground truth, array (z, row, col) uint8. Its spacing gives volumes and distances.
        prediction: Prediction, array uint8 on the same grid.
        regions: Regions that are compared.
        scoring: Settings with the surface and the tolerance; None computes no distances.
        probabilities: Probabilities of the prediction, which score its lesions.

    Raises:
        LiverSegError: If the masks are on different grids.
    """
    scoring = scoring or Scoring(distances=False)
    truth, prediction = to_canonical(truth), to_canonical(prediction)
    check_same_grid(truth, prediction, "truth and prediction")
    box = bounding_box(truth.array, prediction.array)
    results = []
    for region in regions.names:
        true, predicted = (regions.mask(one.array[box], region) for one in (truth, prediction))
        overlap, scores = score_region(true, predicted, truth.spacing_mm, scoring)
        saved = None if probabilities is None else probabilities.read(region)
        reliability = lesions = None
        if saved is not None:
            reliability = count_probabilities(regions.mask(truth.array, region), saved)
        if scoring.lesions:
            saved = None if saved is None else saved[box]
            lesions = find_lesions(true, predicted, truth.spacing_mm, saved)
        size = truth.array.size
        results.append(RegionResult(case, region, overlap, scores, size, lesions, reliability))
    return results


def _read_prediction(pair: Pair, truth: Volume, regions: Regions) -> Volume:
    if pair.prediction is None:
        raise LiverSegError(
            f"No prediction found for {pair.truth}: predict it, or leave out such cases "
            "(--predicted-only)."
        )
    prediction = to_canonical(read_prediction(pair, truth, regions))
    check_same_grid(truth, prediction, "truth and prediction")
    return prediction


def _score_volumes(
    pair: Pair, truth: Volume, prediction: Volume | None, scoring: Scoring, failure: str | None
) -> CaseResult:
    """Score canonical volumes; a missing prediction (None) counts as an empty one."""
    check_annotation(pair, truth, scoring)
    compared = truth.with_array(np.zeros_like(truth.array)) if prediction is None else prediction
    results, saved = [], SavedProbabilities(pair, truth)
    if (regions := pair.labelled_regions(scoring.regions)) is not None:
        masks = clear_ignored(truth, compared, pair.annotation.ignored)
        results = score_masks(pair.case, *masks, regions, scoring, saved)
    if pair.annotation.ignored is not None:  # which may cut a lesion in two
        results = [replace(result, lesions=None, reliability=None) for result in results]
    if prediction is None:  # even a region that is empty in the ground truth gets the worst scores
        results = [_with_worst_scores(result) for result in results]
    has_gaps = has_unknown_gaps(truth.array, pair.annotation.ignored)
    if has_gaps:
        results = [replace(one, scores=without_distances(one.scores)) for one in results]
    lits = None
    if scoring.protocol == "lits":
        array = None if prediction is None else prediction.array
        lits = score_lits_case(pair.case, truth.array, array, truth.spacing_mm, scoring.compat)
    notes = [
        _describe_unknown_labels(path, mask.array, scoring, pair.annotation)
        for path, mask in ((pair.truth, truth), (pair.prediction, prediction))
        if path is not None and mask is not None
    ]
    origins = () if prediction is None else describe_origin(pair)
    origins += saved.notes + describe_unknown_slices(pair.annotation, has_gaps)
    origins += truth.warnings + (() if prediction is None else prediction.warnings)
    return CaseResult(pair.case, tuple(results), lits, tuple(filter(None, notes)), origins, failure)


def _with_worst_scores(result: RegionResult) -> RegionResult:
    scores = {name: WORST_SCORES.get(name, value) for name, value in result.scores.items()}
    return replace(result, scores=scores)


def _describe_unknown_labels(
    path: Path, array: np.ndarray, scoring: Scoring, annotation: Annotation
) -> str | None:
    """Message about labels that belong to no region; None if there are none."""
    is_present = np.zeros(256, bool)
    is_present[array[bounding_box(array)]] = True
    known = {label for _, labels in scoring.regions.items for label in labels}
    unknown = sorted(set(np.flatnonzero(is_present).tolist()) - known - {0, annotation.ignored})
    if not unknown:
        return None
    verb = "counts" if len(unknown) == 1 else "count"
    counted_as = (
        "as liver, but only in the scores of the challenge"  # there, every label from 1 is liver
        if scoring.protocol == "lits"
        else "as background"
    )
    names = ", ".join(map(str, unknown))
    return f"Expected labels of the regions in {path}. Received {names}, which {verb} {counted_as}."


def _describe_error(
    error: Exception, case: str, truth: Volume | None, prediction: Volume | None = None
) -> str:
    """Message about an error; if memory is missing, with the need as far as it is known."""
    if isinstance(error, LiverSegError):
        return str(error.about(case))
    if not isinstance(error, MemoryError):
        return f"Unexpected {type(error).__name__}: {first_line(error)} (case {case})"
    if truth is None:
        return f"Not enough memory to read the masks of case {case}: use fewer workers."
    arrays = [mask.array for mask in (truth, prediction) if mask is not None]
    needed_gb = _estimate_memory_gb(truth.array.size, truth.array[bounding_box(*arrays)].size)
    return (
        f"Not enough memory to score the masks of case {case} (needs up to about "
        f"{needed_gb:.1f} GB): use fewer workers."
    )


def _estimate_memory_gb(voxels: int, box_voxels: int) -> float:
    """Measured peak memory of a process that scores a case, if the two surfaces lie far apart.

    A distance transform of the bounding box of both masks then takes 52 bytes per voxel. Masks
    that nearly agree need less.
    """
    return 0.2 + (4 * voxels + 52 * box_voxels) / 1e9
