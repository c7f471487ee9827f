"""Detection of the lesions of a region: which were found, by their size, and false positives.

A lesion is a connected component (6 neighbours) of a region, as in the LiTS challenge.
"""

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace

import numpy as np

from liverseg_tf.ct.components import Components
from liverseg_tf.evaluate.metrics.lesions import Detection, detect_lesions, label_lesions

IOU_THRESHOLDS = (0.5, 0.0)  # above which a lesion counts as found
SIZE_CLASSES = ("below_10_mm", "10_to_20_mm", "above_20_mm")
_SMALL_MM, _LARGE_MM = 10.0, 20.0
DEFINITIONS = {
    "lesion": "connected component of the region; voxels that share a face are connected",
    "tp, fp, fn": (
        "true lesions that share one prediction are merged, then the predictions of one lesion; a "
        "lesion is detected (TP) if the intersection over union is above the threshold (0.5, or 0: "
        "any overlap); FN: the other true lesions, FP: the other predictions (LiTS, "
        "PatrickChrist/lits-challenge-scoring without its known defects)"
    ),
    "precision, recall": (
        "TP / (TP + FP) and TP / (TP + FN), pooled over cases; undefined (null) if the denominator "
        "is 0"
    ),
    "fp_per_case": "FP divided by the number of cases",
    "by_size": (
        "number of true lesions that were found and of all of them, by the diameter of a sphere of "
        "the same volume; here each lesion counts by itself: above 0.5, it is found if the merged "
        "lesion to which it belongs is detected, above 0, if a predicted lesion overlaps it"
    ),
    "cases_by_size": (
        "number of cases in which a true lesion of this size was found, and of those with one"
    ),
    "cases_with_lesions, cases_found": "cases with a true lesion, and those in which one was found",
    "cases_without_lesions, cases_clear": (
        "cases without a true lesion, and those of them without a predicted one"
    ),
}


@dataclass(frozen=True)
class TrueLesion:
    """Lesion of the ground truth.

    Args:
        volume_ml: Volume.
        detected: Whether it belongs to a detected lesion, by threshold of the intersection over
            union; see `DEFINITIONS`.
    """

    volume_ml: float
    detected: Mapping[float, bool]

    @property
    def diameter_mm(self) -> float:
        """Diameter of a sphere of the same volume."""
        return sphere_diameter_mm(self.volume_ml)

    @property
    def size_class(self) -> int:
        """Index in `SIZE_CLASSES`."""
        return int(self.diameter_mm >= _SMALL_MM) + int(self.diameter_mm > _LARGE_MM)


@dataclass(frozen=True)
class PredictedLesion:
    """Lesion of the prediction.

    Args:
        volume_ml: Volume.
        overlapped: Indices of the true lesions with a common voxel; empty for a false positive.
        probability: Mean probability of its voxels; NaN if no probabilities were saved.
        peak_probability: Their largest probability.
    """

    volume_ml: float
    overlapped: tuple[int, ...]
    probability: float = math.nan
    peak_probability: float = math.nan


@dataclass(frozen=True)
class RegionLesions:
    """The lesions of a region in one case.

    Args:
        truths: Lesions of the ground truth.
        predictions: Lesions of the prediction.
        detections: Numbers of detected and missed lesions by threshold in `IOU_THRESHOLDS`.
    """

    truths: tuple[TrueLesion, ...] = ()
    predictions: tuple[PredictedLesion, ...] = ()
    detections: Mapping[float, Detection] = field(
        default_factory=lambda: dict.fromkeys(IOU_THRESHOLDS, Detection(0, 0, 0))
    )


@dataclass(frozen=True)
class LesionSummary:
    """Detection of the lesions of a region over all cases; see `DEFINITIONS`.

    Args:
        tp, fp, fn: Numbers of lesions.
        precision, recall, fp_per_case: NaN if undefined.
        by_size: Numbers of found and of all true lesions by the names in `SIZE_CLASSES`.
        cases_by_size: Numbers of cases in which one was found, and of those that have one.
        cases_with_lesions, cases_found, cases_without_lesions, cases_clear: Numbers of cases.
    """

    tp: int
    fp: int
    fn: int
    precision: float
    recall: float
    fp_per_case: float
    by_size: Mapping[str, tuple[int, int]]
    cases_by_size: Mapping[str, tuple[int, int]]
    cases_with_lesions: int
    cases_found: int
    cases_without_lesions: int
    cases_clear: int


def find_lesions(
    truth: np.ndarray,
    prediction: np.ndarray,
    spacing_mm: tuple[float, float, float],
    probabilities: np.ndarray | None = None,
) -> RegionLesions:
    """Find the lesions of a region in one case, and which of them belong together.

    Args:
        truth: (z, row, col) bool.
        prediction: (z, row, col) bool.
        spacing_mm: Spacing along (z, row, col).
        probabilities: (z, row, col) probabilities of the region, 0..1; None if they are not known.
    """
    lesions = label_lesions(truth, prediction)
    detections = {threshold: detect_lesions(lesions, threshold) for threshold in IOU_THRESHOLDS}
    merged = {index for group in detections[0.5].detected for index in group.truths}
    pairs = lesions.overlaps.tocoo()
    overlapped: dict[int, list[int]] = {}
    for row, column in zip(*map(np.ndarray.tolist, pairs.coords), strict=True):
        overlapped.setdefault(row, []).append(column)
    touched = {column for columns in overlapped.values() for column in columns}
    voxel_ml = float(np.prod(spacing_mm)) / 1000
    means = peaks = [math.nan] * lesions.prediction.count
    if probabilities is not None:
        means = lesions.prediction.means(probabilities)[1:].tolist()
        peaks = lesions.prediction.maxima(probabilities)[1:].tolist()
    return RegionLesions(
        tuple(
            TrueLesion(volume, {0.5: index in merged, 0.0: index in touched})
            for index, volume in enumerate(_volumes(lesions.truth, voxel_ml))
        ),
        tuple(
            PredictedLesion(volume, tuple(sorted(overlapped.get(index, ()))), *scores)
            for index, (volume, *scores) in enumerate(
                zip(_volumes(lesions.prediction, voxel_ml), means, peaks, strict=True)
            )
        ),
        {threshold: replace(one, detected=()) for threshold, one in detections.items()},
    )


def summarise_lesions(cases: Iterable[RegionLesions], iou_threshold: float) -> LesionSummary:
    """Sum the lesions of a region over cases.

    Args:
        cases: Lesions of the region in each case.
        iou_threshold: One of `IOU_THRESHOLDS`.
    """
    cases = list(cases)
    counts = [case.detections[iou_threshold] for case in cases]
    tp, fp, fn = (sum(getattr(one, name) for one in counts) for name in ("tp", "fp", "fn"))
    by_size, cases_by_size = {}, {}
    for index, name in enumerate(SIZE_CLASSES):
        by_case = [
            [one.detected[iou_threshold] for one in case.truths if one.size_class == index]
            for case in cases
        ]
        by_size[name] = (sum(map(sum, by_case)), sum(map(len, by_case)))
        cases_by_size[name] = (sum(map(any, by_case)), sum(map(bool, by_case)))
    with_lesions = [case for case in cases if case.truths]
    found_in = [any(one.detected[iou_threshold] for one in case.truths) for case in with_lesions]
    without = [case for case in cases if not case.truths]
    return LesionSummary(
        tp,
        fp,
        fn,
        _divide(tp, tp + fp),
        _divide(tp, tp + fn),
        _divide(fp, len(cases)),
        by_size,
        cases_by_size,
        len(with_lesions),
        sum(found_in),
        len(without),
        sum(not case.predictions for case in without),
    )


def sphere_diameter_mm(volume_ml: float) -> float:
    """Compute the diameter of a sphere from its volume: (6 V / pi)^(1/3).

    Example:
        >>> round(sphere_diameter_mm(0.5236), 2)
        10.0
    """
    return (6000 * volume_ml / math.pi) ** (1 / 3)


def _volumes(components: Components, voxel_ml: float) -> list[float]:
    return (components.sizes[1:] * voxel_ml).tolist()


def _divide(numerator: float, denominator: float) -> float:
    return numerator / denominator if denominator else math.nan
