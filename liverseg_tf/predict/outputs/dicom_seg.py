"""DICOM-SEG: a label map as a segmentation object that refers to its DICOM series."""

import re
import warnings
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from pydicom.dataset import Dataset

from liverseg_tf import __version__
from liverseg_tf.atomic import replacing
from liverseg_tf.ct.dicom.series import DicomSeries
from liverseg_tf.ct.regions import Regions
from liverseg_tf.ct.volume import Volume
from liverseg_tf.errors import LiverSegError
from liverseg_tf.predict.outputs.dicom_source import join_notes, read_source_headers
from liverseg_tf.predict.outputs.snomed import SegmentCode, find_segment_code

if TYPE_CHECKING:
    import highdicom as hd

NAME = "liverseg_tf"


def check_highdicom() -> None:
    """Check that highdicom, which writes DICOM-SEG, is installed.

    Raises:
        LiverSegError: If it is not installed.
    """
    try:
        import highdicom  # noqa: F401
    except ImportError as error:
        raise LiverSegError(
            "Expected highdicom to write DICOM-SEG (pip install 'liverseg_tf[dicom]'). "
            f"Received: {error}."
        ) from error


def write_seg(
    path: Path,
    series: DicomSeries,
    labels: Volume,
    regions: Regions,
    notes: tuple[str, ...] = (),
) -> None:
    """Write a DICOM-SEG file, atomically.

    There is one segment of type BINARY for each region, in their order. Nested regions overlap: the
    voxels of a tumour also belong to the segment of the liver. Empty frames are left out; an empty
    region keeps its description.

    Args:
        path: Path of the file.
        series: Series of the image, to whose files the segments refer.
        labels: Label map (z, row, col) uint8 on the grid of the image.
        regions: Regions of the labels.
        notes: What had to be assumed about the image; written as ImageComments.

    Raises:
        LiverSegError: If highdicom is not installed, the headers of the series are incomplete, the
            labels are not on the grid of the series, or the file cannot be written.
    """
    check_highdicom()
    sources = read_source_headers(series, labels)
    occupied = np.flatnonzero(labels.array.any(axis=(1, 2)))
    # only the slices between the first and the last label are needed; without labels, one slice
    chosen = slice(occupied[0], occupied[-1] + 1) if len(occupied) else slice(0, 1)
    masks = regions.masks(labels.array[chosen]).view(np.uint8)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # about patient names, which come from the source
            segmentation = _build_segmentation(sources[chosen], masks, regions, labels.spacing_mm)
    except (ValueError, TypeError, AttributeError, KeyError) as error:
        raise LiverSegError(
            f"Expected headers that can be copied to DICOM-SEG in {series}. Received: {error}."
        ) from error
    if notes:
        segmentation.ImageComments = join_notes(notes, 10240)
    with replacing(path) as partial:
        segmentation.save_as(partial)


def _build_segmentation(
    sources: list[Dataset], masks: np.ndarray, regions: Regions, spacing_mm: tuple
) -> Dataset:
    """Build the segmentation object of masks (z, row, col, regions) uint8."""
    import highdicom as hd

    first = sources[0]
    measures = hd.PixelMeasuresSequence(
        pixel_spacing=[*map(float, first.PixelSpacing)],
        slice_thickness=float(first.SliceThickness),
        spacing_between_slices=spacing_mm[0],
    )
    return hd.seg.Segmentation(
        source_images=sources,
        pixel_array=masks,
        segmentation_type=hd.seg.SegmentationTypeValues.BINARY,
        segment_descriptions=[
            _segment_description(number, name, find_segment_code(regions, name))
            for number, name in enumerate(regions.names, 1)
        ],
        series_instance_uid=hd.UID(),
        series_number=1000 + int(first.get("SeriesNumber") or 0),
        sop_instance_uid=hd.UID(),
        instance_number=1,
        manufacturer=NAME,
        manufacturer_model_name=NAME,
        software_versions=__version__,
        device_serial_number=NAME,
        pixel_measures=measures,
        omit_empty_frames=True,
        content_description="Automatic segmentation",
        series_description=f"{NAME} segmentation",
    )


def _segment_description(number: int, name: str, code: SegmentCode) -> "hd.seg.SegmentDescription":
    import highdicom as hd
    from pydicom.sr.codedict import codes

    description = hd.seg.SegmentDescription(
        segment_number=number,
        segment_label=_segment_label(name),
        segmented_property_category=_coded_concept(code.category),
        segmented_property_type=_coded_concept(code.property_type),
        algorithm_type=hd.seg.SegmentAlgorithmTypeValues.AUTOMATIC,
        algorithm_identification=hd.AlgorithmIdentificationSequence(
            name=NAME, family=codes.DCM.ArtificialIntelligence, version=__version__
        ),
        anatomic_regions=[_coded_concept(code.anatomic_region)] if code.anatomic_region else None,
        display_color=hd.color.CIELabColor.from_rgb(*code.colour),
    )
    if code.laterality:
        property_type = description.SegmentedPropertyTypeCodeSequence[0]
        property_type.SegmentedPropertyTypeModifierCodeSequence = [_coded_concept(code.laterality)]
    return description


def _coded_concept(code: tuple[str, str]) -> "hd.sr.CodedConcept":
    import highdicom as hd

    value, meaning = code
    return hd.sr.CodedConcept(value, "SCT", meaning)


def _segment_label(name: str) -> str:
    """Return at most 64 characters, without backslashes and control characters."""
    return re.sub(r"[\\\x00-\x1f]", "_", name)[:64]
