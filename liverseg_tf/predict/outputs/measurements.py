"""What a label map says in numbers: volume, intensities, components, place, and what cuts it."""

import numpy as np
from scipy import ndimage

from liverseg_tf.ct.orientation import Orientation, to_canonical
from liverseg_tf.ct.regions import Regions
from liverseg_tf.ct.volume import Volume, check_same_grid

LARGEST = 5
FACES = (("inferior", "superior"), ("anterior", "posterior"), ("right", "left"))
# Scanners pad with -2000 HU and less outside their circle; noise in gas stays above this.
_PADDING_HU = -1500

Box = tuple[slice, slice, slice]


def measure(image: Volume, labels: Volume, regions: Regions) -> dict:
    """Measure every region of a label map.

    Args:
        image: (z, row, col), HU or MR units, any axis order.
        labels: uint8, on the image's grid.
        regions: what the labels mean.

    Returns:
        Plain JSON values: `spacing_mm` (col, row, z), `voxel_volume_ml`, and under `regions`
        for each name:

        - `voxels` and `volume_ml`;
        - `intensity_mean` and `intensity_sd` (of the population), in the image's units: HU for
          CT. Voxels that are NaN or infinite are left out;
        - `components` (26 neighbours) and `largest_components_ml`, at most five, the largest
          first;
        - `centroid_mm` (x, y, z), RAS+: the mean of its voxels' centres;
        - `cut_by`: where the field of view ends at the region, so that part of it may be
          missing. Any of inferior, superior, anterior, posterior, right and left (the region
          has a voxel in the volume's outermost slice, row or column there; oblique volumes: the
          nearest direction) and padding (a voxel beside one of less than -1500 HU, or NaN, in
          the slice: the border of the scanner's circle).

        An empty region has volume 0, no components, is cut by nothing, and its means and
        centroid are None.

    Raises:
        LiverSegError: when labels and image aren't on one grid.
    """
    check_same_grid(image, labels)
    canonical = to_canonical(image)
    found = Orientation.of(image.affine).to_canonical(labels.array)
    boxes = ndimage.find_objects(found)
    measured = {
        name: _measure_region(canonical, found, regions, name, _joined(boxes, of))
        for name, of in regions.items
    }
    return {
        "spacing_mm": list(image.spacing_mm[::-1]),
        "voxel_volume_ml": image.voxel_volume_ml,
        "regions": measured,
    }


def _measure_region(
    image: Volume, labels: np.ndarray, regions: Regions, name: str, box: Box | None
) -> dict:
    """Of canonical arrays; `box` is that of the region's labels."""
    mask = np.zeros((0, 0, 0), bool) if box is None else regions.mask(labels[box], name)
    voxels = int(mask.sum())
    if voxels == 0:
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
    sizes = _component_sizes(mask)
    return {
        "voxels": voxels,
        "volume_ml": voxels * image.voxel_volume_ml,
        "intensity_mean": mean,
        "intensity_sd": sd,
        "components": len(sizes),
        "largest_components_ml": [size * image.voxel_volume_ml for size in sizes[:LARGEST]],
        "centroid_mm": _centroid_mm(mask, box, image.affine),
        "cut_by": _cut_by(image.array, mask, box),
    }


def _joined(boxes: list[Box | None], labels: tuple[int, ...]) -> Box | None:
    """The box around some labels; `boxes` holds label 1's first."""
    found = [boxes[label - 1] for label in labels if label <= len(boxes) and boxes[label - 1]]
    if not found:
        return None
    return tuple(
        slice(min(part.start for part in parts), max(part.stop for part in parts))
        for parts in zip(*found, strict=True)
    )


def _intensity(values: np.ndarray) -> tuple[float | None, float | None]:
    if values.dtype.kind == "f":
        values = values[np.isfinite(values)]
    if values.size == 0:
        return None, None
    return float(values.mean(dtype=np.float64)), float(values.std(dtype=np.float64))


def _component_sizes(mask: np.ndarray) -> list[int]:
    """Voxels of each component, the largest first."""
    components, count = ndimage.label(mask, np.ones((3, 3, 3)))
    sizes = np.bincount(components.reshape(-1), minlength=count + 1)[1:]
    return [int(size) for size in np.sort(sizes)[::-1]]


def _centroid_mm(mask: np.ndarray, box: Box, affine: np.ndarray) -> list[float]:
    centre = [
        float(np.average(np.arange(part.start, part.stop), weights=mask.sum(axis=others)))
        for part, others in zip(box, ((1, 2), (0, 2), (0, 1)), strict=True)
    ]
    return [float(mm) for mm in (affine @ (*centre[::-1], 1))[:3]]


def _cut_by(array: np.ndarray, mask: np.ndarray, box: Box) -> list[str]:
    cut = []
    for names, part, size in zip(FACES, box, array.shape, strict=True):
        # the box is tight: the region has a voxel on each of its sides
        ends = (part.start == 0, part.stop == size)
        cut += [name for name, end in zip(names, ends, strict=True) if end]
    if _touches_padding(array, mask, box):
        cut.append("padding")
    return cut


def _touches_padding(array: np.ndarray, mask: np.ndarray, box: Box) -> bool:
    """Whether a voxel of the mask, which fills the box, has padding beside it in its slice."""
    z, *plane = box
    low = [max(part.start - 1, 0) for part in plane]
    around = array[z, low[0] : plane[0].stop + 1, low[1] : plane[1].stop + 1]
    padding = ~(around >= _PADDING_HU)
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
