"""Connected components of masks."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from scipy import ndimage

from liverseg_tf.ct.bounding_box import Box, bounding_box

_STRUCTURES = {
    6: ndimage.generate_binary_structure(3, 1),  # voxels that share a face
    26: ndimage.generate_binary_structure(3, 3),  # voxels that share a face, an edge or a corner
}


@dataclass(frozen=True, eq=False)
class Components:
    """The connected components of a mask, numbered from 1.

    Args:
        labels: (z, row, col) unsigned or signed integers, the mask's part in `box`: the number
            of each voxel's component, 0 in the background.
        count: Number of components.
        box: Where `labels` lies in the mask.
    """

    labels: np.ndarray
    count: int
    box: Box

    @cached_property
    def sizes(self) -> np.ndarray:
        """(count + 1,) int64: number of voxels of each component; 0 for the background."""
        sizes = np.zeros(self.count + 1, np.int64)
        for plane in self.labels:
            sizes += np.bincount(plane.ravel(), minlength=self.count + 1)
        sizes[0] = 0
        return sizes

    @cached_property
    def boxes(self) -> list[Box]:
        """Bounding box of each component within `labels`; the first is that of component 1."""
        return ndimage.find_objects(self.labels, self.count) if self.count else []

    def means(self, values: np.ndarray) -> np.ndarray:
        """Average an image over each component.

        Args:
            values: (z, row, col), the shape of the mask, any real dtype.

        Returns:
            (count + 1,) float64; 0 for the background.
        """
        sums = np.zeros(self.count + 1)
        for plane, weights in zip(self.labels, values[self.box], strict=True):
            sums += np.bincount(plane.ravel(), weights.ravel(), minlength=self.count + 1)
        sums[0] = 0
        return sums / np.maximum(self.sizes, 1)

    def maxima(self, values: np.ndarray) -> np.ndarray:
        """Find the largest value of an image in each component.

        Args:
            values: (z, row, col), the shape of the mask, any real dtype.

        Returns:
            (count + 1,) float64; 0 for the background.
        """
        peaks = np.full(self.count + 1, -np.inf)
        for plane, part in zip(self.labels, values[self.box], strict=True):
            inside = plane > 0
            np.maximum.at(peaks, plane[inside], part[inside])
        peaks[0] = 0
        return peaks

    def largest(self) -> np.ndarray:
        """(count + 1,) bool: the largest component; of equal ones, the first in array order."""
        return np.arange(self.count + 1) == self.sizes.argmax()

    def largest_first(self, limit: int | None = None) -> Iterator[tuple[Box, np.ndarray]]:
        """Iterate over the components in decreasing order of size.

        Components of equal size come in array order.

        Args:
            limit: Largest number of components; None for all of them.

        Yields:
            The bounding box of a component in the mask, and a bool array of the component in
            that box.
        """
        for number in np.argsort(-self.sizes[1:], kind="stable")[:limit] + 1:
            box = self.boxes[number - 1]
            in_mask = tuple(
                slice(outer.start + inner.start, outer.start + inner.stop)
                for outer, inner in zip(self.box, box, strict=True)
            )
            yield in_mask, self.labels[box] == number


def label_components(
    mask: np.ndarray, connectivity: int = 26, box: Box | None = None
) -> Components:
    """Label the connected components of a mask.

    Args:
        mask: (z, row, col) bool.
        connectivity: Number of neighbours of a voxel: 6 (faces) or 26 (faces, edges, corners).
        box: Part of the mask that is labelled; None for the bounding box of the mask.

    Example:
        >>> diagonal = np.eye(2, dtype=bool)[None]
        >>> label_components(diagonal).count, label_components(diagonal, connectivity=6).count
        (1, 2)
    """
    box = bounding_box(mask) if box is None else box
    labels, count = label(mask[box], _STRUCTURES[connectivity])
    return Components(labels, count, box)


def filter_components(
    mask: np.ndarray, keep: Callable[[Components], np.ndarray], connectivity: int = 26
) -> np.ndarray:
    """Keep those connected components of a mask that satisfy a condition.

    Args:
        mask: (z, row, col) bool; it is not changed.
        keep: Function from components to (count + 1,) bool. Entry 0, the background, is
            ignored.
        connectivity: As in `label_components`.

    Returns:
        (z, row, col) bool.
    """
    components = label_components(mask, connectivity)
    if not components.count:
        return mask
    kept = np.array(keep(components), bool)
    kept[0] = False
    out = np.zeros_like(mask)
    out[components.box] = kept[components.labels]
    return out


def label(mask: np.ndarray, structure: np.ndarray) -> tuple[np.ndarray, int]:
    """Label a mask as `scipy.ndimage.label` does, with two bytes per voxel where they suffice.

    Args:
        mask: bool.
        structure: bool, the neighbourhood of a voxel, as in `scipy.ndimage.label`.

    Returns:
        The labels (uint16, or int32 for more than 65535 components) and their number.
    """
    try:
        labels = np.empty(mask.shape, np.uint16)
        return labels, ndimage.label(mask, structure, output=labels)
    except RuntimeError:  # more components than uint16 can number
        return ndimage.label(mask, structure)
