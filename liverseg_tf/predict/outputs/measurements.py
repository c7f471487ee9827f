"""Measurements of a label map: volume, intensity, components, centroid and truncation."""

import numpy as np
from scipy import ndimage

from liverseg_tf.ct.bounding_box import Box, union
from liverseg_tf.ct.components import label_components
from liverseg_tf.ct.orientation import Orientation, to_canonical
from liverseg_tf.ct.regions import Regions
from liverseg_tf.ct.volume import Volume, check_same_grid

MAX_LISTED_COMPONENTS = 5
FACES = (("inferior", "superior"), ("anterior", "posterior"), ("right", "left"))
# Scanners pad with -2000 HU or less outside their circle; noisy gas does not get below this.
_PADDING_HU = -1500


def measure(image: Volume, labels: Volume, regions: Regions) -> dict:
    """Measure every region of a label map.

    Args:
        image: Image (z, row, col) in HU or MR units, in any axis order.
        labels: Label map (uint8) on the grid of the image.
        regions: Regions that are measured.

    Returns:
        Plain JSON values: `spacing_mm` (col, row, z), `voxel_volume_ml`, and `regions`, which has
        for each name:

        - `voxels` and `volume_ml`: number of voxels, and volume;
        - `intensity_mean` and `intensity_sd`: mean and population standard deviation in the
          units of the image (HU for CT), without voxels that are NaN or infinite;
        - `components` and `largest_components_ml`: number of connected components (26
          neighbours), and volumes of the five largest ones, in decreasing order;
        - `centroid_mm`: (x, y, z) in RAS+, the mean of the voxel centres;
        - `cut_by`: where the region reaches the end of the field of view, so that a part of it
          may be missing. Any of inferior, superior, anterior, posterior, right and left (the
          region has a voxel in the outermost slice, row or column of the volume; in oblique
          volumes, the nearest direction counts) and padding (a voxel of the region is adjacent,
          within its slice, to a voxel below -1500 HU or NaN: the border of the scanner's circle).

        An empty region has volume 0, no components and an empty `cut_by`; its means and its
        centroid are None.

    Raises:
        LiverSegError: If labels and image are on different grids.
    """
    check_same_grid(image, labels)
    canonical = to_canonical(image)
    canonical_labels = Orientation.of(image.affine).to_canonical(labels.array)
    boxes = dict(enumerate(ndimage.find_objects(canonical_labels), start=1))
    measured = {}
    for name, region_labels in regions.items:
        box = union(boxes.get(label) for label in region_labels)
        measured[name] = _measure_region(canonical, canonical_labels, regions, name, box)
    return {
        "spacing_mm": list(image.spacing_mm[::-1]),
        "voxel_volume_ml": image.voxel_volume_ml,
        "regions": measured,
    }


def format_ml(volume_ml: float) -> str:
    """Return a volume in millilitres: one decimal below 100 ml, two below 0.1 ml."""
    if volume_ml >= 100 or volume_ml == 0:
        return f"{volume_ml:.0f}"
    return f"{volume_ml:.1f}" if volume_ml >= 0.1 else f"{volume_ml:.2g}"


def _measure_region(
    image: Volume, labels: np.ndarray, regions: Regions, name: str, box: Box | None
) -> dict:
    """Measure a region in canonical arrays; `box` is its bounding box, None if it is empty."""
    mask = np.zeros((0, 0, 0), bool) if box is None else regions.mask(labels[box], name)
    voxels = int(mask.sum())
    if box is None or voxels == 0:
        return {
            "voxels": 0,
            "volume_ml": 0.0,
            "intensity_mean": None,
            "intensity_sd": None,
            "components": 0,
            "largest_components_ml": [],
            "centroid_mm": None,
            "cut_by": [],
        }
    mean, sd = _intensity(image.array[box][mask])
    sizes = np.sort(label_components(mask).sizes[1:])[::-1].tolist()
    largest = sizes[:MAX_LISTED_COMPONENTS]
    return {
        "voxels": voxels,
        "volume_ml": voxels * image.voxel_volume_ml,
        "intensity_mean": mean,
        "intensity_sd": sd,
        "components": len(sizes),
        "largest_components_ml": [size * image.voxel_volume_ml for size in largest],
        "centroid_mm": _centroid_mm(mask, box, image.affine),
        "cut_by": _cut_by(image.array, mask, box),
    }


def _intensity(values: np.ndarray) -> tuple[float | None, float | None]:
    if values.dtype.kind == "f":
        values = values[np.isfinite(values)]
    if values.size == 0:
        return None, None
    return float(values.mean(dtype=np.float64)), float(values.std(dtype=np.float64))


def _centroid_mm(mask: np.ndarray, box: Box, affine: np.ndarray) -> list[float]:
    centre = [
        float(np.average(np.arange(part.start, part.stop), weights=mask.sum(axis=others)))
        for part, others in zip(box, ((1, 2), (0, 2), (0, 1)), strict=True)
    ]
    return [float(mm) for mm in (affine @ (*centre[::-1], 1))[:3]]


def _cut_by(array: np.ndarray, mask: np.ndarray, box: Box) -> list[str]:
    cut = []
    for names, part, size in zip(FACES, box, array.shape, strict=True):
        # the region has a voxel on each side of its bounding box
        ends = (part.start == 0, part.stop == size)
        cut += [name for name, end in zip(names, ends, strict=True) if end]
    if _touches_padding(array, mask, box):
        cut.append("padding")
    return cut


def _touches_padding(array: np.ndarray, mask: np.ndarray, box: Box) -> bool:
    """Whether a voxel of the mask (cropped to the box) has padding next to it in its slice."""
    z, *plane = box
    low = [max(part.start - 1, 0) for part in plane]
    with_margin = array[z, low[0] : plane[0].stop + 1, low[1] : plane[1].stop + 1]
    padding = ~(with_margin >= _PADDING_HU)
    if not padding.any():
        return False
    inside = np.zeros(padding.shape, bool)
    rows, cols = (
        slice(part.start - first, part.stop - first) for part, first in zip(plane, low, strict=True)
    )
    inside[:, rows, cols] = mask
    pairs = [(inside[:, 1:], padding[:, :-1]), (inside[:, :-1], padding[:, 1:])]
    pairs += [(inside[..., 1:], padding[..., :-1]), (inside[..., :-1], padding[..., 1:])]
    return any(bool((one & other).any()) for one, other in [(inside, padding), *pairs])
