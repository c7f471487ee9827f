"""Reliability of probabilities: how often voxels of each probability belong to a region.

Sources: Guo et al., On Calibration of Modern Neural Networks, ICML 2017; Naeini et al., AAAI 2015.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

LEVELS = 256  # saved probabilities are k / 255
BINS = 10
UNCERTAIN = 0.01
DEFINITION = (
    "Voxels with a probability of 0.01 to 0.99, of all cases, in ten bins of equal width: the "
    "fraction of them that belongs to the region in the ground truth, against their mean "
    "probability. Expected calibration error (ECE): mean of the absolute difference of both over "
    "these voxels (Naeini et al., AAAI 2015)"
)
_SLAB = 16  # slices at a time


@dataclass(frozen=True)
class ReliabilityCurve:
    """The bins that hold voxels, from the lowest probability to the highest.

    Args:
        voxels: Number of voxels of each bin.
        probability: Mean probability of the voxels of each bin.
        frequency: Fraction of these voxels that belongs to the region.
    """

    voxels: tuple[int, ...]
    probability: tuple[float, ...]
    frequency: tuple[float, ...]

    @property
    def calibration_error(self) -> float:
        """Expected calibration error; see `DEFINITION`."""
        pairs = zip(self.voxels, self.probability, self.frequency, strict=True)
        return math.fsum(n * abs(p - f) for n, p, f in pairs) / sum(self.voxels)


def count_probabilities(is_region: np.ndarray, probabilities: np.ndarray) -> np.ndarray:
    """Count voxels by their saved probability and by their ground truth.

    Args:
        is_region: (z, row, col) bool: the region in the ground truth.
        probabilities: (z, row, col) float32, multiples of 1 / 255.

    Returns:
        (2, LEVELS) int64: voxels outside and inside the region.
    """
    counts = np.zeros(2 * LEVELS, np.int64)
    for start in range(0, len(is_region), _SLAB):
        slab = slice(start, start + _SLAB)
        levels = np.rint(np.clip(probabilities[slab], 0, 1) * (LEVELS - 1)).astype(np.int64)
        counts += np.bincount((levels + LEVELS * is_region[slab]).ravel(), minlength=2 * LEVELS)
    return counts.reshape(2, LEVELS)


def compute_reliability(cases: Sequence[np.ndarray]) -> ReliabilityCurve | None:
    """Compute the curve of all cases together.

    Args:
        cases: (2, LEVELS) for each case; see `count_probabilities`.

    Returns:
        None if no voxel is uncertain.
    """
    counts = sum(cases, np.zeros((2, LEVELS), np.int64))
    values = np.arange(LEVELS) / (LEVELS - 1)
    chosen = (values >= UNCERTAIN) & (values <= 1 - UNCERTAIN)
    values, counts = values[chosen], counts[:, chosen]
    both = counts.sum(axis=0)
    bins = (values * BINS).astype(int)
    voxels, weighted, inside = (
        np.bincount(bins, weights, BINS) for weights in (both, both * values, counts[1])
    )
    known = voxels > 0
    if not known.any():
        return None
    voxels, weighted, inside = voxels[known], weighted[known], inside[known]
    return ReliabilityCurve(
        tuple(map(int, voxels)),
        tuple((weighted / voxels).tolist()),
        tuple((inside / voxels).tolist()),
    )
