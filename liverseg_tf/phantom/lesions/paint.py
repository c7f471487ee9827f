"""Drawing a lesion into a box of an image."""

from dataclasses import dataclass

import numpy as np
from scipy import ndimage, special

from liverseg_tf.phantom.lesions.grid import Grid
from liverseg_tf.phantom.lesions.lesion import Lesion
from liverseg_tf.phantom.lesions.mass_effect import displace, push_reach_mm

_STRUCTURE_MM = 2.5  # vessels are smoother than this, noise is not
_SURFACE_PIXELS = 0.6  # blur of the organ's surface
_LEVEL_RANGE_HU = 12.0  # how much the organ may differ from its median around a lesion


@dataclass(frozen=True, eq=False)
class PaintedLesion:
    """The part of a lesion in a box.

    Args:
        image: (Z, R, C) float32 HU of the box with the lesion.
        labels: (Z, R, C) uint8 of the box; tissue that the lesion pushes takes its label along.
        mask: (Z, R, C) bool, the voxels of which the lesion covers at least a half.
    """

    image: np.ndarray
    labels: np.ndarray
    mask: np.ndarray


def box_reach_mm(lesion: Lesion) -> float:
    """Return the distance from the centre of a lesion beyond which an image stays as it is."""
    pushed = push_reach_mm(lesion.shape.radius_mm) if lesion.look.push else 0.0
    return lesion.shape.reach_mm + max(pushed, 2 * lesion.look.edge_mm)


def paint_lesion(
    image: np.ndarray,
    labels: np.ndarray,
    lesion: Lesion,
    grid: Grid,
    organ: tuple[int, ...],
    level_hu: float,
) -> PaintedLesion:
    """Draw a lesion into a box.

    The tissue below keeps its noise: what is finer than a vessel stays, and what is coarser gives
    way to the lesion. At the border, each voxel has the share of the lesion that it would have
    in a slice of this thickness: the border is blurred along its normal by the standard deviation
    of a voxel's extent in this direction.

    Args:
        image: (Z, R, C) float32 HU.
        labels: (Z, R, C) uint8 of the same voxels.
        lesion: The lesion.
        grid: Positions of the voxels.
        organ: Labels of the organ, and of lesions in it.
        level_hu: Intensity of the organ in the whole patient.
    """
    shape, look = lesion.shape, lesion.look
    depth = shape.depth(grid.z_mm, grid.y_mm, grid.x_mm)
    if look.push > 0:
        push_mm = look.push * shape.radius_mm
        image, labels = displace(image, labels, depth, grid, push_mm, shape.radius_mm)
    inside = np.isin(labels, organ)
    share = _share_of_lesion(depth, look.edge_mm, grid)
    soft = _soften(inside)
    share *= soft * np.minimum(2 * soft, 1)  # tissue beyond the surface stays as it is
    mask = (share >= 0.5) & inside
    if share.max() < 0.01:
        return PaintedLesion(image, labels, mask)
    axes = (grid.z_mm, grid.y_mm, grid.x_mm)
    change = _contrast(lesion, depth, axes)
    change += lesion.coarse.at(*axes)[0] * np.float32(look.coarse_hu)
    change += lesion.fine.at(*axes)[0] * np.float32(look.fine_hu)
    change -= coarse_structure(image, inside, grid, level_hu)
    change *= share
    if len(lesion.calcium):
        change += _calcium(lesion, grid) * soft
    return PaintedLesion(image + change, labels, mask)


def _share_of_lesion(depth: np.ndarray, edge_mm: float, grid: Grid) -> np.ndarray:
    """Fraction of each voxel that belongs to the lesion, (Z, R, C) float32."""
    along_z = np.asarray(grid.z_mm, np.float32)[:, None, None] / grid.distance_mm()
    square = along_z * along_z
    # the variance of an even distribution over a side s is s^2 / 12
    variance = np.float32(edge_mm**2 + grid.pixel_mm**2 / 12) + square * np.float32(
        (grid.thickness_mm**2 - grid.pixel_mm**2) / 12
    )
    return special.ndtr(depth / np.sqrt(variance))


def _contrast(lesion: Lesion, depth: np.ndarray, axes: tuple) -> np.ndarray:
    """Contrast of body, rim and centre at each depth."""
    look = lesion.look
    contrast = np.full(depth.shape, look.contrast_hu, np.float32)
    if look.rim_mm > 0:
        away = np.maximum(depth - np.float32(look.rim_mm / 2), 0) / np.float32(0.6 * look.rim_mm)
        contrast += np.float32(look.rim_hu - look.contrast_hu) * np.exp(-away * away)
    if np.isfinite(look.core_mm):
        uneven = lesion.uneven.at(*axes)[0] * np.float32(0.12 * lesion.shape.radius_mm)
        share = special.expit((depth - np.float32(look.core_mm) + uneven) * np.float32(1.2))
        contrast += share * (np.float32(look.core_hu) - contrast)
    return contrast


def _calcium(lesion: Lesion, grid: Grid) -> np.ndarray:
    """Calcifications, blurred as by the scanner."""
    axes = [np.asarray(axis, np.float32) for axis in (grid.z_mm, grid.y_mm, grid.x_mm)]
    change = np.zeros(tuple(map(len, axes)), np.float32)
    for *place, radius, hu in lesion.calcium.astype(np.float32):
        z, y, x = ((axis - at) ** 2 for axis, at in zip(axes, place, strict=True))
        within = radius**2 + np.float32(0.5 * grid.pixel_mm**2)
        along = radius**2 + np.float32(0.25 * grid.thickness_mm**2)
        spot = np.exp(-(z / along)[:, None, None] - (y[:, None] + x) / within)
        np.maximum(change, hu * np.sqrt(radius**2 / along) * spot, out=change)
    return change


def surface_share(inside: np.ndarray) -> np.ndarray:
    """Share of each voxel that may change: 0 beyond the surface of the organ, soft at it."""
    soft = _soften(inside)
    return soft * np.minimum(2 * soft, 1)


def _soften(inside: np.ndarray) -> np.ndarray:
    return ndimage.gaussian_filter(inside.astype(np.float32), (0, *[_SURFACE_PIXELS] * 2))


def coarse_structure(
    image: np.ndarray, inside: np.ndarray, grid: Grid, level_hu: float
) -> np.ndarray:
    """Vessels and other coarse structures of the organ, relative to its intensity.

    Args:
        image: (Z, R, C) float32 HU.
        inside: (Z, R, C) bool, the organ.
        grid: Positions of the voxels.
        level_hu: Intensity of the organ in the whole patient.
    """
    sigma = (0, *[_STRUCTURE_MM / grid.pixel_mm] * 2)
    weights = inside.astype(np.float32)
    total = ndimage.gaussian_filter(image * weights, sigma, truncate=2)
    weight = ndimage.gaussian_filter(weights, sigma, truncate=2)
    smooth = total / np.maximum(weight, np.float32(1e-3))
    return np.where(weight > 0.05, smooth - _local_level(image[inside], level_hu), 0)


def _local_level(values: np.ndarray, level_hu: float) -> np.float32:
    """Intensity of the organ in a box: that of the whole patient, within limits."""
    if values.size < 20:
        return np.float32(level_hu)
    low, high = level_hu - _LEVEL_RANGE_HU, level_hu + _LEVEL_RANGE_HU
    return np.float32(np.clip(np.median(values), low, high))
