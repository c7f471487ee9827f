"""Findings that the viewer lists: components of a region, and differences between two masks."""

from dataclasses import dataclass

import numpy as np
from scipy import ndimage

from liverseg_tf.ct.components import label_components
from liverseg_tf.ct.region_kinds import is_lesion
from liverseg_tf.ct.regions import Regions
from liverseg_tf.ct.volume import Volume

MAX_FINDINGS = 200  # in each list; noise in a mask can have thousands of components


@dataclass(frozen=True)
class Finding:
    """A connected component.

    Args:
        text: Description, such as the name of its region.
        volume_ml: Volume in ml.
        position_mm: RAS+ mm of the voxel that is deepest inside the component, whatever its
            shape.
    """

    text: str
    volume_ml: float
    position_mm: tuple[float, float, float]


def listed_region(regions: Regions) -> str:
    """Return the region whose components are listed: the last one of lesions, or the last one."""
    lesions = [name for name in regions.names if is_lesion(regions, name)]
    return [*regions.names, *lesions][-1]


def list_components(labels: Volume, regions: Regions) -> list[Finding]:
    """List the connected components (26 neighbours) of the listed region, largest first.

    Args:
        labels: Label map, array (z, row, col) uint8.
        regions: Regions, of which one is listed; see `listed_region`.
    """
    name = listed_region(regions)
    return _findings(regions.mask(labels.array, name), labels, name)


def find_differences(
    first: Volume, second: Volume, regions: Regions, names: tuple[str, str]
) -> list[Finding]:
    """List the connected components of the differences between two masks, largest first.

    Args:
        first: Label map, array (z, row, col) uint8.
        second: Label map on the same grid.
        regions: Regions that are compared one by one.
        names: Names of the two masks, for the descriptions.
    """
    findings = []
    for region in regions.names:
        first_mask, second_mask = (regions.mask(labels.array, region) for labels in (first, second))
        findings += _findings(first_mask & ~second_mask, first, f"{region} only in {names[0]}")
        findings += _findings(second_mask & ~first_mask, first, f"{region} only in {names[1]}")
    return sorted(findings, key=lambda finding: -finding.volume_ml)[:MAX_FINDINGS]


def _findings(mask: np.ndarray, grid: Volume, text: str) -> list[Finding]:
    findings = []
    for box, component in label_components(mask).largest_first(MAX_FINDINGS):
        deepest = _deepest_voxel(component, grid.spacing_mm)
        voxel = [part.start + index for part, index in zip(box, deepest, strict=True)]
        x, y, z = (float(mm) for mm in (grid.affine @ (*voxel[::-1], 1))[:3])
        volume_ml = np.count_nonzero(component) * grid.voxel_volume_ml
        findings.append(Finding(text, volume_ml, (x, y, z)))
    return findings


def _deepest_voxel(
    component: np.ndarray, spacing_mm: tuple[float, float, float]
) -> tuple[int, ...]:
    """Index of the voxel with the largest distance to the background."""
    depth_mm = ndimage.distance_transform_edt(np.pad(component, 1), sampling=spacing_mm)
    deepest = np.unravel_index(np.argmax(depth_mm), depth_mm.shape)
    return tuple(int(index) - 1 for index in deepest)
