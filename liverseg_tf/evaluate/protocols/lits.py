"""The LiTS challenge's figures of one case and of a set of cases.

Source: PatrickChrist/lits-challenge-scoring (evaluate.py, calc_metric.py, surface.py).
Liver is label 1 and above, a lesion a 6-connected component of label 2.
"""

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

import numpy as np

from liverseg_tf.ct.bounding_box import bounding_box
from liverseg_tf.evaluate.metrics import distances as views
from liverseg_tf.evaluate.metrics.lesions import (
    Detection,
    Lesions,
    detect,
    detect_as_scorer,
    masks_of,
    match_lesions,
)
from liverseg_tf.evaluate.metrics.overlap import Overlap, count_overlap
from liverseg_tf.evaluate.metrics.surface_distances import measure_surfaces

LARGE = 9001  # what the scorer writes for a figure that is undefined
LEAST_OVERLAPS = (0.5, 0.0)
_NOTHING = Detection(0, 0, 0)

DEFINITIONS = {
    "dice_per_case": (
        "mean of the cases' Dice; lesion: 1 where both masks are empty, 0 where one is; liver: 0 "
        "where nothing of label 1 is predicted; 0 where the prediction is missing"
    ),
    "dice_global": "2 sum |T and P| / sum (|T| + |P|) over all cases",
    "dice, jaccard, voe, rvd, assd, rmsd, msd": (
        "liver: means over cases; lesion: means over the detected lesions (overlap > 0.5) of all "
        "cases; voe = 1 - jaccard; rvd = (|T| - |P|) / |P|; surface distances in mm between the "
        "voxels that an erosion with the 18-neighbourhood removes; where nothing was found: dice "
        "0, voe 1, the others undefined (null; 9001 with --compat)"
    ),
    "precision, recall": (
        "TP / (TP + FP) and TP / (TP + FN), pooled over cases, 0 where nothing is counted; true "
        "lesions that one prediction spans are merged, then the predictions of one lesion; "
        "detected where the intersection over union is > 0.5 (greater_zero: > 0); merged lesions "
        "count once (with --compat as the public scorer counts them)"
    ),
    "Tumorburden": (
        "|label 2| / |label >= 1|; RMSE and largest absolute difference over cases; undefined "
        "where the prediction has no label 1 (9001 with --compat) or the truth has no liver"
    ),
}


@dataclass(frozen=True)
class LitsCase:
    """What the challenge counts in one case.

    Args:
        case: its name.
        liver, lesion: voxels of truth and prediction; the liver's prediction counts as empty
            where it has no label 1.
        liver_scores: dice, jaccard, voe, rvd, assd, rmsd, msd; NaN where undefined.
        lesion_scores: the same of each detected lesion.
        detections: by the overlap above which a lesion counts as detected.
        burden_truth, burden_prediction: share of tumour in the liver; NaN where undefined.
        missing: whether there was no prediction that could be scored.
    """

    case: str
    liver: Overlap
    lesion: Overlap
    liver_scores: Mapping[str, float]
    lesion_scores: tuple[Mapping[str, float], ...] = ()
    detections: Mapping[float, Detection] = field(
        default_factory=lambda: dict.fromkeys(LEAST_OVERLAPS, _NOTHING)
    )
    burden_truth: float = math.nan
    burden_prediction: float = math.nan
    missing: bool = False

    @property
    def lesion_dice(self) -> float:
        """1 where neither mask has a lesion, unless the prediction is missing."""
        return 0.0 if self.missing else self.lesion.dice


def score_lits_case(
    case: str,
    truth: np.ndarray,
    prediction: np.ndarray | None,
    spacing_mm: tuple[float, float, float],
    compat: bool = False,
) -> LitsCase:
    """Score one case.

    Args:
        case: its name.
        truth: (z, row, col) uint8, 1 liver, 2 tumour.
        prediction: the same; None where it is missing, which counts as an empty one.
        spacing_mm: of the truth, along (z, row, col).
        compat: whether lesions are counted with the public scorer's defects.
    """
    missing = prediction is None
    prediction = np.zeros_like(truth) if missing else prediction
    box = bounding_box(truth, prediction)
    truth, prediction = truth[box], prediction[box]
    liver_found = bool((prediction == 1).any())
    livers = truth >= 1, (prediction >= 1) & liver_found
    tumours = truth == 2, prediction == 2
    lesions = match_lesions(*tumours)
    count = detect_as_scorer if compat else detect
    detections = {least: count(lesions, least) for least in LEAST_OVERLAPS}
    return LitsCase(
        case,
        count_overlap(*livers),
        count_overlap(*tumours),
        _figures(*livers, spacing_mm),
        _lesion_figures(lesions, detections[0.5], spacing_mm),
        detections,
        _burden(tumours[0], livers[0]),
        _burden(tumours[1], livers[1]),
        missing,
    )


def summarise_lits(cases: Iterable[LitsCase], compat: bool = False) -> dict[str, float]:
    """The challenge's figures over cases, under the names of its scores.txt.

    Args:
        cases: at least one.
        compat: whether undefined figures are 9001, and count so in means, as in the scorer;
            otherwise they are left out, and NaN where nothing is left.
    """
    cases = list(cases)
    figures: dict[str, float] = {}
    for least, suffix in ((0.5, ""), (0.0, "_greater_zero")):
        counts = [case.detections[least] for case in cases]
        tp, fp, fn = (sum(getattr(one, name) for one in counts) for name in ("tp", "fp", "fn"))
        figures[f"lesion_precision{suffix}"] = tp / (tp + fp) if tp + fp else 0.0
        figures[f"lesion_recall{suffix}"] = tp / (tp + fn) if tp + fn else 0.0
    lesions = [scores for case in cases for scores in case.lesion_scores]
    livers = [case.liver_scores for case in cases]
    for name, scores in (("lesion", lesions or [_figures_of_nothing()]), ("liver", livers)):
        for figure in _figures_of_nothing():
            figures[f"{name}_{figure}"] = _mean([one[figure] for one in scores], compat)
    figures["lesion_dice_per_case"] = _mean([case.lesion_dice for case in cases], compat)
    figures["liver_dice_per_case"] = figures["liver_dice"]
    for name in ("lesion", "liver"):
        figures[f"{name}_dice_global"] = _dice_global([getattr(case, name) for case in cases])
    differences = _burden_differences(cases, compat)
    figures["RMSE_Tumorburden"] = math.sqrt(_mean(differences**2, compat=False))
    figures["MAXERROR_Tumorburden"] = _largest(np.abs(differences))
    return figures


def _figures(
    truth: np.ndarray, prediction: np.ndarray, spacing_mm: tuple[float, float, float]
) -> dict[str, float]:
    overlap = count_overlap(truth, prediction)
    if not (overlap.truth_voxels and overlap.prediction_voxels):
        return _figures_of_nothing()
    found = measure_surfaces(truth, prediction, spacing_mm, "edges")
    return {
        "dice": overlap.dice,
        "jaccard": overlap.jaccard,
        "voe": 1 - overlap.jaccard,
        "rvd": (overlap.truth_voxels - overlap.prediction_voxels) / overlap.prediction_voxels,
        "assd": views.assd_mm(found),
        "rmsd": views.rmsd_mm(found),
        "msd": views.hausdorff_mm(found),
    }


def _figures_of_nothing() -> dict[str, float]:
    undefined = dict.fromkeys(("rvd", "assd", "rmsd", "msd"), math.nan)
    return {"dice": 0.0, "jaccard": 0.0, "voe": 1.0, **undefined}


def _lesion_figures(
    lesions: Lesions, detection: Detection, spacing_mm: tuple[float, float, float]
) -> tuple[dict[str, float], ...]:
    return tuple(_figures(*masks_of(lesions, group), spacing_mm) for group in detection.detected)


def _burden(tumour: np.ndarray, liver: np.ndarray) -> float:
    size = np.count_nonzero(liver)
    return np.count_nonzero(tumour) / size if size else math.nan


def _burden_differences(cases: list[LitsCase], compat: bool) -> np.ndarray:
    pairs = np.array([(case.burden_truth, case.burden_prediction) for case in cases])
    if compat:
        pairs[:, 1] = np.where(np.isnan(pairs[:, 1]), LARGE, pairs[:, 1])
    differences = pairs[:, 0] - pairs[:, 1]
    return differences[~np.isnan(differences)]


def _dice_global(overlaps: list[Overlap]) -> float:
    sizes = sum(one.truth_voxels + one.prediction_voxels for one in overlaps)
    return 2 * sum(one.both_voxels for one in overlaps) / sizes if sizes else math.nan


def _mean(values: Iterable[float], compat: bool) -> float:
    values = np.asarray(values, np.float64)
    values = np.nan_to_num(values, nan=LARGE) if compat else values[~np.isnan(values)]
    return float(values.mean()) if values.size else (LARGE if compat else math.nan)


def _largest(values: np.ndarray) -> float:
    return float(values.max()) if values.size else math.nan
