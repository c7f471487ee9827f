"""Distance scores, computed from the surface distances of two masks.

If either mask is empty, a distance is undefined (NaN). The surface Dice is 1 if both masks are
empty and 0 if one is.
"""

import math

import numpy as np

from liverseg_tf.evaluate.metrics.surface_distances import SurfaceDistances

DEFINITIONS = {
    "assd": "average symmetric surface distance in mm: (sum d_TP + sum d_PT) / (|S_T| + |S_P|)",
    "rmsd": "root mean square symmetric surface distance in mm (LiTS)",
    "msd": "maximum symmetric surface distance (Hausdorff distance) in mm",
    "hd95": "the larger of the two directed 95th percentiles in mm, interpolated (MONAI)",
    "hd95_pooled": "95th percentile of the distances of both directions together in mm (MedPy)",
    "hd95_area": (
        "the larger of the two directed distances in mm within which 95 % of the surface area "
        "lies (google-deepmind/surface-distance)"
    ),
    "nsd": (
        "surface Dice: fraction of both surfaces that lies within the tolerance of the other; 1 "
        "if both masks are empty, 0 if one is"
    ),
    "centroid_shift": "distance between the two centroids in mm",
}
_PERCENT = 95


def assd_mm(distances: SurfaceDistances) -> float:
    """Average symmetric surface distance, over the points of both surfaces (LiTS, MONAI, MedPy)."""
    if distances.any_empty:
        return math.nan
    return float(_weighted_sum(distances, 1) / _total_weight(distances))


def rmsd_mm(distances: SurfaceDistances) -> float:
    """Root mean square symmetric surface distance."""
    if distances.any_empty:
        return math.nan
    return float(math.sqrt(_weighted_sum(distances, 2) / _total_weight(distances)))


def hausdorff_mm(distances: SurfaceDistances) -> float:
    """Hausdorff distance: the maximum symmetric surface distance, called MSD in LiTS."""
    if distances.any_empty:
        return math.nan
    return float(
        max(distances.truth_to_prediction_mm.max(), distances.prediction_to_truth_mm.max())
    )


def hd95_mm(distances: SurfaceDistances) -> float:
    """The larger of the two directed 95th percentiles, linearly interpolated (MONAI)."""
    if distances.any_empty:
        return math.nan
    directed = (distances.truth_to_prediction_mm, distances.prediction_to_truth_mm)
    return float(max(np.percentile(one, _PERCENT) for one in directed))


def hd95_pooled_mm(distances: SurfaceDistances) -> float:
    """95th percentile of the distances of both directions together (MedPy)."""
    if distances.any_empty:
        return math.nan
    pooled = np.concatenate([distances.truth_to_prediction_mm, distances.prediction_to_truth_mm])
    return float(np.percentile(pooled, _PERCENT))


def hd95_by_area_mm(distances: SurfaceDistances) -> float:
    """The larger of the two directed distances within which 95 % of the surface area lies."""
    if distances.any_empty:
        return math.nan
    d = distances
    return max(
        _weighted_percentile(d.truth_to_prediction_mm, d.truth_weights),
        _weighted_percentile(d.prediction_to_truth_mm, d.prediction_weights),
    )


def nsd(distances: SurfaceDistances, tolerance_mm: float) -> float:
    """Normalised surface Dice at a tolerance (Nikolov et al., arXiv 1809.04430)."""
    if distances.both_empty:
        return 1.0
    d = distances
    within = d.truth_weights[d.truth_to_prediction_mm <= tolerance_mm].sum()
    within += d.prediction_weights[d.prediction_to_truth_mm <= tolerance_mm].sum()
    return float(within / _total_weight(d))


def centroid_shift_mm(
    truth: np.ndarray, prediction: np.ndarray, spacing_mm: tuple[float, float, float]
) -> float:
    """Compute the distance between the centroids of two masks; NaN if either is empty.

    Args:
        truth: (z, row, col) bool.
        prediction: (z, row, col) bool.
        spacing_mm: Spacing along (z, row, col).
    """
    if not (truth.any() and prediction.any()):
        return math.nan
    shift = np.subtract(_centroid(prediction), _centroid(truth)) * spacing_mm
    return float(np.linalg.norm(shift))


def _weighted_sum(distances: SurfaceDistances, power: int) -> float:
    return (distances.truth_to_prediction_mm**power @ distances.truth_weights) + (
        distances.prediction_to_truth_mm**power @ distances.prediction_weights
    )


def _total_weight(distances: SurfaceDistances) -> float:
    return distances.truth_weights.sum() + distances.prediction_weights.sum()


def _weighted_percentile(distances: np.ndarray, weights: np.ndarray) -> float:
    order = np.lexsort((weights, distances))
    cumulative = np.cumsum(weights[order]) / weights.sum()
    index = min(int(np.searchsorted(cumulative, _PERCENT / 100)), len(order) - 1)
    return float(distances[order][index])


def _centroid(mask: np.ndarray) -> list[float]:
    counts = mask.sum(axis=(1, 2)), mask.sum(axis=(0, 2)), mask.sum(axis=(0, 1))
    return [float(np.average(np.arange(len(along)), weights=along)) for along in counts]
