"""Synthetic lesions in the organ of a whole CT."""

from dataclasses import dataclass, replace

import numpy as np
from scipy import ndimage

from liverseg_tf.ct.orientation import Orientation
from liverseg_tf.ct.volume import Volume
from liverseg_tf.errors import LiverSegError
from liverseg_tf.phantom.lesions.grid import box_in_volume
from liverseg_tf.phantom.lesions.lesion import Lesion, draw_diameter, draw_lesion
from liverseg_tf.phantom.lesions.paint import box_reach_mm, paint_lesion
from liverseg_tf.phantom.lesions.placement import OrganMap
from liverseg_tf.phantom.lesions.spec import LesionSpec
from liverseg_tf.phantom.lesions.stored import as_stored, in_file_order, voxel_of

_CLUSTERED = 0.3  # fraction of the patients whose lesions lie near each other
_TRIES = 6  # to place a lesion apart from the others, and to draw one that is seen


@dataclass(frozen=True)
class LesionRecord:
    """What was drawn.

    Args:
        kind: Kind of the lesion.
        centre: Voxel (i, j, k) of its centre in the file.
        centre_mm: RAS+ (x, y, z) of its centre.
        diameter_mm: Diameter of a ball of the volume of its mask.
        volume_ml: Volume of its mask.
        contrast_hu: Mean of the image in its mask, relative to the organ.
        organ_hu: Intensity of the organ.
    """

    kind: str
    centre: tuple[int, int, int]
    centre_mm: tuple[float, float, float]
    diameter_mm: float
    volume_ml: float
    contrast_hu: float
    organ_hu: float


def add_lesions(
    image: Volume, labels: Volume, seed: int | tuple[int, ...], spec: LesionSpec | None = None
) -> tuple[Volume, Volume, list[LesionRecord]]:
    """Draw lesions into the organ of a CT.

    Args:
        image: CT in HU.
        labels: uint8 label map with the organ, on the same grid; its axis order may differ.
        seed: Random seed; the same seed, volumes and spec give the same voxels.
        spec: Settings of the lesions. None for the defaults.

    Returns:
        The image and the label map with the lesions, and what was drawn. Both have the grid,
        the dtype and the range of values of the originals, and are equal to them away from the
        lesions.

    Raises:
        LiverSegError: If there is no voxel of the organ, or it is too small for any lesion.
    """
    spec = spec or LesionSpec()
    orientation, of_labels = Orientation.of(image.affine), Orientation.of(labels.affine)
    source = orientation.to_canonical(image.array)
    values = source.astype(np.float32, order="C")
    tissue = of_labels.to_canonical(labels.array).copy(order="C")
    z_mm, y_mm, x_mm = (float(image.spacing_mm[axis]) for axis in orientation.axes)
    spacing = (z_mm, y_mm, x_mm)
    organ = OrganMap.of(values, tissue, spacing, spec)
    if organ is None:
        raise LiverSegError(
            f"Expected voxels of the organ, label {', '.join(map(str, spec.organ))}, in the mask. "
            "Received none: name its label."
        )
    affine = orientation.canonical_affine(image.affine, image.array.shape)
    changed = np.zeros(values.shape, bool)
    records = []
    rng = np.random.default_rng(seed)
    low, high = spec.diameter_mm
    for number in range(_TRIES):
        # small lesions vanish between thick slices
        larger = replace(spec, diameter_mm=(low + (high - low) * number / _TRIES, high))
        for centre_mm, lesion in _draw_patient(rng, organ, larger, low):
            painted = _paint(values, tissue, changed, centre_mm, lesion, organ, spec)
            if painted is not None:
                records.append(_describe(painted, values, centre_mm, lesion, organ, affine))
        if records:
            break
    if not records:
        raise LiverSegError(
            f"Expected an organ (label {', '.join(map(str, spec.organ))}) that is large enough for "
            f"a lesion of {spec.diameter_mm[0]:g} mm. Received {len(organ.places)} places: choose "
            "a smaller diameter."
        )
    records = [_with_file_voxel(record, image) for record in records]
    new = as_stored(values, source, changed)
    return (
        in_file_order(image, new, orientation),
        in_file_order(labels, tissue, of_labels),
        records,
    )


def _draw_patient(
    rng: np.random.Generator, organ: OrganMap, spec: LesionSpec, smallest_mm: float
) -> list[tuple[np.ndarray, Lesion]]:
    """Draw the lesions of a patient with their centres, the largest first."""
    low, high = spec.count
    count = min(low - 1 + int(rng.geometric(1 / 3.2)), high)
    diameters = sorted((draw_diameter(rng, spec) for _ in range(count)), reverse=True)
    clustered = count > 1 and rng.random() < _CLUSTERED
    drawn: list[tuple[np.ndarray, Lesion]] = []
    for diameter in diameters:
        centre = None
        # an organ that is too small for a lesion gets a smaller one
        while centre is None and diameter >= smallest_mm:
            near = None
            if clustered and drawn:
                first, large = drawn[0]
                near = (first, 2.5 * large.shape.radius_mm + diameter)
            centre = _choose_apart(rng, organ, diameter, near, drawn, spec)
            diameter *= 1 if centre is not None else 0.75
        if centre is not None:
            drawn.append((centre, draw_lesion(rng, spec, diameter, organ.level_hu, organ.noise_hu)))
    return drawn


def _choose_apart(rng, organ, diameter, near, drawn, spec) -> np.ndarray | None:
    """Choose a centre apart from the other lesions; those of a cluster may touch."""
    centre = None
    touching = 0.6 if near is not None else 1.15
    for _ in range(_TRIES):
        centre = organ.choose(rng, diameter / 2, spec.place, near)
        if centre is None and near is not None:
            centre = organ.choose(rng, diameter / 2, spec.place)
        if centre is None or all(
            np.linalg.norm(centre - other) > touching * (diameter / 2 + lesion.shape.radius_mm)
            for other, lesion in drawn
        ):
            break
    return centre


def _paint(values, tissue, changed, centre_mm, lesion, organ, spec):
    """Draw a lesion into the volume; None if its mask is empty. Otherwise its mask and box."""
    box, grid = box_in_volume(centre_mm, box_reach_mm(lesion), values.shape, organ.spacing_mm)
    before, before_labels = values[box], tissue[box]
    painted = paint_lesion(
        before,
        before_labels,
        lesion,
        grid,
        (*spec.organ, spec.lesion),
        organ.level_hu,
    )
    mask = _largest(painted.mask)
    if not mask.any():
        return None
    changed[box] |= np.abs(painted.image - before) > 0.05
    values[box] = painted.image
    new_labels = painted.labels.copy()
    new_labels[mask] = spec.lesion
    tissue[box] = new_labels
    return box, mask


def _largest(mask: np.ndarray) -> np.ndarray:
    """Keep the largest part of a lesion: beyond a notch of the surface, there may be another."""
    parts, count = ndimage.label(mask)
    if count < 2:
        return mask
    return parts == np.bincount(parts.ravel())[1:].argmax() + 1


def _describe(painted, values, centre_mm, lesion, organ, affine) -> LesionRecord:
    box, mask = painted
    volume = float(mask.sum() * np.prod(organ.spacing_mm)) / 1000
    voxel = centre_mm / organ.spacing_mm
    x_mm, y_mm, z_mm = (affine[:3, :3] @ voxel[::-1] + affine[:3, 3]).tolist()
    return LesionRecord(
        lesion.look.kind,
        (0, 0, 0),
        (round(x_mm, 1), round(y_mm, 1), round(z_mm, 1)),
        round(float(np.cbrt(6000 * volume / np.pi)), 1),
        round(volume, 3),
        round(float(values[box][mask].mean()) - organ.level_hu, 1),
        round(organ.level_hu, 1),
    )


def _with_file_voxel(record: LesionRecord, image: Volume) -> LesionRecord:
    return replace(record, centre=voxel_of(image, record.centre_mm))
