"""Viewer page: an interactive view of a CT or MR with its masks."""

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
    downsample_image,
    downsample_labels,
    labels_box,
)
from liverseg_tf.evaluate.viewer.findings import (
    find_differences,
    list_components,
    listed_region,
)
from liverseg_tf.evaluate.viewer.packed_nifti import pack_image, pack_labels
from liverseg_tf.html_page import Page, embed_bytes, embed_json, read_asset, write_page
from liverseg_tf.printable import printable

WINDOWS = {  # name: level and width in HU
    "abdomen": (40, 400),
    "liver": (60, 160),
    "soft tissue": (50, 350),
    "lung": (-600, 1500),
    "bone": (400, 1800),
}
# a row for each mask, with a colour for each of its regions from the outermost inwards
COLOURS = (
    ("#4dff88", "#ffe14d", "#b0ff3d", "#2fb8a0"),
    ("#ff5cf4", "#6f9dff", "#c08bff", "#ff8fb0"),
    ("#ff9a3d", "#ff4d4d", "#ffc08a", "#c96b2c"),
    ("#3de8ff", "#f2f2f2", "#8ad0ff", "#2c8fc9"),
)
_MARGIN_MM = 20.0
_MAX_FACTOR = 8
_MR_RANGE = PercentileRange(1, 99)


@dataclass(frozen=True)
class ViewerSpec:
    """Settings of a viewer page.

    Args:
        title: Title of the page.
        regions: Regions of the masks. The components of the last one are listed.
        is_ct: Whether the image is in HU. Otherwise the window is its 1st to 99th percentile.
        limit_mb: Maximum size of the volumes in the page in MB (10^6 bytes), > 0.
        alerts: What must be known about the masks, one line each, for the top of the page.
    """

    title: str = "Viewer"
    regions: Regions = LIVER_REGIONS
    is_ct: bool = True
    limit_mb: float = 40.0
    alerts: tuple[str, ...] = ()


def write_viewer(
    path: Path, image: Volume, masks: dict[str, Volume], spec: ViewerSpec | None = None
) -> None:
    """Write a self-contained page with slices, a 3D rendering, volumes and lists of findings.

    The image is cropped to the body. If the volumes would still exceed the limit, they are cropped
    to the masks, and then downsampled; the page says so. Volumes in ml and findings are always
    those of the complete masks.

    Args:
        path: Path of the .html file, which is written atomically.
        image: CT in HU, or MR.
        masks: Label maps (uint8) on the grid of the image, by name; may be empty.
        spec: Settings; None for those of a liver CT.

    Raises:
        LiverSegError: If a mask is on another grid, or the limit is too small for the volumes.

    Example:
        >>> ct, liver = read_volume("ct.nii.gz"), read_labels("mask.nii.gz")  # doctest: +SKIP
        >>> write_viewer("page.html", ct, {"mask": liver})  # doctest: +SKIP
    """
    spec = spec or ViewerSpec()
    image = to_canonical(image)
    canonical = {}
    for name, mask in ((printable(name), mask) for name, mask in masks.items()):
        canonical[name] = to_canonical(mask)
        check_same_grid(image, canonical[name], f"the image and the mask {name}")
    window = Window(*WINDOWS["abdomen"]) if spec.is_ct else _MR_RANGE.window_of(image.array)
    packed, notes = _pack(image, list(canonical.values()), window, spec)
    scene = {
        "title": printable(spec.title),
        "isCt": spec.is_ct,
        "window": [round(window.level_hu, 3), round(window.width_hu, 3)],
        "windows": WINDOWS if spec.is_ct else {},
        "notes": notes,
        "alerts": list(map(printable, spec.alerts)),
        "masks": [
            _describe_mask(name, mask, spec.regions, COLOURS[index % len(COLOURS)])
            for index, (name, mask) in enumerate(canonical.items())
        ],
        "componentsOf": listed_region(spec.regions),
        "components": _components(canonical, spec.regions),
        "differences": _differences(canonical, spec.regions),
    }
    write_page(path, _page(spec.title, scene, packed))


def name_masks(paths: Sequence[Path]) -> list[str]:
    """Return short, different names of masks: file names, with folders only where needed.

    Example:
        >>> name_masks([Path("data/labelsTr/case_1.nii.gz"), Path("masks/case_1.nii.gz")])
        ['labelsTr/case_1', 'masks/case_1']
    """
    parts = [(*path.parts[:-1], nifti_stem(path) or path.name) for path in map(Path, paths)]
    for length in range(1, max(map(len, parts), default=0) + 1):
        names = ["/".join(part[-length:]) for part in parts]
        if len(set(names)) == len(names):
            return names
    return [f"{'/'.join(part)} ({number})" for number, part in enumerate(parts, start=1)]


def _page(title: str, scene: dict, packed: list[bytes]) -> Page:
    data = [embed_json("scene", scene)]
    data += [embed_bytes(f"volume-{index}", volume) for index, volume in enumerate(packed)]
    return Page(
        title,
        read_asset("viewer.css"),
        [read_asset("viewer.html"), *data],
        tuple(map(read_asset, ("niivue.umd.js", "viewer_volumes.js", "viewer.js"))),
    )


def _pack(
    image: Volume, masks: list[Volume], window: Window, spec: ViewerSpec
) -> tuple[list[bytes], list[str]]:
    """Pack the image and the masks so that they keep the limit.

    Returns:
        The packed volumes, and notes that say how they were reduced.
    """
    labels = labels_box(masks, _MARGIN_MM) if masks else None
    threshold = BODY_HU if spec.is_ct else window.lower_hu + 0.1 * window.width_hu
    everything = union([body_box(image, threshold), labels])
    assert everything is not None, "the body has a box"
    boxes = {"the body": everything}
    if labels is not None:
        boxes[f"the masks with a margin of {_MARGIN_MM:g} mm"] = labels
    for name, box in boxes.items():
        volumes = [crop(volume, box) for volume in (image, *masks)]
        packed = _pack_volumes(volumes, spec)
        is_cropped = volumes[0].array.size < image.array.size
        notes = [f"Cropped to {name}."] if is_cropped else []
        if _size_mb(packed) <= spec.limit_mb:
            return packed, notes
    factor = max(2, math.floor(math.sqrt(_size_mb(packed) / spec.limit_mb)))
    while factor <= min(_MAX_FACTOR, *volumes[0].array.shape[1:]):
        smaller = [downsample_image(volumes[0], factor)]
        smaller += [downsample_labels(mask, factor) for mask in volumes[1:]]
        packed = _pack_volumes(smaller, spec)
        if _size_mb(packed) <= spec.limit_mb:
            return packed, [*notes, f"Downsampled: pixels are {factor} times as wide and high."]
        factor += 1
    raise LiverSegError(
        f"The volumes do not fit into {spec.limit_mb:g} MB, even with pixels {_MAX_FACTOR} times "
        "as wide and high: allow a larger page (--limit-mb)."
    )


def _pack_volumes(volumes: list[Volume], spec: ViewerSpec) -> list[bytes]:
    return [pack_image(volumes[0], spec.is_ct), *map(pack_labels, volumes[1:])]


def _size_mb(packed: list[bytes]) -> float:
    return sum(map(len, packed)) * 4 / 3 / 1e6  # as base64


def _describe_mask(name: str, mask: Volume, regions: Regions, colours: tuple[str, ...]) -> dict:
    """Contents of the legend for a mask: its regions, and labels that belong to no region."""
    counts = np.bincount(mask.array.reshape(-1), minlength=256)
    named = dict(regions.items)
    known = {label for labels in named.values() for label in labels}
    others = [int(label) for label in np.flatnonzero(counts) if label and label not in known]
    named |= {f"label {label}": (label,) for label in others}
    innermost = {label: index for index, labels in enumerate(named.values()) for label in labels}
    return {
        "name": name,
        "labels": sorted(innermost.items()),
        "regions": [
            {
                "name": region,
                "colour": colours[index % len(colours)],
                "ml": float(counts[list(labels)].sum() * mask.voxel_volume_ml),
            }
            for index, (region, labels) in enumerate(named.items())
        ],
    }


def _components(masks: dict[str, Volume], regions: Regions) -> list[dict]:
    return [
        {**dataclasses.asdict(component), "text": f"{component.text} in {name}"}
        for name, mask in masks.items()
        for component in list_components(mask, regions)
    ]


def _differences(masks: dict[str, Volume], regions: Regions) -> list[dict]:
    if len(masks) < 2:
        return []
    (first_name, first), (second_name, second) = list(masks.items())[:2]
    differences = find_differences(first, second, regions, (first_name, second_name))
    return list(map(dataclasses.asdict, differences))
