"""Conversion of a mask from one format to others, on the grid of its image."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from liverseg_tf.ct.images import image_stem, read_label_image
from liverseg_tf.ct.regions import Regions
from liverseg_tf.ct.segments.read_mask import read_grid, read_named_mask
from liverseg_tf.ct.segments.read_segments import (
    is_segment_file,
    segment_stem,
)
from liverseg_tf.ct.segments.segment_file import SegmentFile
from liverseg_tf.ct.segments.segment_names import SegmentNames
from liverseg_tf.ct.volume import Volume
from liverseg_tf.dataset.provenance import MaskRecords
from liverseg_tf.dataset.reading import check_mask_grid, match_axes
from liverseg_tf.errors import LiverSegError, SettingsError
from liverseg_tf.predict.outputs.case_outputs import SegmentedCase

UNNAMED_FORMATS = ("nifti",)  # those that need no names of regions


@dataclass(frozen=True, eq=False)
class MaskToConvert:
    """A mask on the grid of its image.

    Args:
        case: Image, labels and regions. Without an image, the image is the label map itself.
        regions: Regions of the labels. None if nothing names them.
        automatic: Whether the file says that a program made its segments. None if it does not say.
    """

    case: SegmentedCase
    regions: Regions | None
    automatic: bool | None


def read_mask_to_convert(
    mask: Path,
    image: Path | None,
    names: SegmentNames | None,
    channel: int | None = None,
    form: str | None = None,
) -> MaskToConvert:
    """Read a mask of any kind and put it on the grid and into the axis order of its image.

    Args:
        mask: Label map (NIfTI, MetaImage, NRRD), DICOM-SEG, RTSTRUCT or .seg.nrrd.
        image: Image file, or folder with its DICOM series. None if there is none.
        names: Regions, and the names of their segments. None takes the segments' own names.
        channel: Index of the volume of a 4D image.
        form: See `read_image`.

    Raises:
        LiverSegError: If a file cannot be read exactly, or the mask is not on the grid of the
            image or belongs to another one.
    """
    grid = None if image is None else read_grid(image, [mask], channel, form)
    file: SegmentFile | None = None
    regions: Regions | None
    if is_segment_file(mask):
        labels, regions, file = read_named_mask(mask, grid, names)
    else:
        if names is not None and names.patterns:
            raise SettingsError(
                "Expected --segment together with a DICOM-SEG, RTSTRUCT or .seg.nrrd. Received "
                f"{mask}, a label map without names: use --region alone."
            )
        labels, regions = read_label_image(mask, form), None if names is None else names.regions
        if grid is not None:
            check_mask_grid(grid.volume, labels)
            labels = match_axes(labels, grid.volume)
        _check_named(labels, regions, mask)
    warnings = labels.warnings if grid is None else (*grid.volume.warnings, *labels.warnings)
    volume = labels if grid is None else grid.volume
    if volume.lacks_orientation:
        warnings = (*warnings, "The header does not say where the axes point: LPS is assumed.")
    colours = {} if file is None or regions is None else _colours(file, regions)
    source = mask if grid is None else grid.series or image
    assert source is not None, "without an image, the mask is the source"
    case = SegmentedCase(
        source,
        volume,
        labels,
        regions or Regions({"mask": range(1, 256)}),
        warnings=tuple(dict.fromkeys(warnings)),
        colours=colours,
    )
    automatic = None if file is None else file.automatic
    return MaskToConvert(case, regions, _was_predicted(mask) if automatic is None else automatic)


def _was_predicted(mask: Path) -> bool | None:
    """Return True if `liverseg predict` recorded that it wrote this file, otherwise None."""
    record = MaskRecords(mask.parent).read(name_of_mask(mask))
    if record is None or not mask.is_file():
        return None
    return mask.stat().st_size in record.files.values() or None


def _check_named(labels: Volume, regions: Regions | None, path: Path) -> None:
    """Check that regions that were named contain every label, so that none is lost."""
    if regions is None:
        return
    known = {label for _, of in regions.items for label in of}
    found = np.flatnonzero(np.bincount(labels.array.reshape(-1), minlength=256)).tolist()
    others = [label for label in found if label and label not in known]
    if others:
        raise LiverSegError(
            f"Expected labels of {', '.join(regions.names)} in {path}. Received also "
            f"{', '.join(map(str, others[:8]))}, which no --region names: name them as well."
        )


def _colours(file: SegmentFile, regions: Regions) -> dict[str, tuple[int, int, int]]:
    """Return the colours of the regions whose segments have their name."""
    by_name = {segment.name.casefold(): segment.colour for segment in file.segments}
    found = {name: by_name.get(name.casefold()) for name in regions.names}
    return {name: colour for name, colour in found.items() if colour is not None}


def name_of_mask(path: Path) -> str:
    """Return the name of a mask's file without its suffix.

    Example:
        >>> name_of_mask(Path("masks/liver_0.seg.nrrd")), name_of_mask(Path("liver_0.nii.gz"))
        ('liver_0', 'liver_0')
    """
    path = Path(path).absolute()
    return segment_stem(path) or image_stem(path) or path.name
