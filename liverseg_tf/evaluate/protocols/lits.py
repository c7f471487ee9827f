"""The scores of the LiTS challenge, of one case and of a set of cases.

Source: PatrickChrist/lits-challenge-scoring (evaluate.py, calc_metric.py, surface.py).
The liver is every label from 1; a lesion is a 6-connected component of label 2.
"""

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

import numpy as np

from liverseg_tf.ct.bounding_box import bounding_box
from liverseg_tf.evaluate.metrics.distances import assd_mm, hausdorff_mm, rmsd_mm
from liverseg_tf.evaluate.metrics.lesions import (
    Detection,
    Lesions,
    crop_group,
    detect_lesions,
    detect_lesions_compat,
    label_lesions,
)
from liverseg_tf.evaluate.metrics.overlap import Overlap, count_overlap
from liverseg_tf.evaluate.metrics.surface_distances import compute_surface_distances

UNDEFINED_COMPAT = 9001  # what the scorer writes instead of an undefined score
IOU_THRESHOLDS = (0.5, 0.0)  # above which a lesion counts as detected
_NO_LESIONS = Detection(0, 0, 0)

DEFINITIONS = {
    "dice_per_case": (
        "mean Dice over cases; lesion: 1 if both masks are empty, 0 if one is; liver: 0 if no "
        "voxel of label 1 is predicted; 0 if the prediction is missing"
    ),
    "dice_global": "2 sum |T and P| / sum (|T| + |P|) over all cases",
    "dice, jaccard, voe, rvd, assd, rmsd, msd": (
        "liver: means over cases; lesion: means over the detected lesions (overlap > 0.5) of all "
        "cases; voe = 1 - jaccard; rvd = (|T| - |P|) / |P|; surface distances in mm between the "
        "voxels that an erosion with the 18-neighbourhood removes; if nothing was detected: dice "
        "0, voe 1, the others undefined (null; 9001 with --compat)"
    ),
    "precision, recall": (
        "TP / (TP + FP) and TP / (TP + FN), pooled over cases, 0 if the denominator is 0; true "
        "lesions that share one prediction are merged, then the predictions of one lesion; a "
        "lesion is detected if the intersection over union is > 0.5 (greater_zero: > 0); merged "
        "lesions count once (with --compat as in the public scorer)"
    ),
    "Tumorburden": (
        "|label 2| / |label >= 1|; RMSE and largest absolute difference over cases; undefined "
        "if the prediction has no label 1 (9001 with --compat) or the truth has no liver"
    ),
}


@dataclass(frozen=True)
class LitsCase:
    """Scores of one case in the LiTS challenge.

    Args:
        case: Name of the case.
        liver: Voxel counts of the liver. The prediction counts as empty if it has no label 1.
        lesion: Voxel counts of all lesions together.
        liver_scores: dice, jaccard, voe, rvd, assd, rmsd and msd of the liver; NaN if undefined.
        lesion_scores: The same scores of each detected lesion.
        detections: Detected lesions for each threshold in `IOU_THRESHOLDS`.
        burden_truth: Tumour burden (tumour voxels / liver voxels) in the truth; NaN if undefined.
        burden_prediction: Tumour burden in the prediction; NaN if undefined.
        missing: Whether there was no usable prediction.
    """

    case: str
    liver: Overlap
    lesion: Overlap
    liver_scores: Mapping[str, float]
    lesion_scores: tuple[Mapping[str, float], ...] = ()
    detections: Mapping[float, Detection] = field(
        default_factory=lambda: dict.fromkeys(IOU_THRESHOLDS, _NO_LESIONS)
    )
    burden_truth: float = math.nan
    burden_prediction: float = math.nan
    missing: bool = False

    @property
    def lesion_dice(self) -> float:
        """Dice of all lesions; 1 if neither mask has a lesion, 0 if the prediction is missing."""
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
        case: Name of the case.
        truth: (z, row, col) uint8, 1 is liver, 2 is tumour.
        prediction: (z, row, col) uint8; None if it is missing, which counts as an empty mask.
        spacing_mm: Spacing of the truth along (z, row, col).
        compat: Whether lesions are counted exactly as in the public scorer, errors included.
    """
    missing = prediction is None
    if prediction is None:
        prediction = np.zeros_like(truth)
    box = bounding_box(truth, prediction)
    truth, prediction = truth[box], prediction[box]
    has_liver = bool((prediction == 1).any())
    livers = truth >= 1, (prediction >= 1) & has_liver
    tumours = truth == 2, prediction == 2
    lesions = label_lesions(*tumours)
    detect = detect_lesions_compat if compat else detect_lesions
    detections = {threshold: detect(lesions, threshold) for threshold in IOU_THRESHOLDS}
    return LitsCase(
        case,
        count_overlap(*livers),
        count_overlap(*tumours),
        _score_masks(*livers, spacing_mm),
        _score_lesions(lesions, detections[0.5], spacing_mm),
        detections,
        _tumour_burden(tumours[0], livers[0]),
        _tumour_burden(tumours[1], livers[1]),
        missing,
    )


def summarise_lits(cases: Iterable[LitsCase], compat: bool = False) -> dict[str, float]:
    """Compute the challenge's scores over cases, by the names in the scorer's scores.txt.

    Args:
        cases: Scores of at least one case.
        compat: Whether an undefined score counts as 9001, in means too, as in the scorer.
            Otherwise it is ignored, and a mean without values is NaN.
    """
    cases = list(cases)
    summary: dict[str, float] = {}
    for threshold, suffix in zip(IOU_THRESHOLDS, ("", "_greater_zero"), strict=True):
        counts = [case.detections[threshold] for case in cases]
        tp, fp, fn = (sum(getattr(one, name) for one in counts) for name in ("tp", "fp", "fn"))
        summary[f"lesion_precision{suffix}"] = tp / (tp + fp) if tp + fp else 0.0
        summary[f"lesion_recall{suffix}"] = tp / (tp + fn) if tp + fn else 0.0
    lesions = [scores for case in cases for scores in case.lesion_scores]
    livers = [case.liver_scores for case in cases]
    for name, scores in (("lesion", lesions or [_empty_scores()]), ("liver", livers)):
        for score in _empty_scores():
            summary[f"{name}_{score}"] = _mean([one[score] for one in scores], compat)
    summary["lesion_dice_per_case"] = _mean([case.lesion_dice for case in cases], compat)
    summary["liver_dice_per_case"] = summary["liver_dice"]
    for name in ("lesion", "liver"):
        summary[f"{name}_dice_global"] = _dice_global([getattr(case, name) for case in cases])
    differences = _burden_differences(cases, compat)
    summary["RMSE_Tumorburden"] = math.sqrt(_mean(differences**2, compat=False))
    summary["MAXERROR_Tumorburden"] = _largest(np.abs(differences))
    return summary


def _score_masks(
    truth: np.ndarray, prediction: np.ndarray, spacing_mm: tuple[float, float, float]
) -> dict[str, float]:
    overlap = count_overlap(truth, prediction)
    if not (overlap.truth_voxels and overlap.prediction_voxels):
        return _empty_scores()
    surfaces = compute_surface_distances(truth, prediction, spacing_mm, "edges")
    return {
        "dice": overlap.dice,
        "jaccard": overlap.jaccard,
        "voe": 1 - overlap.jaccard,
        "rvd": (overlap.truth_voxels - overlap.prediction_voxels) / overlap.prediction_voxels,
        "assd": assd_mm(surfaces),
        "rmsd": rmsd_mm(surfaces),
        "msd": hausdorff_mm(surfaces),
    }


def _empty_scores() -> dict[str, float]:
    """Scores if the truth or the prediction is empty, or if no lesion is detected."""
    undefined = dict.fromkeys(("rvd", "assd", "rmsd", "msd"), math.nan)
    return {"dice": 0.0, "jaccard": 0.0, "voe": 1.0, **undefined}


def _score_lesions(
    lesions: Lesions, detection: Detection, spacing_mm: tuple[float, float, float]
) -> tuple[dict[str, float], ...]:
    groups = (crop_group(lesions, group) for group in detection.detected)
    return tuple(_score_masks(*masks, spacing_mm) for masks in groups)


def _tumour_burden(tumour: np.ndarray, liver: np.ndarray) -> float:
    liver_voxels = np.count_nonzero(liver)
    return np.count_nonzero(tumour) / liver_voxels if liver_voxels else math.nan


def _burden_differences(cases: list[LitsCase], compat: bool) -> np.ndarray:
    pairs = np.array([(case.burden_truth, case.burden_prediction) for case in cases])
    if compat:
        pairs[:, 1] = np.where(np.isnan(pairs[:, 1]), UNDEFINED_COMPAT, pairs[:, 1])
    differences = pairs[:, 0] - pairs[:, 1]
    return differences[~np.isnan(differences)]


def _dice_global(overlaps: list[Overlap]) -> float:
    voxels = sum(one.truth_voxels + one.prediction_voxels for one in overlaps)
    return 2 * sum(one.both_voxels for one in overlaps) / voxels if voxels else math.nan


def _mean(values: Iterable[float], compat: bool) -> float:
    values = np.asarray(values, np.float64)
    values = np.nan_to_num(values, nan=UNDEFINED_COMPAT) if compat else values[~np.isnan(values)]
    return float(values.mean()) if values.size else (UNDEFINED_COMPAT if compat else math.nan)


def _largest(values: np.ndarray) -> float:
    return float(values.max()) if values.size else math.nan
