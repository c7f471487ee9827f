"""Reading the segmentations of 3D Slicer (.seg.nrrd): named segments in one or several layers."""

from dataclasses import replace
from pathlib import Path

import numpy as np

from liverseg_tf.ct.itk.nrrd import read_keys, read_layered_header
from liverseg_tf.ct.itk.voxel_files import read_voxels
from liverseg_tf.ct.segments.placement import place_pixels
from liverseg_tf.ct.segments.segment_file import ImageGrid, Segment, SegmentFile
from liverseg_tf.ct.size_limit import check_size
from liverseg_tf.errors import LiverSegError
from liverseg_tf.printable import printable

KIND = "a segmentation of 3D Slicer"
_MAX_SEGMENTS = 1000


def has_segments(path: Path) -> bool:
    """Return whether an NRRD file names segments as 3D Slicer does."""
    keys = read_keys(path)
    return "Segment0_ID" in keys or "Segment0_Name" in keys


def read_seg_nrrd(path: Path, grid: ImageGrid | None) -> tuple[SegmentFile, np.ndarray]:
    """Read the segments of a .seg.nrrd file.

    Args:
        path: NRRD file with the keys of 3D Slicer.
        grid: Image of the segments, a part of which may be stored. None takes the grid of the file.

    Returns:
        The segments, and the affine of the grid on which they are drawn.

    Raises:
        LiverSegError: If the file is damaged, or on another grid than its image.
    """
    header, keys = read_layered_header(path)
    shape = header.voxels.shape  # (layers, i, j, k)
    check_size(shape, 2 * header.voxels.dtype.itemsize, path)
    layers, _ = read_voxels(header.voxels)
    if layers.dtype.kind not in "iu":
        raise LiverSegError(f"Expected whole numbers as labels in {path}. Received {layers.dtype}.")
    if header.lacks_orientation:
        raise LiverSegError(
            f"Expected a space in the header of {path}, such as left-posterior-superior. "
            "Received none, so that its position is unknown."
        )
    segments: list[Segment] = []
    places: dict[int, tuple[int, int]] = {}  # number of a segment: its layer and its label there
    for index in range(_MAX_SEGMENTS):
        if not any(f"Segment{index}_{key}" in keys for key in ("ID", "Name")):
            break
        segment, layer = _segment(keys, index, path)
        if not 0 <= layer < shape[0] or segment.number < 1:
            raise LiverSegError(
                f"Expected a label above 0 in one of {shape[0]} layers of {path} for the segment "
                f"{segment}. Received the label {segment.number} in layer {layer}."
            )
        place = (layer, segment.number)
        if segment.number in places:  # labels need to differ only within a layer
            segment = replace(segment, number=max(places) + 1)
        segments.append(segment)
        places[segment.number] = place
    _check_named(layers, places, path)

    def draw(segment: Segment) -> np.ndarray:
        layer, stored = places[segment.number]
        own = layers[..., layer] == stored
        if grid is None:
            return own
        mask = np.zeros(grid.volume.array.shape, bool)
        pixels = np.argwhere(own)[:, ::-1]  # (i, j, k)
        place_pixels(mask, pixels, _corners(header.affine, shape[1:], grid), shape[1:], path)
        return mask

    return SegmentFile(path, KIND, tuple(segments), draw), header.affine


def _corners(affine: np.ndarray, shape: tuple[int, ...], grid: ImageGrid) -> np.ndarray:
    """Voxel coordinates in the image of the file's first voxel and of the last along each axis."""
    ends = np.vstack([np.zeros(3), np.diag(np.array(shape) - 1.0)])
    to_image = np.linalg.inv(grid.volume.affine) @ affine
    return ends @ to_image[:3, :3].T + to_image[:3, 3]


def _segment(keys: dict[str, str], index: int, path: Path) -> tuple[Segment, int]:
    """Return a segment, whose number is its label value, and its layer."""
    prefix = f"Segment{index}_"
    try:
        layer = int(keys.get(f"{prefix}Layer", index))
        label = int(keys.get(f"{prefix}LabelValue", 1))
        colour = tuple(
            min(max(round(float(value) * 255), 0), 255)
            for value in keys.get(f"{prefix}Color", "").split()
        )
    except (ValueError, OverflowError) as error:
        raise LiverSegError(
            f"Expected whole numbers for label value and layer of segment {index} in {path}. "
            f"Received: {printable(error)}."
        ) from error
    name = keys.get(f"{prefix}Name") or keys.get(f"{prefix}ID") or f"Segment_{index + 1}"
    rgb = (colour[0], colour[1], colour[2]) if len(colour) == 3 else None
    return Segment(label, printable(name).strip(), rgb), layer


def _check_named(layers: np.ndarray, places: dict[int, tuple[int, int]], path: Path) -> None:
    """Check that no voxel has a label that belongs to no segment."""
    for layer in range(layers.shape[-1]):
        known = [0, *(stored for place, stored in places.values() if place == layer)]
        found = np.unique(layers[..., layer])
        others = sorted(set(found.tolist()) - set(known))
        if others:
            raise LiverSegError(
                f"Expected a segment for each label in {path}. Received the label {others[0]} in "
                f"layer {layer}, which belongs to none."
            )
