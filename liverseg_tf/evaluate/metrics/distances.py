"""Scores of surface distances: each is a short view of `surface.measure_surfaces`.

Where either mask is empty a distance is undefined (NaN); a share of the surface is 1 where
both masks are empty and 0 where one is.
"""

import math

import numpy as np

from liverseg_tf.evaluate.metrics.surface_distances import SurfaceDistances

DEFINITIONS = {
    "assd": "average symmetric surface distance in mm: (sum d_TP + sum d_PT) / (|S_T| + |S_P|)",
    "assd_of_means": "mean of the two directed average surface distances in mm (MedPy before 0.5)",
    "rmsd": "root mean square symmetric surface distance in mm (LiTS)",
    "msd": "maximum symmetric surface distance (Hausdorff distance) in mm",
    "hd95": "the larger of the two directed 95th percentiles in mm, interpolated (MONAI)",
    "hd95_pooled": "95th percentile of both directions' distances together in mm (MedPy)",
    "hd95_area": (
        "the larger of the two directed distances in mm within which 95 % of the surface's area "
        "lies (google-deepmind/surface-distance)"
    ),
    "nsd": (
        "surface Dice: share of both surfaces that lies within the tolerance of the other; 1 "
        "where both masks are empty, 0 where one is"
    ),
    "centroid_shift": "distance of the two centroids in mm",
}


def assd_mm(distances: SurfaceDistances) -> float:
    """Average symmetric surface distance, all points together (LiTS, MONAI, MedPy)."""
    if distances.one_empty:
        return math.nan
    return float(_sum(distances, 1) / _size(distances))


def assd_of_means_mm(distances: SurfaceDistances) -> float:
    """Mean of the two directed averages (MedPy before 0.5; surface-distance returns the two)."""
    if distances.one_empty:
        return math.nan
    d = distances
    return float(
        np.average(d.from_truth_mm, weights=d.truth_sizes) / 2
        + np.average(d.from_prediction_mm, weights=d.prediction_sizes) / 2
    )


def rmsd_mm(distances: SurfaceDistances) -> float:
    """Root mean square symmetric surface distance."""
    if distances.one_empty:
        return math.nan
    return float(math.sqrt(_sum(distances, 2) / _size(distances)))


def hausdorff_mm(distances: SurfaceDistances) -> float:
    """Maximum symmetric surface distance: LiTS' MSD, the Hausdorff distance."""
    if distances.one_empty:
        return math.nan
    return float(max(distances.from_truth_mm.max(), distances.from_prediction_mm.max()))


def hd95_mm(distances: SurfaceDistances, percent: float = 95) -> float:
    """The larger of the two directed percentiles, linearly interpolated (MONAI)."""
    if distances.one_empty:
        return math.nan
    directed = (distances.from_truth_mm, distances.from_prediction_mm)
    return float(max(np.percentile(one, percent) for one in directed))


def hd95_pooled_mm(distances: SurfaceDistances, percent: float = 95) -> float:
    """Percentile of the distances of both directions together (MedPy)."""
    if distances.one_empty:
        return math.nan
    both = np.concatenate([distances.from_truth_mm, distances.from_prediction_mm])
    return float(np.percentile(both, percent))


def hd95_by_area_mm(distances: SurfaceDistances, percent: float = 95) -> float:
    """The larger of the two distances within which `percent` of an area lies."""
    if distances.one_empty:
        return math.nan
    return max(
        _percentile_by_size(distances.from_truth_mm, distances.truth_sizes, percent),
        _percentile_by_size(distances.from_prediction_mm, distances.prediction_sizes, percent),
    )


def nsd(distances: SurfaceDistances, tolerance_mm: float) -> float:
    """Normalised surface Dice at a tolerance (Nikolov et al., arXiv 1809.04430)."""
    if distances.both_empty:
        return 1.0
    d = distances
    near = d.truth_sizes[d.from_truth_mm <= tolerance_mm].sum()
    near += d.prediction_sizes[d.from_prediction_mm <= tolerance_mm].sum()
    return float(near / _size(d))


def centroid_shift_mm(
    truth: np.ndarray, prediction: np.ndarray, spacing_mm: tuple[float, float, float]
) -> float:
    """Distance of the two masks' centroids; NaN where either is empty.

    Args:
        truth: (z, row, col) bool.
        prediction: bool, the same shape.
        spacing_mm: along (z, row, col).
    """
    if not (truth.any() and prediction.any()):
        return math.nan
    shift = np.subtract(_centroid(prediction), _centroid(truth)) * spacing_mm
    return float(np.linalg.norm(shift))


def _sum(distances: SurfaceDistances, power: int) -> float:
    return (distances.from_truth_mm**power @ distances.truth_sizes) + (
        distances.from_prediction_mm**power @ distances.prediction_sizes
    )


def _size(distances: SurfaceDistances) -> float:
    return distances.truth_sizes.sum() + distances.prediction_sizes.sum()


def _percentile_by_size(distances: np.ndarray, sizes: np.ndarray, percent: float) -> float:
    order = np.lexsort((sizes, distances))
    share = np.cumsum(sizes[order]) / sizes.sum()
    place = min(np.searchsorted(share, percent / 100), len(order) - 1)
    return float(distances[order][place])


def _centroid(mask: np.ndarray) -> list[float]:
    counts = mask.sum(axis=(1, 2)), mask.sum(axis=(0, 2)), mask.sum(axis=(0, 1))
    return [float(np.average(np.arange(len(along)), weights=along)) for along in counts]
