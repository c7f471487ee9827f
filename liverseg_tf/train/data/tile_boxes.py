"""Boxes of tiles into which structures are drawn, in the HU of a window."""

from collections.abc import Callable

import numpy as np

from liverseg_tf.ct.intensity import Window, to_uint8
from liverseg_tf.phantom.lesions.grid import Grid


def paint_tiles(
    image: np.ndarray,
    labels: np.ndarray,
    box: tuple[slice, slice],
    windows: tuple[Window, ...],
    paint: Callable[[np.ndarray, np.ndarray, Window], tuple[np.ndarray, np.ndarray, np.ndarray]],
) -> tuple[np.ndarray, np.ndarray] | None:
    """Draw a structure into each window of a tile with its context.

    Args:
        image: (h, w, channels) uint8, which is changed; the windows of a slice follow each other.
        labels: (slices, h, w) uint8.
        box: Rows and columns in which it is drawn.
        windows: Windows of the tiles.
        paint: Function of HU (slices, R, C), labels of the box and window to the new HU, the new
            labels of the box, and the mask of the structure.

    Returns:
        The new labels of the box and the mask, (slices, R, C) both; None if no voxel shows it, and
        the tile stays as it is.
    """
    tissue = labels[:, box[0], box[1]]
    new_labels, mask = tissue, np.zeros(tissue.shape, bool)
    for number, window in enumerate(windows):
        part = image[box[0], box[1], number :: len(windows)]
        values, new_labels, mask = paint(to_hu(np.moveaxis(part, 2, 0), window), tissue, window)
        if not mask.any():
            return None
        part[...] = np.moveaxis(to_uint8(values, window), 0, 2)
    return new_labels, mask


def box_around(
    centre_mm: np.ndarray,
    reach_mm: float,
    shape: tuple[int, int],
    z_mm: np.ndarray,
    spacing_mm: tuple[float, float, float],
) -> tuple[tuple[slice, slice], Grid]:
    """Return the rows and columns around a structure, and the positions of their pixels.

    Args:
        centre_mm: Its centre (z, row, column) from the first voxel.
        reach_mm: Distance beyond which the tile stays as it is.
        shape: (h, w) of the tile.
        z_mm: Distance of each slice from the first voxel.
        spacing_mm: (z, row, column) of the voxels.
    """
    box, axes = [], []
    for size, mm, at in zip(shape, spacing_mm[1:], centre_mm[1:], strict=True):
        start = max(0, int((at - reach_mm) / mm))
        stop = min(size, int((at + reach_mm) / mm) + 2)
        box.append(slice(start, stop))
        axes.append(np.arange(start, stop) * mm - at)
    _, row_mm, col_mm = spacing_mm
    grid = Grid(z_mm - centre_mm[0], axes[0], axes[1], spacing_mm[0], (row_mm, col_mm))
    return (box[0], box[1]), grid


def to_hu(tiles: np.ndarray, window: Window) -> np.ndarray:
    """Return the HU of uint8 tiles as float32, C-contiguous."""
    values = np.multiply(tiles, np.float32(window.width_hu / 255), dtype=np.float32, order="C")
    values += np.float32(window.lower_hu)
    return values


def clip_level(level_hu: float, window: Window) -> float:
    """Return the intensity of an organ as a window shows it."""
    return float(np.clip(level_hu, window.lower_hu, window.upper_hu))
