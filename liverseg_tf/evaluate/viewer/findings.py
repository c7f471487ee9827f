"""Places worth a look: lesions, and where two masks differ."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from scipy import ndimage

from liverseg_tf.ct.regions import Regions
from liverseg_tf.ct.volume import Volume

MOST = 200  # of a kind; noise in a mask can have thousands of components


@dataclass(frozen=True)
class Finding:
    """A connected component.

    Args:
        text: what it is.
        volume_ml: its volume.
        position_mm: RAS+ mm of its deepest voxel, which is inside it whatever its shape.
    """

    text: str
    volume_ml: float
    position_mm: tuple[float, float, float]


def list_components(labels: Volume, regions: Regions) -> list[Finding]:
    """The connected components of the innermost region, the largest first.

    Args:
        labels: array (z, row, col) uint8; an empty mask has none.
        regions: the last of them is looked for.
    """
    name = regions.names[-1]
    return _components(regions.mask(labels.array, name), labels, name)


def find_differences(
    first: Volume, second: Volume, regions: Regions, names: tuple[str, str]
) -> list[Finding]:
    """Where a region is in one mask only: connected components, the largest first.

    Args:
        first: array (z, row, col) uint8.
        second: array uint8, on the same grid.
        regions: what is compared, one after the other.
        names: of the two masks, for the texts.
    """
    found = []
    for region in regions.names:
        one, other = (regions.mask(labels.array, region) for labels in (first, second))
        found += _components(one & ~other, first, f"{region} only in {names[0]}")
        found += _components(other & ~one, first, f"{region} only in {names[1]}")
    return sorted(found, key=lambda finding: -finding.volume_ml)[:MOST]


def _components(mask: np.ndarray, grid: Volume, text: str) -> list[Finding]:
    found = []
    for box, component in _largest(mask):
        deepest = _deepest(component, grid.spacing_mm)
        voxel = [part.start + place for part, place in zip(box, deepest, strict=True)]
        position = grid.affine @ (*voxel[::-1], 1)
        found.append(
            Finding(
                text,
                np.count_nonzero(component) * grid.voxel_volume_ml,
                tuple(float(mm) for mm in position[:3]),
            )
        )
    return found


def _largest(mask: np.ndarray) -> Iterator[tuple[tuple[slice, ...], np.ndarray]]:
    """Bounding box and mask of each component (26 neighbours), the largest first."""
    if not mask.any():
        return
    (outer,) = ndimage.find_objects(mask.view(np.uint8))
    numbered, count = ndimage.label(mask[outer], np.ones((3, 3, 3)))
    sizes = np.bincount(numbered.ravel(), minlength=count + 1)
    boxes = ndimage.find_objects(numbered)
    for number in np.argsort(-sizes[1:], kind="stable")[:MOST] + 1:
        box = boxes[number - 1]
        moved = tuple(
            slice(start.start + part.start, start.start + part.stop)
            for start, part in zip(outer, box, strict=True)
        )
        yield moved, numbered[box] == number


def _deepest(component: np.ndarray, spacing_mm: tuple[float, float, float]) -> tuple[int, ...]:
    depth_mm = ndimage.distance_transform_edt(np.pad(component, 1), sampling=spacing_mm)
    place = np.unravel_index(np.argmax(depth_mm), depth_mm.shape)
    return tuple(int(index) - 1 for index in place)
