"""Surface distances of two masks in mm: the one costly function; every score is a view of them."""

from dataclasses import dataclass

import numpy as np
from scipy.ndimage import distance_transform_edt
from scipy.spatial import KDTree

from liverseg_tf.ct.bounding_box import bounding_box
from liverseg_tf.errors import LiverSegError, SettingsError
from liverseg_tf.evaluate.metrics.surfels import find_surfels

SURFACES = {
    "faces": (
        "voxels with a background voxel across a face (mask XOR its erosion with the "
        "6-neighbourhood: MedPy's default, MONAI); each counts 1"
    ),
    "edges": (
        "voxels with a background voxel across a face or an edge (mask XOR its erosion with the "
        "18-neighbourhood: the LiTS scorer); each counts 1"
    ),
    "surfels": (
        "corners of voxels, at which eight voxels meet that are not all alike; each counts the "
        "area in mm² of the marching-cubes surface there (google-deepmind/surface-distance, MSD)"
    ),
}

_NEAR_MM = 20.0
_VISITS_PER_VOXEL = 300  # points that a tree visits in the time of a transform of one voxel


@dataclass(frozen=True, eq=False)
class SurfaceDistances:
    """From every point of one surface to the nearest point of the other.

    Args:
        from_truth_mm: (n,) float64, from the truth's points to the prediction's surface;
            infinite where the prediction is empty.
        from_prediction_mm: (m,) float64, the same from the prediction's points.
        truth_sizes: (n,) float64, what each point counts: 1, or its area in mm².
        prediction_sizes: (m,) float64, the same of the prediction's points.
    """

    from_truth_mm: np.ndarray
    from_prediction_mm: np.ndarray
    truth_sizes: np.ndarray
    prediction_sizes: np.ndarray

    @property
    def both_empty(self) -> bool:
        """Whether neither mask has a surface."""
        return not (self.from_truth_mm.size or self.from_prediction_mm.size)

    @property
    def one_empty(self) -> bool:
        """Whether at least one mask has no surface, so that no distance is finite."""
        return not (self.from_truth_mm.size and self.from_prediction_mm.size)


def measure_surfaces(
    truth: np.ndarray,
    prediction: np.ndarray,
    spacing_mm: tuple[float, float, float],
    surface: str = "faces",
) -> SurfaceDistances:
    """Distances between the surfaces of two masks.

    What lies outside the array is background, so a mask that touches the volume's border has
    a surface there. Surface points alone are searched (a k-d tree; see `_search`); distances
    come from whole index differences in float64, as those of a distance transform.

    Args:
        truth: (z, row, col) bool.
        prediction: bool, the same shape.
        spacing_mm: along (z, row, col).
        surface: one of `SURFACES`.

    Returns:
        Distances without points on the side of an empty mask, infinite on the other side.

    Raises:
        LiverSegError: when the arrays are no masks of one shape.
        SettingsError: when there is no such surface.

    Example:
        >>> mask = np.zeros((1, 1, 4), bool)
        >>> mask[..., 0] = True
        >>> measure_surfaces(mask, mask[..., ::-1], (5.0, 1.0, 0.5)).from_truth_mm
        array([1.5])
    """
    if surface not in SURFACES:
        raise SettingsError(f"Expected a surface of {', '.join(SURFACES)}. Received {surface!r}.")
    _check_masks(truth, prediction)
    box = bounding_box(truth, prediction)
    found = [_points(_with_margin(mask[box]), surface, spacing_mm) for mask in (truth, prediction)]
    (truth_points, truth_sizes), (prediction_points, prediction_sizes) = found
    return SurfaceDistances(
        *_nearest(truth_points, prediction_points, np.asarray(spacing_mm, np.float64)),
        truth_sizes,
        prediction_sizes,
    )


def erode(mask: np.ndarray, surface: str) -> np.ndarray:
    """The voxels whose neighbours are all of the mask.

    Args:
        mask: (z, row, col) bool with a margin of background.
        surface: 'faces' for 6 neighbours, 'edges' for 18.

    Returns:
        bool, without the margin.
    """
    reach = 1 if surface == "faces" else 2
    inner = mask[1:-1, 1:-1, 1:-1].copy()
    for offset in np.ndindex(3, 3, 3):
        if 0 < sum(step != 1 for step in offset) <= reach:
            window = zip(offset, inner.shape, strict=True)
            inner &= mask[tuple(slice(step, step + size) for step, size in window)]
    return inner


def _points(
    mask: np.ndarray, surface: str, spacing_mm: tuple[float, float, float]
) -> tuple[np.ndarray, np.ndarray]:
    """Indices (n, 3) of the surface's points in a mask with margin, and what each counts."""
    if surface == "surfels":
        return find_surfels(mask, spacing_mm)
    inner = mask[1:-1, 1:-1, 1:-1]
    points = np.argwhere(inner & ~erode(mask, surface))
    return points, np.ones(len(points))


def _nearest(
    truth: np.ndarray, prediction: np.ndarray, spacing_mm: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """From each point to the nearest one of the other set, both ways, in mm."""
    if not (len(truth) and len(prediction)):
        return np.full(len(truth), np.inf), np.full(len(prediction), np.inf)
    # only what is not in both sets has to be searched for
    extent = np.maximum(truth.max(axis=0), prediction.max(axis=0)) + 1
    keys = [np.ravel_multi_index(points.T, extent) for points in (truth, prediction)]
    both = []
    for points, others, own, other in (
        (truth, prediction, *keys),
        (prediction, truth, *reversed(keys)),
    ):
        away = ~np.isin(own, other, assume_unique=True)
        distances = np.zeros(len(points))
        if away.any():
            distances[away] = _search(points[away], others, spacing_mm)
        both.append(distances)
    return both[0], both[1]


def _search(points: np.ndarray, others: np.ndarray, spacing_mm: np.ndarray) -> np.ndarray:
    """From each point to the nearest of the others, in mm.

    A tree finds what is near in no time. Far from a large surface it may visit all of it for
    each point; where that could cost more than a distance transform, the latter is taken.
    """
    tree = KDTree(others * spacing_mm, leafsize=32, balanced_tree=False)
    _, nearest = tree.query(points * spacing_mm, distance_upper_bound=_NEAR_MM)
    far = nearest == len(others)
    shape = np.maximum(points.max(axis=0), others.max(axis=0)) + 1
    transform = int(far.sum()) * len(others) > _VISITS_PER_VOXEL * int(shape.prod())
    if far.any() and not transform:
        _, nearest[far] = tree.query(points[far] * spacing_mm)
    nearest[nearest == len(others)] = 0  # the transform replaces these
    steps = (points - others[nearest]) * spacing_mm
    distances = np.sqrt((steps**2).sum(axis=1))
    if transform:
        elsewhere = np.ones(shape, bool)
        elsewhere[tuple(others.T)] = False
        everywhere = distance_transform_edt(elsewhere, sampling=spacing_mm)
        distances[far] = everywhere[tuple(points[far].T)]
    return distances


def _with_margin(mask: np.ndarray) -> np.ndarray:
    return np.pad(mask, 1)


def _check_masks(truth: np.ndarray, prediction: np.ndarray) -> None:
    for mask in (truth, prediction):
        if mask.dtype != bool or mask.ndim != 3 or mask.shape != truth.shape:
            raise LiverSegError(
                "Expected two boolean masks (z, row, col) of one shape. Received "
                f"{truth.dtype} {truth.shape} and {prediction.dtype} {prediction.shape}."
            )
