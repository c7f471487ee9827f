"""Reading the image and the mask of a case, with the corrections of its headers."""

from dataclasses import replace
from typing import Any

import numpy as np

from liverseg_tf.ct.dicom.series import DicomSeries, find_volume_series
from liverseg_tf.ct.grid_correction import GridCorrection, lacks_geometry
from liverseg_tf.ct.images import read_image
from liverseg_tf.ct.orientation import Orientation, to_canonical
from liverseg_tf.ct.segments.read_mask import read_mask
from liverseg_tf.ct.segments.read_segments import is_segment_file
from liverseg_tf.ct.segments.segment_file import ImageGrid
from liverseg_tf.ct.volume import Volume, check_finite, check_same_grid
from liverseg_tf.dataset.cases import Case
from liverseg_tf.errors import LiverSegError


def read_case(case: Case, channel: int | None = None) -> tuple[Volume, Volume]:
    """Read the image and the mask of a case.

    Args:
        case: Case with a mask; the correction of its headers is applied.
        channel: Index of the volume to read from a 4D image.

    Returns:
        The image in HU or MR units and its uint8 label map, on the same grid, each in the axis
        order of its file (which may differ).

    Raises:
        LiverSegError: If there is no mask, a file is missing or damaged, image and mask are on
            different grids, or the image contains NaN or infinity.
    """
    if case.mask is None:
        raise LiverSegError(f"Expected a mask for {case.image}. Received an image without one.")
    image, mask = read_volumes(case, channel)
    assert mask is not None, "the case has a mask"
    check_mask_grid(image, mask)
    check_finite(image)
    return image, mask


def read_volumes(case: Case, channel: int | None = None) -> tuple[Volume, Volume | None]:
    """Read a case like `read_case`, but without a mask (None) if it has none, and unchecked.

    Raises:
        LiverSegError: If a file is missing or damaged, or the files of the case are ambiguous.
    """
    if case.ambiguity is not None:
        raise LiverSegError(case.ambiguity)
    correction = case.correction or GridCorrection()
    form, any_spacing = correction.form_in_use, correction.spacing_mm is not None
    image = read_image(case.image, channel, form, any_spacing)
    mask = None
    if case.mask is not None:
        named = is_segment_file(case.mask)
        grid = ImageGrid(image, _series_of(case)) if named else None
        mask = read_mask(case.mask, grid, case.segments, form, any_spacing)
        if named:  # what was assumed about it is shown as about an image
            image = replace(image, warnings=(*image.warnings, *mask.warnings))
        mask = correction.apply_to_mask(mask, image)
    return correction.apply(image), mask


def segments_entry(case: Case) -> dict[str, Any]:
    """Return an entry of a record that says which segments are the regions of a mask.

    It is empty for a label map, whose labels do not depend on names.
    """
    if case.segments is None or case.mask is None or not is_segment_file(case.mask):
        return {}
    patterns = [list(pair) for pair in case.segments.patterns]
    return {"segments": {"regions": case.segments.regions.to_json(), "patterns": patterns}}


def _series_of(case: Case) -> DicomSeries | None:
    if isinstance(case.image, DicomSeries):
        return case.image
    return find_volume_series(case.image)[0] if case.image.is_dir() else None


def check_mask_grid(image: Volume, mask: Volume) -> None:
    """Check that a mask is on the grid of its image; their axis orders may differ.

    Raises:
        LiverSegError: If it is not. The message names --same-voxels if the shapes are equal.
    """
    try:
        check_same_grid(to_canonical(image), to_canonical(mask))
    except LiverSegError as error:
        if image.array.shape != mask.array.shape:
            raise
        raise LiverSegError(
            f"{error} If the mask was drawn on the voxels of the image, use --same-voxels."
        ) from error


def match_axes(mask: Volume, image: Volume) -> Volume:
    """Return a mask in the axis order of its image, on whose grid it is, with its header."""
    canonical = to_canonical(mask).array
    array = Orientation.of(image.affine).from_canonical(canonical)
    return replace(image, array=np.ascontiguousarray(array), warnings=mask.warnings)


def has_guessed_geometry(case: Case, image: Volume) -> bool:
    """Whether the header has no geometry and no correction gives it.

    Args:
        case: Case with its correction.
        image: Image as read by `read_volumes`, with the correction applied.
    """
    corrected = case.correction is not None and case.correction.spacing_mm is not None
    return image.lacks_orientation or (not corrected and lacks_geometry(image))
