"""Placing the pixels of segments on the voxels of an image, without interpolation."""

from pathlib import Path

import numpy as np

from liverseg_tf.ct.volume import GRID_TOLERANCE_VOXELS, Volume
from liverseg_tf.errors import LiverSegError

# headers round positions and spacings
TOLERANCE_VOXELS = 2 * GRID_TOLERANCE_VOXELS
_LPS_TO_RAS = np.array([-1.0, -1.0, 1.0])


def lps_to_voxels(points_mm: np.ndarray, image: Volume) -> np.ndarray:
    """Return the voxel coordinates (i, j, k) of points.

    Args:
        points_mm: (n, 3) float64, (x, y, z) in mm, LPS as in DICOM.
        image: Image.

    Returns:
        (n, 3) float64, coordinates along (col, row, z) of the image's array.
    """
    to_voxel = np.linalg.inv(image.affine)
    return (points_mm * _LPS_TO_RAS) @ to_voxel[:3, :3].T + to_voxel[:3, 3]


def place_pixels(
    mask: np.ndarray,
    pixels: np.ndarray,
    corners: np.ndarray,
    lengths: tuple[int, ...],
    path: Path,
) -> None:
    """Set the voxels of a mask on which the pixels of a segment lie.

    Args:
        mask: (z, row, col) bool, changed in place.
        pixels: (n, axes) int, indices of the pixels of the segment along the axes of its own grid.
        corners: (axes + 1, 3) float64, voxel coordinates (i, j, k) of the first element of that
            grid and of the last element along each axis.
        lengths: Number of elements along each axis.
        path: File of the segment, for error messages.

    Raises:
        LiverSegError: If the grid is not that of the image, or a pixel lies outside of the image.
    """
    counts = np.maximum(np.array(lengths) - 1, 1)
    exact_steps = (corners[1:] - corners[0]) / counts[:, None]
    start, steps = np.rint(corners[0]), np.rint(exact_steps)
    steps[np.array(lengths) == 1] = 0  # the direction of one element does not matter
    counted = np.concatenate([start[None], start + steps * counts[:, None]])
    used = np.concatenate([[True], np.array(lengths) > 1])
    distance = float(np.abs(counted - corners)[used].max())
    alongs = np.abs(steps[np.array(lengths) > 1])
    one_to_one = bool((alongs.sum(axis=1) == 1).all() and (alongs.sum(axis=0) <= 1).all())
    if distance > TOLERANCE_VOXELS or not one_to_one:
        raise LiverSegError(
            f"Expected {path} on the grid of its image. Received pixels that are up to "
            f"{distance:.2g} voxels away from the image's, or of another size (is it the mask of "
            "another image, or on another grid?)."
        )
    places = (start + pixels @ steps).astype(np.int64)[:, ::-1]  # (z, row, col)
    if (places < 0).any() or (places >= mask.shape).any():
        raise LiverSegError(
            f"Expected the segments of {path} inside its image. Received "
            f"{int(((places < 0) | (places >= mask.shape)).any(axis=1).sum())} pixels outside of "
            "it (is it the mask of another image?)."
        )
    mask[tuple(places.T)] = True


def check_every_slice(slices: np.ndarray, what: str, path: Path) -> None:
    """Check that a structure was not drawn on every second slice only.

    Args:
        slices: Indices of the slices on which it was drawn.
        what: Name of the structure.
        path: Its file.

    Raises:
        LiverSegError: If no two neighbouring slices were drawn: at equal distances, or five or
            more slices.
    """
    gaps = np.diff(np.unique(slices))
    if len(gaps) >= 2 and gaps.min() > 1 and (len(gaps) >= 4 or len(set(gaps.tolist())) == 1):
        raise LiverSegError(
            f"Expected {what} of {path} on neighbouring slices of the image. Received one on "
            f"{len(gaps) + 1} slices with empty slices between all of them: interpolate it first, "
            "or use the image on which it was drawn."
        )
