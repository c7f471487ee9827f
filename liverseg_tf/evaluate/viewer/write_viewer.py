"""A page with a CT (or MR), masks over it, and an interactive viewer."""

import dataclasses
import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from liverseg_tf.ct.bounding_box import union
from liverseg_tf.ct.intensity import BODY_HU, PercentileRange, Window
from liverseg_tf.ct.nifti import nifti_stem
from liverseg_tf.ct.orientation import to_canonical
from liverseg_tf.ct.regions import LIVER_REGIONS, Regions
from liverseg_tf.ct.volume import Volume, check_same_grid
from liverseg_tf.errors import LiverSegError
from liverseg_tf.evaluate.viewer.crop import (
    body_box,
    crop,
    labels_box,
    shrink_image,
    shrink_labels,
)
from liverseg_tf.evaluate.viewer.findings import find_differences, list_components
from liverseg_tf.evaluate.viewer.html import Page, asset, bytes_script, data_script, write_page
from liverseg_tf.evaluate.viewer.view_file import pack_image, pack_labels

WINDOWS = {  # name: level and width in HU
    "abdomen": (40, 400),
    "liver": (60, 160),
    "soft tissue": (50, 350),
    "lung": (-600, 1500),
    "bone": (400, 1800),
}
# of the masks one after another, and of their regions from the outside in
COLOURS = (
    ("#4dff88", "#ffe14d", "#b0ff3d", "#2fb8a0"),
    ("#ff5cf4", "#6f9dff", "#c08bff", "#ff8fb0"),
    ("#ff9a3d", "#ff4d4d", "#ffc08a", "#c96b2c"),
    ("#3de8ff", "#f2f2f2", "#8ad0ff", "#2c8fc9"),
)
_MARGIN_MM = 20.0
_LARGEST_FACTOR = 8
_MR_RANGE = PercentileRange(1, 99)


@dataclass(frozen=True)
class ViewerSpec:
    """How a viewer page is made.

    Args:
        title: shown above the image.
        regions: of the masks; the last one is that of the lesions.
        is_ct: whether the image has HU; otherwise the window is its 1st to 99th percentile.
        limit_mb: largest size of the volumes in the page, in 10^6 bytes, > 0.
    """

    title: str = "Viewer"
    regions: Regions = LIVER_REGIONS
    is_ct: bool = True
    limit_mb: float = 40.0


def write_viewer(
    path: Path, image: Volume, masks: dict[str, Volume], spec: ViewerSpec | None = None
) -> None:
    """Write one self-contained page: slices, 3D rendering, masks, volumes and findings.

    The image is cut to the body. Where the page would still be larger than its limit, it is cut
    to the masks, then shown with larger pixels; the page says so. Volumes in ml and findings
    are those of the whole masks.

    Args:
        path: .html file, written whole or not at all.
        image: CT in HU, or MR.
        masks: label maps (uint8) on the image's grid by name; none is fine.
        spec: how; the defaults are for a liver CT.

    Raises:
        LiverSegError: when a mask is on another grid, or the limit can't be kept.

    Example:
        >>> ct, liver = read_volume("ct.nii.gz"), read_labels("mask.nii.gz")  # doctest: +SKIP
        >>> write_viewer("page.html", ct, {"mask": liver})  # doctest: +SKIP
    """
    spec = spec or ViewerSpec()
    image = to_canonical(image)
    canonical = {}
    for name, mask in masks.items():
        canonical[name] = to_canonical(mask)
        try:
            check_same_grid(image, canonical[name])
        except LiverSegError as error:
            raise LiverSegError(f"{error} (mask {name})") from error
    window = Window(*WINDOWS["abdomen"]) if spec.is_ct else _MR_RANGE.window_of(image.array)
    packed, notes = _pack(image, list(canonical.values()), window, spec)
    scene = {
        "title": spec.title,
        "isCt": spec.is_ct,
        "window": [round(window.level_hu, 3), round(window.width_hu, 3)],
        "windows": WINDOWS if spec.is_ct else {},
        "notes": notes,
        "masks": [
            _describe(name, mask, spec.regions, COLOURS[place % len(COLOURS)])
            for place, (name, mask) in enumerate(canonical.items())
        ],
        "lesions": _lesions(canonical, spec.regions),
        "differences": _differences(canonical, spec.regions),
    }
    write_page(path, _page(spec.title, scene, packed))


def name_masks(paths: Sequence[Path]) -> list[str]:
    """Short names of masks: the file names, with as much of the folders as tells them apart.

    Example:
        >>> name_masks([Path("data/labelsTr/case_1.nii.gz"), Path("masks/case_1.nii.gz")])
        ['labelsTr/case_1', 'masks/case_1']
    """
    parts = [(*path.parts[:-1], nifti_stem(path) or path.name) for path in map(Path, paths)]
    for length in range(1, max(map(len, parts), default=0) + 1):
        names = ["/".join(part[-length:]) for part in parts]
        if len(set(names)) == len(names):
            return names
    return [f"{'/'.join(part)} ({place})" for place, part in enumerate(parts, start=1)]


def _page(title: str, scene: dict, packed: list[bytes]) -> Page:
    data = [data_script("scene", scene)]
    data += [bytes_script(f"volume-{place}", part) for place, part in enumerate(packed)]
    return Page(
        title,
        asset("viewer.css"),
        [asset("viewer.html"), *data],
        tuple(map(asset, ("niivue.umd.js", "viewer_volumes.js", "viewer.js"))),
    )


def _pack(
    image: Volume, masks: list[Volume], window: Window, spec: ViewerSpec
) -> tuple[list[bytes], list[str]]:
    """The volumes as files that keep the limit together, and what was done to that end."""
    around = labels_box(masks, _MARGIN_MM) if masks else None
    threshold = BODY_HU if spec.is_ct else window.lower_hu + 0.1 * window.width_hu
    boxes = {"the body": union([body_box(image, threshold), around])}
    if around is not None:
        boxes[f"the masks and {_MARGIN_MM:g} mm around them"] = around
    for what, box in boxes.items():
        parts = [crop(volume, box) for volume in (image, *masks)]
        packed = _pack_parts(parts, spec)
        notes = [f"Cut to {what}."] if parts[0].array.size < image.array.size else []
        if _size_mb(packed) <= spec.limit_mb:
            return packed, notes
    factor = max(2, math.floor(math.sqrt(_size_mb(packed) / spec.limit_mb)))
    while factor <= min(_LARGEST_FACTOR, *parts[0].array.shape[1:]):
        smaller = [shrink_image(parts[0], factor)]
        smaller += [shrink_labels(part, factor) for part in parts[1:]]
        packed = _pack_parts(smaller, spec)
        if _size_mb(packed) <= spec.limit_mb:
            return packed, [*notes, f"Shown with pixels {factor} times as wide and high."]
        factor += 1
    raise LiverSegError(
        f"Expected volumes that fit into {spec.limit_mb:g} MB. Received {_size_mb(packed):.2g} MB "
        f"with the largest pixels that are tried."
    )


def _pack_parts(parts: list[Volume], spec: ViewerSpec) -> list[bytes]:
    return [pack_image(parts[0], spec.is_ct), *map(pack_labels, parts[1:])]


def _size_mb(packed: list[bytes]) -> float:
    return sum(map(len, packed)) * 4 / 3 / 1e6  # as base64


def _describe(name: str, mask: Volume, regions: Regions, colours: tuple[str, ...]) -> dict:
    """A mask as the legend shows it: its regions, and labels that are in none of them."""
    counts = np.bincount(mask.array.reshape(-1), minlength=256)
    named = dict(regions.items)
    known = {label for labels in named.values() for label in labels}
    others = [int(label) for label in np.flatnonzero(counts) if label and label not in known]
    named |= {f"label {label}": (label,) for label in others}
    innermost = {label: place for place, labels in enumerate(named.values()) for label in labels}
    return {
        "name": name,
        "labels": sorted(innermost.items()),
        "regions": [
            {
                "name": region,
                "colour": colours[place % len(colours)],
                "ml": float(counts[list(labels)].sum() * mask.voxel_volume_ml),
            }
            for place, (region, labels) in enumerate(named.items())
        ],
    }


def _lesions(masks: dict[str, Volume], regions: Regions) -> list[dict]:
    return [
        {**dataclasses.asdict(lesion), "text": f"{lesion.text} in {name}"}
        for name, mask in masks.items()
        for lesion in list_components(mask, regions)
    ]


def _differences(masks: dict[str, Volume], regions: Regions) -> list[dict]:
    if len(masks) < 2:
        return []
    names = tuple(masks)[:2]
    first, second = (masks[name] for name in names)
    return list(map(dataclasses.asdict, find_differences(first, second, regions, names)))
