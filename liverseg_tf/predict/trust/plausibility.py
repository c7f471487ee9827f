"""Comparison of an image and its masks with the training cases: is it what the model knows?"""

from collections.abc import Iterator, Sequence

import numpy as np

from liverseg_tf.ct.bounding_box import bounding_box
from liverseg_tf.ct.orientation import Orientation
from liverseg_tf.ct.region_kinds import is_lesion, is_single_organ
from liverseg_tf.model.region_masks import RegionMasks
from liverseg_tf.model.training_range import RegionRange, TrainingRange
from liverseg_tf.plural import name_some
from liverseg_tf.predict.outputs.measurements import FACES, format_ml
from liverseg_tf.printable import printable

# Factors below the smallest and above the largest value. Tiles have one pixel size, and the slices
# beside a slice are chosen by their distance: finer images differ less from those of the training.
_FAR_SLICE = 0.25, 1.5
_FAR_PIXEL = 0.25, 2.0
_MANY_CASES = 10
_FAR_VOLUME = 2.0  # an organ may be half or twice as large as in the training cases
_FAR_VOLUME_OF_FEW = 4.0
_ABSENT = 0.1  # of the smallest volume: some voxels are not an organ
_FEW = 3  # with fewer cases, it is not known what every patient has
_CUT_SECTION = 0.2  # of the largest section; smaller contacts are often errors at the border


def find_implausible(
    masks: RegionMasks,
    known: TrainingRange,
    only: Sequence[str] = (),
    flagged: Sequence[str] = (),
) -> Iterator[str]:
    """Find out how an image and its masks differ from the training cases of the model.

    Args:
        masks: Masks after the post-processing, on the grid of the image.
        known: What the training cases were like. If it is empty, nothing is found.
        only: Names of the regions whose masks are judged; all of them if it is empty. To recognise
            the part of the body, all regions are used.
        flagged: Names of regions of which it is already said that nothing was found.

    Yields:
        What the user must know, one line each.
    """
    if not known:
        return
    order = Orientation.of(masks.grid.affine).axes
    slice_mm, *pixel_mm = (masks.grid.spacing_mm[axis] for axis in order)
    yield from _judge_spacing("slice distance", slice_mm, known.slice_mm, _FAR_SLICE)
    for mm in {min(pixel_mm), max(pixel_mm)}:
        yield from _judge_spacing("pixel size", mm, known.pixel_mm, _FAR_PIXEL)
    # what every training case has, if it is no tumour
    expected = {
        name: one
        for name, one in known.regions.items()
        if 0 < one.present == one.cases and not is_lesion(masks.regions, name)
    }
    volumes = _measure_volumes(masks)
    unlike = [name for name, one in expected.items() if _is_far(volumes[name], one)]
    if unlike and 2 * len(unlike) >= len(expected):
        found = name_some(_compare(name, volumes[name], expected[name]) for name in unlike)
        yield (
            "Does the image show the part of the body that the model knows? Check all masks: "
            f"{found}"
        )
        return
    judged = [
        name
        for name, one in expected.items()
        if one.cases >= _FEW and is_single_organ(masks.regions, name) and (not only or name in only)
    ]
    for name in judged:
        smallest, largest = expected[name].volume_ml or (0.0, 0.0)
        is_absent = volumes[name] < _ABSENT * smallest
        if (is_absent and name not in flagged) or volumes[name] > largest / _ABSENT:
            yield f"{_compare(name, volumes[name], expected[name])}: check this mask"
    never_cut = [name for name in judged if not expected[name].cut_off]
    for faces, names in _find_cut(masks, never_cut).items():
        ends = "end" if len(faces) == 1 else "ends"
        yield (
            f"{', '.join(map(printable, names))}: cut off by the {' and '.join(faces)} {ends} of "
            f"the image, so that a part of {'it' if len(names) == 1 else 'them'} is missing"
        )


def _judge_spacing(
    what: str, mm: float, known: tuple[float, float] | None, far: tuple[float, float]
) -> Iterator[str]:
    if known is None or far[0] * known[0] <= mm <= far[1] * known[1]:
        return
    low, high = known
    between = f"{low:.3g} mm" if low == high else f"{low:.3g} to {high:.3g} mm"
    yield (
        f"{what} of {mm:.3g} mm, far from that of the training cases ({between}): check all masks"
    )


def _measure_volumes(masks: RegionMasks) -> dict[str, float]:
    """Return the volume of each region in ml."""
    bits = masks.bits[bounding_box(masks.bits)]
    combinations = np.zeros(1 << len(masks.regions), np.int64)
    for plane in bits:
        combinations += np.bincount(plane.reshape(-1), minlength=len(combinations))
    numbers = np.arange(len(combinations))
    return {
        name: float(combinations[numbers >> region & 1 == 1].sum()) * masks.grid.voxel_volume_ml
        for region, name in enumerate(masks.regions.names)
    }


def _is_far(volume_ml: float, one: RegionRange) -> bool:
    smallest, largest = one.volume_ml or (0.0, 0.0)
    factor = _FAR_VOLUME if one.cases >= _MANY_CASES else _FAR_VOLUME_OF_FEW
    return not smallest / factor <= volume_ml <= factor * largest


def _compare(name: str, volume_ml: float, one: RegionRange) -> str:
    low, high = map(format_ml, one.volume_ml or (0.0, 0.0))
    found = f"{format_ml(volume_ml)} ml" if volume_ml else "not found"
    between = low if low == high else f"{low} to {high}"
    return f"{printable(name)} {found} ({between} ml in the training cases)"


def _find_cut(masks: RegionMasks, names: Sequence[str]) -> dict[tuple[str, ...], list[str]]:
    """Return the regions that are cut off, by the names of the ends of the image that do it."""
    bits = masks.canonical_bits
    box = bounding_box(bits)
    ends = [
        (axis, end, FACES[axis][end])
        for axis, (part, size) in enumerate(zip(box, bits.shape, strict=True))
        for end, touches in enumerate((part.start == 0, part.stop == size))
        if touches
    ]
    found: dict[tuple[str, ...], list[str]] = {}
    for name in names if ends else ():
        bit = bits.dtype.type(1 << masks.regions.names.index(name))
        mask = (bits[box] & bit) != 0
        cut = []
        for axis, end, face in ends:
            sections = np.count_nonzero(mask, axis=tuple({0, 1, 2} - {axis}))
            # [-0] is the first section, and [-1] the last one
            if sections.any() and sections[-end] >= _CUT_SECTION * sections.max():
                cut.append(face)
        if cut:
            found.setdefault(tuple(cut), []).append(name)
    return found
