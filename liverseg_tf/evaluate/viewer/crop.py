"""Smaller volumes for a page: cropped to the relevant part, then downsampled."""

import math
from dataclasses import replace

import numpy as np

from liverseg_tf.ct.bounding_box import Box, bounding_box
from liverseg_tf.ct.components import label_components
from liverseg_tf.ct.intensity import BODY_HU
from liverseg_tf.ct.volume import Volume

_COARSE = 4  # in-plane step with which the body is searched
_MARGIN_MM = 10.0


def body_box(image: Volume, threshold: float = BODY_HU) -> Box:
    """Find the bounding box of the patient: the largest connected part above a threshold.

    Args:
        image: Image in canonical order, HU or MR units.
        threshold: Value between the background and the patient.

    Returns:
        Slices along (z, row, col) with a margin; the whole volume if no voxel is above the
        threshold.
    """
    coarse = image.array[:, ::_COARSE, ::_COARSE] > threshold
    body = next(label_components(coarse, connectivity=6).largest_first(1), None)
    if body is None:
        return tuple(slice(0, size) for size in image.array.shape)
    (z, row, col), _ = body
    box = (z, *(slice(part.start * _COARSE, part.stop * _COARSE) for part in (row, col)))
    return _with_margin(box, image, _MARGIN_MM)


def labels_box(masks: list[Volume], margin_mm: float = _MARGIN_MM) -> Box | None:
    """Find the bounding box of all labels in some masks; None if the masks are empty.

    Args:
        masks: Label maps in canonical order, on one grid.
        margin_mm: Margin around the labels.
    """
    box = bounding_box(*(mask.array for mask in masks))
    if box[0].start == box[0].stop:
        return None
    return _with_margin(box, masks[0], margin_mm)


def crop(volume: Volume, box: Box) -> Volume:
    """Crop a volume to a box; its voxels keep their position in the patient."""
    corner = volume.affine @ (*(part.start for part in box[::-1]), 1)
    affine = volume.affine.copy()
    affine[:3, 3] = corner[:3]
    return replace(volume, array=volume.array[box], affine=affine)


def downsample_image(image: Volume, factor: int) -> Volume:
    """Downsample an image: blocks of `factor` x `factor` pixels in each slice are averaged.

    Rows and columns at the end that do not fill a block are dropped.
    """
    blocks = _blocks(image.array, factor).astype(np.float32, copy=False)
    return Volume(blocks.mean(axis=(2, 4)), _downsample_affine(image.affine, factor))


def downsample_labels(labels: Volume, factor: int) -> Volume:
    """Downsample a label map: a block gets the label that fills at least half of it."""
    blocks = _blocks(labels.array, factor)
    downsampled = np.zeros((blocks.shape[0], blocks.shape[1], blocks.shape[3]), np.uint8)
    for label in np.unique(labels.array):
        if label:
            fraction = (blocks == label).mean(axis=(2, 4), dtype=np.float32)
            downsampled[fraction >= 0.5] = label
    return Volume(downsampled, _downsample_affine(labels.affine, factor))


def _blocks(array: np.ndarray, factor: int) -> np.ndarray:
    """(z, rows, factor, cols, factor): a view if the array is contiguous."""
    z, rows, cols = array.shape[0], array.shape[1] // factor, array.shape[2] // factor
    cropped = array[:, : rows * factor, : cols * factor]
    return cropped.reshape(z, rows, factor, cols, factor)


def _downsample_affine(affine: np.ndarray, factor: int) -> np.ndarray:
    """Affine of the downsampled grid, whose voxel centres are the centres of the blocks."""
    steps = np.diag([factor, factor, 1.0, 1.0])
    steps[:2, 3] = (factor - 1) / 2
    return affine @ steps


def _with_margin(box: Box, volume: Volume, margin_mm: float) -> Box:
    parts = []
    for part, spacing, size in zip(box, volume.spacing_mm, volume.array.shape, strict=True):
        margin = math.ceil(margin_mm / spacing)
        parts.append(slice(max(part.start - margin, 0), min(part.stop + margin, size)))
    return tuple(parts)
