"""Mass effect: a lesion displaces vessels beside it, and bulges the surface of the organ."""

import numpy as np
from scipy import ndimage

from liverseg_tf.phantom.lesions.grid import Grid

MAX_PUSH_MM = 6.0
_NOISE_PIXELS = 1.0  # what is finer stays where it is, so that interpolation does not smooth noise
_NOTICEABLE_MM = 0.15


def push_reach_mm(radius_mm: float) -> float:
    """Return the distance from the border of a lesion at which nothing moves any more."""
    return 1.7 * _decay_mm(radius_mm)


def displace(
    image: np.ndarray,
    labels: np.ndarray,
    depth: np.ndarray,
    grid: Grid,
    push_mm: float,
    radius_mm: float,
) -> tuple[np.ndarray, np.ndarray]:
    """Move the tissue around a lesion outwards.

    Args:
        image: (Z, R, C) float32 HU.
        labels: (Z, R, C) uint8.
        depth: (Z, R, C) float32 depth below the surface of the lesion in mm, negative outside.
        grid: Positions of the voxels.
        push_mm: Displacement at the border of the lesion; it decreases with the distance.
        radius_mm: Radius of the lesion.

    Returns:
        The image and the labels. If the slices are not adjacent, they are moved within their
        planes only.
    """
    distance = grid.distance_mm()
    outside = np.maximum(-depth, 0)
    decay = np.float32(_decay_mm(radius_mm))
    # none at the centre of the lesion and at the edge of the box
    share = np.exp(-outside / decay) * np.minimum(distance / np.float32(0.7 * radius_mm), 1)
    share *= np.clip(np.float32(1.7) - outside / decay, 0, 1)
    move = np.float32(min(push_mm, MAX_PUSH_MM)) * share
    moved = np.nonzero(move > _NOTICEABLE_MM)
    if not len(moved[0]):
        return image, labels
    relative = move[moved] / distance[moved]
    steps = (grid.thickness_mm if grid.is_contiguous else np.inf, *grid.pixels_mm)
    places = np.stack(
        [
            at - relative * (axis[at] / step).astype(np.float32)
            for at, axis, step in zip(moved, (grid.z_mm, grid.y_mm, grid.x_mm), steps, strict=True)
        ]
    )
    smooth = ndimage.gaussian_filter(image, (0, _NOISE_PIXELS, _NOISE_PIXELS), truncate=3)
    image, new_labels = image.copy(), labels.copy()
    image[moved] += ndimage.map_coordinates(smooth, places, order=1, mode="nearest") - smooth[moved]
    limits = np.array(labels.shape)[:, None] - 1
    nearest = np.clip(np.rint(places).astype(np.intp), 0, limits)
    new_labels[moved] = labels[tuple(nearest)]
    return image, new_labels


def _decay_mm(radius_mm: float) -> float:
    return min(0.5 * radius_mm + 2, 8.0)
