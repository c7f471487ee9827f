"""Structures that look like lesions, in the organ of a whole CT."""

from dataclasses import dataclass

import numpy as np

from liverseg_tf.ct.orientation import Orientation
from liverseg_tf.ct.volume import Volume
from liverseg_tf.phantom.lesions.grid import box_in_volume
from liverseg_tf.phantom.lesions.placement import OrganMap
from liverseg_tf.phantom.lesions.spec import LesionSpec
from liverseg_tf.phantom.lesions.stored import as_stored, in_file_order, voxel_of
from liverseg_tf.phantom.lookalikes.lookalike import Lookalike, draw_lookalike
from liverseg_tf.phantom.lookalikes.paint import (
    blur_slice,
    dome_shares,
    draw_dome,
    paint_lookalike,
)

_MORE = 0.7  # probability of one more structure
_MAX_COUNT = 6
_STREAM = 21  # tells these random numbers from those of the lesions


@dataclass(frozen=True)
class LookalikeRecord:
    """A structure that looks like a lesion.

    Args:
        kind: One of `choices.LOOKALIKES`.
        centre: Voxel (i, j, k) of its centre in the file.
        centre_mm: RAS+ (x, y, z) of its centre.
        diameter_mm: Diameter of a ball of the volume of its mask.
        contrast_hu: Mean change of the image in its mask.
    """

    kind: str
    centre: tuple[int, int, int]
    centre_mm: tuple[float, float, float]
    diameter_mm: float
    contrast_hu: float


def add_lookalikes(
    image: Volume, labels: Volume, seed: int | tuple[int, ...], spec: LesionSpec
) -> tuple[Volume, Volume, list[LookalikeRecord]]:
    """Draw one to six structures that look like lesions into the organ of a CT.

    Args:
        image: CT in HU.
        labels: uint8 label map with the organ, on the same grid; its axis order may differ.
        seed: Random seed; the same seed, volumes and spec give the same voxels.
        spec: Settings, of which `lookalikes` are the kinds.

    Returns:
        The image and the label map, and what was drawn. The label map is equal to the original
        unless cysts count as lesions. Nothing is drawn without voxels of the organ.
    """
    orientation, of_labels = Orientation.of(image.affine), Orientation.of(labels.affine)
    source = orientation.to_canonical(image.array)
    values = source.astype(np.float32, order="C")
    tissue = of_labels.to_canonical(labels.array).copy(order="C")
    z_mm, y_mm, x_mm = (float(image.spacing_mm[axis]) for axis in orientation.axes)
    organ = OrganMap.of(values, tissue, (z_mm, y_mm, x_mm), spec)
    if organ is None or not spec.lookalikes:
        return image, labels, []
    affine = orientation.canonical_affine(image.affine, image.array.shape)
    rng = np.random.default_rng((*np.atleast_1d(seed).tolist(), _STREAM))
    changed = np.zeros(values.shape, bool)
    records = []
    kinds = list(spec.lookalikes)
    for _ in range(min(int(rng.geometric(1 - _MORE)), _MAX_COUNT)):
        kind = str(rng.choice(kinds))
        if kind == "dome":
            kinds.remove("dome")  # an organ has one
            drawn = _blur_dome(rng, values, tissue, changed, organ, spec)
        else:
            lookalike = draw_lookalike(rng, kind, organ)
            if lookalike is None:
                continue
            drawn = _paint(values, tissue, changed, lookalike, organ, spec)
        if drawn is not None:
            records.append(_describe(kind, drawn, organ, image, affine))
        if not kinds:
            break
    return (
        in_file_order(image, as_stored(values, source, changed), orientation),
        in_file_order(labels, tissue, of_labels),
        records,
    )


def _describe(
    kind: str,
    drawn: tuple[np.ndarray, int, float],
    organ: OrganMap,
    image: Volume,
    affine: np.ndarray,
) -> LookalikeRecord:
    centre_mm, voxels, contrast = drawn
    canonical = (centre_mm / organ.spacing_mm)[::-1]
    x_mm, y_mm, z_mm = (affine[:3, :3] @ canonical + affine[:3, 3]).tolist()
    place = (round(x_mm, 1), round(y_mm, 1), round(z_mm, 1))
    diameter = float(np.cbrt(6 * voxels * np.prod(organ.spacing_mm) / np.pi))
    return LookalikeRecord(
        kind, voxel_of(image, place), place, round(diameter, 1), round(contrast, 1)
    )


def _paint(
    values: np.ndarray,
    tissue: np.ndarray,
    changed: np.ndarray,
    lookalike: Lookalike,
    organ: OrganMap,
    spec: LesionSpec,
) -> tuple[np.ndarray, int, float] | None:
    """Draw a structure into the volume; None if no voxel shows it.

    Returns:
        Its place in mm from the first voxel, the voxels of its mask, and their mean change.
    """
    box, grid = box_in_volume(
        lookalike.centre_mm, lookalike.reach_mm, values.shape, organ.spacing_mm
    )
    new, mask = paint_lookalike(
        values[box], tissue[box], lookalike, grid, spec.organ, organ.level_hu
    )
    if not mask.any():
        return None
    difference = new - values[box]
    changed[box] |= np.abs(difference) > 0.05
    values[box] = new
    if lookalike.kind == "cyst" and spec.cysts_are_lesions:
        tissue[box] = np.where(mask, np.uint8(spec.lesion), tissue[box])
    low = np.array([part.start for part in box])
    middle = (np.argwhere(mask).mean(axis=0) + low) * organ.spacing_mm
    return middle, int(mask.sum()), float(difference[mask].mean())


def _blur_dome(
    rng: np.random.Generator,
    values: np.ndarray,
    tissue: np.ndarray,
    changed: np.ndarray,
    organ: OrganMap,
    spec: LesionSpec,
) -> tuple[np.ndarray, int, float] | None:
    """Blur the top of the organ; None if nothing lies above it. Returns as `_paint`."""
    top = int(organ.ends[1][0])
    shares, up = dome_shares(draw_dome(rng), top - np.arange(len(values)), organ.spacing_mm[0])
    blurred = np.zeros(values.shape, bool)
    before = values.copy()
    for z in np.flatnonzero(shares > 0.01).tolist():
        above = before[min(z + up, len(values) - 1)]
        values[z] = blur_slice(before[z], above, np.isin(tissue[z], spec.organ), shares[z])
        blurred[z] = values[z] < before[z] - 15  # above noise
    changed |= np.abs(values - before) > 0.05
    if not blurred.any():
        return None
    middle = np.argwhere(blurred).mean(axis=0) * organ.spacing_mm
    return middle, int(blurred.sum()), float((values - before)[blurred].mean())
