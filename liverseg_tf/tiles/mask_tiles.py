"""The tiles of a mask, and what they contain."""

from dataclasses import dataclass

import numpy as np

from liverseg_tf.ct.annotation import Annotation
from liverseg_tf.ct.bounding_box import bounding_box
from liverseg_tf.ct.orientation import contiguous, to_canonical
from liverseg_tf.ct.volume import Volume
from liverseg_tf.tiles.transform import TileTransform


@dataclass(frozen=True, eq=False)
class MaskTiles:
    """The tiles of a mask.

    Args:
        tiles: (z, h, w) uint8 label map.
        labels: Number of native voxels of each label.
        labelled_outside: Fraction of the labelled voxels outside the tiles.
        slices_with: Indices of the tiles that contain each label.
    """

    tiles: np.ndarray
    labels: dict[str, int]
    labelled_outside: float
    slices_with: dict[str, list[int]]


def cut_mask(mask: Volume, transform: TileTransform, annotation: Annotation) -> MaskTiles:
    """Cut the tiles of a mask.

    Args:
        mask: uint8 labels, in the axis order of the file.
        transform: Transform from the slices of the image to its tiles.
        annotation: What the mask labels. The tiles of slices of which nothing is known have the
            ignored label everywhere, also outside the slices.

    Raises:
        LiverSegError: If the list of labelled slices is not that of the mask.
    """
    labels = contiguous(to_canonical(annotation.mark_unlabelled_slices(mask)).array)
    tiles = transform.mask_to_tiles(labels)
    unknown_voxels = 0
    if annotation.ignored is not None:
        is_unknown = labels == annotation.ignored
        unknown_voxels = int(np.count_nonzero(is_unknown))
        tiles[is_unknown.all(axis=(1, 2))] = annotation.ignored
        labels = np.where(is_unknown, np.uint8(0), labels)
    counts = np.bincount(labels[bounding_box(labels)].reshape(-1), minlength=256)
    counts[annotation.ignored or 0] += unknown_voxels
    return MaskTiles(
        tiles,
        {str(label): int(counts[label]) for label in np.flatnonzero(counts[1:]) + 1},
        round(transform.fraction_outside(labels), 4),
        _slices_by_label(tiles),
    )


def _slices_by_label(mask: np.ndarray) -> dict[str, list[int]]:
    """Indices of the slices (z, h, w) that contain each label."""
    slices: dict[str, list[int]] = {}
    for z in np.flatnonzero(mask.any(axis=(1, 2))):
        for label in np.flatnonzero(np.bincount(mask[z].reshape(-1))[1:]) + 1:
            slices.setdefault(str(label), []).append(int(z))
    return slices
