"""Overlap scores of one region in one case, computed from three voxel counts."""

import math
from dataclasses import dataclass

import numpy as np

from liverseg_tf.errors import LiverSegError

DEFINITIONS = {
    "dice": "2 |T and P| / (|T| + |P|); 1 if both are empty, 0 if one is",
    "jaccard": "|T and P| / |T or P|; 1 if both are empty, 0 if one is",
    "truth_ml": "|T| times the voxel volume of the truth, in ml",
    "prediction_ml": "|P| times the voxel volume of the truth, in ml",
    "difference_ml": "prediction_ml - truth_ml",
    "difference_percent": "100 (|P| - |T|) / |T|; undefined (null) if the truth is empty",
}


@dataclass(frozen=True)
class Overlap:
    """Voxel counts of two masks and of their intersection.

    Args:
        truth_voxels: Number of voxels in the truth, |T|.
        prediction_voxels: Number of voxels in the prediction, |P|.
        both_voxels: Number of voxels in the intersection, |T and P|.
    """

    truth_voxels: int
    prediction_voxels: int
    both_voxels: int

    @property
    def both_empty(self) -> bool:
        """Whether neither mask has a voxel: a correct result, for which no overlap is defined."""
        return self.truth_voxels + self.prediction_voxels == 0

    @property
    def dice(self) -> float:
        """Dice coefficient; 1 if both masks are empty (LiTS), 0 if one is."""
        if self.both_empty:
            return 1.0
        return 2 * self.both_voxels / (self.truth_voxels + self.prediction_voxels)

    @property
    def jaccard(self) -> float:
        """Jaccard index (intersection over union); 1 if both masks are empty, 0 if one is."""
        if self.both_empty:
            return 1.0
        return self.both_voxels / (self.truth_voxels + self.prediction_voxels - self.both_voxels)

    @property
    def difference_percent(self) -> float:
        """Signed volume difference in percent of the truth; NaN if the truth is empty."""
        if self.truth_voxels == 0:
            return math.nan
        return 100 * (self.prediction_voxels - self.truth_voxels) / self.truth_voxels


def count_overlap(truth: np.ndarray, prediction: np.ndarray) -> Overlap:
    """Count the voxels of two masks and of their intersection.

    Args:
        truth: bool, any shape.
        prediction: bool, the same shape.

    Raises:
        LiverSegError: If the shapes differ or an array is not bool.

    Example:
        >>> count_overlap(np.array([True, True, False]), np.array([True, False, False])).dice
        0.6666666666666666
    """
    if truth.shape != prediction.shape or (truth.dtype, prediction.dtype) != (bool, bool):
        raise LiverSegError(
            "Expected two boolean masks of one shape. "
            f"Received {truth.dtype} {truth.shape} and {prediction.dtype} {prediction.shape}."
        )
    return Overlap(
        int(np.count_nonzero(truth)),
        int(np.count_nonzero(prediction)),
        int(np.count_nonzero(truth & prediction)),
    )


def score_overlap(overlap: Overlap, voxel_volume_ml: float) -> dict[str, float]:
    """Compute every overlap score of a region.

    Args:
        overlap: Voxel counts of truth and prediction.
        voxel_volume_ml: Voxel volume of the truth in ml.

    Returns:
        Scores by the names in `DEFINITIONS`; undefined scores are NaN.
    """
    return {
        "dice": overlap.dice,
        "jaccard": overlap.jaccard,
        "truth_ml": overlap.truth_voxels * voxel_volume_ml,
        "prediction_ml": overlap.prediction_voxels * voxel_volume_ml,
        "difference_ml": (overlap.prediction_voxels - overlap.truth_voxels) * voxel_volume_ml,
        "difference_percent": overlap.difference_percent,
    }
