"""Drawing a structure that looks like a lesion into a box of an image."""

import numpy as np
from scipy import special

from liverseg_tf.phantom.lesions.grid import Grid
from liverseg_tf.phantom.lesions.paint import coarse_structure, surface_share
from liverseg_tf.phantom.lookalikes.lookalike import Lookalike

DOME_MM = (8.0, 22.0)  # how far below its top an organ may be blurred
_DOME_SHARE = (0.12, 0.5)  # of what lies above it
_ABOVE_MM = 4.0  # what lies so far above is mixed in


def paint_lookalike(
    image: np.ndarray,
    labels: np.ndarray,
    lookalike: Lookalike,
    grid: Grid,
    organ: tuple[int, ...],
    level_hu: float,
) -> tuple[np.ndarray, np.ndarray]:
    """Draw a structure into a box. What is finer than a vessel stays, so that noise continues.

    Args:
        image: (Z, R, C) float32 HU.
        labels: (Z, R, C) uint8 of the same voxels.
        lookalike: The structure.
        grid: Positions of the voxels relative to its centre.
        organ: Labels of the organ without its lesions, which stay as they are.
        level_hu: Intensity of the organ in the whole patient.

    Returns:
        The image with the structure, and the voxels of which it covers at least a half, bool.
    """
    form = lookalike.form
    depth = form.depth(grid.z_mm, grid.y_mm, grid.x_mm)
    inside = np.isin(labels, organ)
    # the variance of an even distribution over a side s is s^2 / 12
    thick = grid.thickness_mm**2 - grid.pixel_mm**2
    variance = lookalike.edge_mm**2 + (grid.pixel_mm**2 + form.normal_z_square * thick) / 12
    share = special.ndtr(depth * np.float32(variance**-0.5))
    share *= surface_share(inside)
    mask = (share >= 0.5) & inside
    if share.max() < 0.01:
        return image, mask
    change = np.float32(lookalike.contrast_hu) * share
    if not lookalike.keeps_vessels:
        change -= coarse_structure(image, inside, grid, level_hu) * share
    return image + change, mask


def draw_dome(rng: np.random.Generator) -> tuple[float, float]:
    """Draw how far the top of an organ is blurred in mm, and the share of what lies above it."""
    return rng.uniform(*DOME_MM), rng.uniform(*_DOME_SHARE)


def dome_shares(
    dome: tuple[float, float], below_top: np.ndarray, slice_mm: float
) -> tuple[np.ndarray, int]:
    """Return how much of the slices above is mixed into each slice.

    Args:
        dome: As `draw_dome` returned it.
        below_top: Number of each slice below the topmost one of the organ.
        slice_mm: Distance between slices.

    Returns:
        The share of each slice, and how many slices above it those lie that are mixed in.
    """
    depth_mm, share = dome
    shares = share * np.clip(1 - below_top * slice_mm / depth_mm, 0, 1) * (below_top >= 0)
    return shares, max(1, round(_ABOVE_MM / slice_mm))


def blur_slice(
    image: np.ndarray, above: np.ndarray, inside: np.ndarray, share: float
) -> np.ndarray:
    """Mix a slice of the organ with what lies above it: partial volume at the dome.

    Args:
        image: (R, C) float32 HU of the slice.
        above: (R, C) float32 HU of the slice above it.
        inside: (R, C) bool, the organ without its lesions.
        share: Share of the slice above.
    """
    return image + np.float32(share) * surface_share(inside[None])[0] * (above - image)
