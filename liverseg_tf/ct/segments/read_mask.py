"""Reading masks of any kind: label maps, and files with named segments."""

from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path

import numpy as np

from liverseg_tf.ct.dicom.series import find_volume_series, read_series
from liverseg_tf.ct.images import read_image, read_label_image
from liverseg_tf.ct.regions import Regions
from liverseg_tf.ct.segments.label_map import draw_label_map, draw_own_labels
from liverseg_tf.ct.segments.read_segments import is_segment_file, read_segments, referenced_by
from liverseg_tf.ct.segments.seg_nrrd import read_seg_nrrd
from liverseg_tf.ct.segments.segment_file import ImageGrid, SegmentFile
from liverseg_tf.ct.segments.segment_names import SegmentNames
from liverseg_tf.ct.volume import Volume
from liverseg_tf.errors import LiverSegError
from liverseg_tf.plural import count


def read_mask(
    path: Path,
    grid: ImageGrid | None = None,
    names: SegmentNames | None = None,
    form: str | None = None,
    any_spacing: bool = False,
) -> Volume:
    """Read a mask of any kind as a label map.

    Args:
        path: Label map in any format (see `read_label_image`), DICOM-SEG, RTSTRUCT or .seg.nrrd.
        grid: Image of the mask, on whose grid segments are drawn. A label map keeps its own grid,
            which is not compared here.
        names: Regions of the segments. None gives each segment its number as its label.
        form: See `read_image`.
        any_spacing: See `read_image`.

    Returns:
        Label map uint8; what had to be assumed is in its `warnings`.

    Raises:
        LiverSegError: If the mask cannot be read exactly, belongs to another image, or needs an
            image and there is none.
    """
    if not is_segment_file(path):
        return read_label_image(path, form, any_spacing)
    return read_named_mask(path, grid, names)[0]


def read_grid(
    image: Path, masks: Iterable[Path], channel: int | None = None, form: str | None = None
) -> ImageGrid:
    """Read the image of masks.

    Args:
        image: Image file, or folder of DICOM series. Of several, that one is read to which a
            DICOM-SEG or RTSTRUCT refers.
        masks: Its masks.
        channel: Index of the volume of a 4D image.
        form: See `read_image`.

    Raises:
        LiverSegError: If the image cannot be read, or it is not clear which series is meant.
    """
    if not image.is_dir():
        return ImageGrid(read_image(image, channel, form))
    series = find_volume_series(image)
    if len(series) > 1:
        referenced = {uid for mask in masks for uid in referenced_by(mask)}
        series = [one for one in series if one.uid in referenced] or series
    if len(series) != 1:
        listed = "; ".join(f"{one} ({count(one.image_count, 'image')})" for one in series[:5])
        raise LiverSegError(
            f"Expected one DICOM series in {image}. Received {listed or 'no series'}."
        )
    if channel:
        raise LiverSegError(f"Expected a 4D NIfTI file for channel {channel}. Received {image}.")
    return ImageGrid(read_series(series[0]), series[0])


def read_named_mask(
    path: Path, grid: ImageGrid | None, names: SegmentNames | None
) -> tuple[Volume, Regions, SegmentFile]:
    """Read a file with named segments as a label map, its regions, and its segments.

    Args:
        path: DICOM-SEG, RTSTRUCT or .seg.nrrd.
        grid: See `read_mask`.
        names: See `read_mask`.

    Raises:
        LiverSegError: As `read_mask`.
    """
    if grid is None:
        file, volume = _on_own_grid(path)
    else:
        file, volume = read_segments(path, grid), grid.volume
    if names is None:
        labels, regions, notes = draw_own_labels(file, volume.array.shape)
    else:
        labels, notes = draw_label_map(file, names, volume.array.shape)
        regions = names.regions
    mask = replace(volume, array=labels, modality="", warnings=tuple(notes))
    return mask, regions, file


def _on_own_grid(path: Path) -> tuple[SegmentFile, Volume]:
    if not str(path).lower().endswith(".nrrd"):
        raise LiverSegError(
            f"Expected the image of {path}, on whose slices the segments are drawn. "
            "Received none: name the image or the folder of its series."
        )
    file, affine = read_seg_nrrd(path, None)
    shape = file.draw(file.segments[0]).shape if file.segments else (1, 1, 1)
    return file, Volume(np.zeros(shape, np.uint8), affine)
