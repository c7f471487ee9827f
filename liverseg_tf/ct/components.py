"""Connected components and holes of masks, (z, row, col) bool."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from scipy import ndimage

_ALL_NEIGHBOURS = np.ones((3, 3, 3), bool)
_FACES = ndimage.generate_binary_structure(3, 1)
_FACES_IN_SLICE = _FACES & np.array([False, True, False])[:, None, None]
_SLAB = 16


def bounding_box(array: np.ndarray) -> tuple[slice, slice, slice]:
    """The box around what is not 0; an empty one where nothing is."""
    seen = [np.zeros(length, bool) for length in array.shape]
    for start in range(0, len(array), _SLAB):
        slab = array[start : start + _SLAB] != 0
        seen[0][start : start + _SLAB] = slab.any(axis=(1, 2))
        plane = slab.any(axis=0)
        seen[1] |= plane.any(axis=1)
        seen[2] |= plane.any(axis=0)
    ends = [np.flatnonzero(axis) for axis in seen]
    return tuple(slice(int(at[0]), int(at[-1]) + 1) if len(at) else slice(0, 0) for at in ends)


@dataclass(frozen=True, eq=False)
class Components:
    """The components of a mask.

    Args:
        numbers: (z, row, col) of the box, 0 is background.
        count: of the components.
        box: where the numbers lie in the mask.
    """

    numbers: np.ndarray
    count: int
    box: tuple[slice, slice, slice]

    def sizes(self) -> np.ndarray:
        """(count + 1,) voxels of each component; the background's is 0."""
        found = np.zeros(self.count + 1, np.int64)
        for plane in self.numbers:
            found += np.bincount(plane.ravel(), minlength=self.count + 1)
        found[0] = 0
        return found

    def means(self, values: np.ndarray) -> np.ndarray:
        """(count + 1,) mean of values, (z, row, col) of the mask's shape; the background's is 0."""
        total = np.zeros(self.count + 1)
        for plane, weights in zip(self.numbers, values[self.box], strict=True):
            total += np.bincount(plane.ravel(), weights.ravel(), minlength=self.count + 1)
        total[0] = 0
        return total / np.maximum(self.sizes(), 1)

    def largest(self) -> np.ndarray:
        """(count + 1,) bool: the largest, of equally large ones the first in array order."""
        return np.arange(self.count + 1) == self.sizes().argmax()


def kept(mask: np.ndarray, keep: Callable[[Components], np.ndarray]) -> np.ndarray:
    """The components (26 neighbours) that a rule keeps.

    Args:
        mask: (z, row, col) bool.
        keep: components to (count + 1,) bool, of which the first (the background) is not
            looked at.
    """
    box = bounding_box(mask)
    inside = mask[box]
    if not inside.size:
        return mask
    numbers, count = _label(inside, _ALL_NEIGHBOURS)
    chosen = np.array(keep(Components(numbers, count, box)), bool)
    chosen[0] = False
    out = np.zeros_like(mask)
    out[box] = chosen[numbers]
    return out


def majority_of_three(mask: np.ndarray) -> np.ndarray:
    """Voxels that two of three slices have; the first and last slice stay as they are."""
    out = mask.copy()
    below, middle, above = mask[:-2], mask[1:-1], mask[2:]
    out[1:-1] = (below & middle) | (middle & above) | (below & above)
    return out


def fill_holes_2d(mask: np.ndarray) -> np.ndarray:
    """The mask with its holes filled that are closed within their slice (4 neighbours)."""
    return _filled(mask, _FACES_IN_SLICE, (0, 1, 1))


def fill_holes_3d(mask: np.ndarray) -> np.ndarray:
    """The mask with its holes filled that are closed to all sides (6 neighbours).

    The volume's ends close nothing: what reaches the first or last slice is no hole.
    """
    return _filled(mask, _FACES, (1, 1, 1))


def within_mm(
    inner: np.ndarray, outer: np.ndarray, spacing_mm: tuple[float, float, float], mm: float
) -> np.ndarray:
    """The voxels of `inner` whose centre is at most `mm` away from one of `outer`.

    Args:
        inner: (z, row, col) bool.
        outer: (z, row, col) bool.
        spacing_mm: (z, row, col).
        mm: at least 0; 0 leaves what lies in `outer`.
    """
    out = inner & outer
    astray = inner & ~outer
    if mm == 0 or not astray.any():
        return out
    margins = [int(np.ceil(mm / spacing)) for spacing in spacing_mm]
    box = tuple(
        slice(max(at.start - margin, 0), at.stop + margin)
        for at, margin in zip(bounding_box(astray), margins, strict=True)
    )
    if outer[box].any():
        far = ndimage.distance_transform_edt(~outer[box], sampling=spacing_mm)
        out[box] |= astray[box] & (far <= mm + 1e-6)
    return out


def _filled(mask: np.ndarray, structure: np.ndarray, margin: tuple[int, int, int]) -> np.ndarray:
    box = bounding_box(mask)
    inside = mask[box]
    if not inside.size:
        return mask
    # around the box runs background, which joins all that is open
    padded = np.pad(~inside, [(m, m) for m in margin], constant_values=True)
    numbers, count = _label(padded, structure)
    is_open = np.zeros(count + 1, bool)
    for axis, m in enumerate(margin):
        if m:
            is_open[np.take(numbers, (0, -1), axis).ravel()] = True
    is_open[0] = True
    middle = numbers[tuple(slice(m, -m if m else None) for m in margin)]
    out = mask.copy()
    out[box] |= ~is_open[middle]
    return out


def _label(mask: np.ndarray, structure: np.ndarray) -> tuple[np.ndarray, int]:
    """Component numbers, in two bytes each where there are few enough, and their count."""
    try:
        numbers = np.empty(mask.shape, np.uint16)
        return numbers, ndimage.label(mask, structure, output=numbers)
    except RuntimeError:  # more than fit
        return ndimage.label(mask, structure)
