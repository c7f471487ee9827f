"""Smaller volumes for a page: cut to what matters, then with larger pixels."""

import math
from dataclasses import replace

import numpy as np
from scipy import ndimage

from liverseg_tf.ct.volume import Volume

BODY_HU = -500  # between air and fat
_COARSE = 4  # in-plane step in which the body is looked for
_MARGIN_MM = 10.0

Box = tuple[slice, slice, slice]


def body_box(image: Volume, threshold: float = BODY_HU) -> Box:
    """The box around the patient: the largest connected part above a threshold.

    Args:
        image: canonical, HU or MR units.
        threshold: between the background and the patient.

    Returns:
        Slices along (z, row, col); the whole volume where nothing is above the threshold.
    """
    coarse = image.array[:, ::_COARSE, ::_COARSE] > threshold
    numbered, count = ndimage.label(coarse)
    if count == 0:
        return tuple(slice(0, size) for size in image.array.shape)
    sizes = np.bincount(numbered.ravel())
    (box,) = ndimage.find_objects((numbered == 1 + np.argmax(sizes[1:])).view(np.uint8))
    z, row, col = box
    fine = (z, *(slice(part.start * _COARSE, part.stop * _COARSE) for part in (row, col)))
    return _widened(fine, image, _MARGIN_MM)


def labels_box(masks: list[Volume], margin_mm: float = _MARGIN_MM) -> Box | None:
    """The box around every label of some masks; None where they are empty.

    Args:
        masks: canonical, on one grid.
        margin_mm: left around the labels.
    """
    boxes = [box for mask in masks for box in ndimage.find_objects((mask.array > 0).view(np.uint8))]
    if not boxes:
        return None
    return _widened(_joined(boxes), masks[0], margin_mm)


def joined(*boxes: Box | None) -> Box:
    """The smallest box around some boxes."""
    return _joined([box for box in boxes if box is not None])


def cut(volume: Volume, box: Box) -> Volume:
    """The part of a volume in a box, in the same place of the patient."""
    corner = volume.affine @ (*(part.start for part in box[::-1]), 1)
    affine = volume.affine.copy()
    affine[:3, 3] = corner[:3]
    return replace(volume, array=volume.array[box], affine=affine)


def shrink_image(image: Volume, factor: int) -> Volume:
    """Pixels that are `factor` times as wide and high, each the mean of what it replaces.

    Rows and columns that fill no whole pixel are left out.
    """
    blocks = _blocks(image.array, factor).astype(np.float32, copy=False)
    return Volume(blocks.mean(axis=(2, 4)), _shrunk_affine(image.affine, factor))


def shrink_labels(labels: Volume, factor: int) -> Volume:
    """The same for a label map: a pixel has a label where that fills at least half of it."""
    blocks = _blocks(labels.array, factor)
    shrunk = np.zeros((blocks.shape[0], blocks.shape[1], blocks.shape[3]), np.uint8)
    for label in np.unique(labels.array):
        if label:
            share = (blocks == label).mean(axis=(2, 4), dtype=np.float32)
            shrunk[share >= 0.5] = label
    return Volume(shrunk, _shrunk_affine(labels.affine, factor))


def _blocks(array: np.ndarray, factor: int) -> np.ndarray:
    """(z, rows, factor, cols, factor): a view where the array is contiguous."""
    z, rows, cols = array.shape[0], array.shape[1] // factor, array.shape[2] // factor
    whole = array[:, : rows * factor, : cols * factor]
    return whole.reshape(z, rows, factor, cols, factor)


def _shrunk_affine(affine: np.ndarray, factor: int) -> np.ndarray:
    """Voxel centres move to the centres of the blocks."""
    steps = np.diag([factor, factor, 1.0, 1.0])
    steps[:2, 3] = (factor - 1) / 2
    return affine @ steps


def _joined(boxes: list[Box]) -> Box:
    return tuple(
        slice(min(part.start for part in parts), max(part.stop for part in parts))
        for parts in zip(*boxes, strict=True)
    )


def _widened(box: Box, volume: Volume, margin_mm: float) -> Box:
    wide = []
    for part, spacing, size in zip(box, volume.spacing_mm, volume.array.shape, strict=True):
        margin = math.ceil(margin_mm / spacing)
        wide.append(slice(max(part.start - margin, 0), min(part.stop + margin, size)))
    return tuple(wide)
