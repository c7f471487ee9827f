"""DICOM-SEG: a label map as a segmentation object of the series that it was made from."""

import re
import warnings
from pathlib import Path

import numpy as np
from pydicom.dataset import Dataset

from liverseg_tf import __version__
from liverseg_tf.atomic import replacing
from liverseg_tf.ct.dicom.series import DicomSeries
from liverseg_tf.ct.regions import Regions
from liverseg_tf.ct.volume import Volume
from liverseg_tf.errors import LiverSegError
from liverseg_tf.predict.outputs.dicom_source import read_sources
from liverseg_tf.predict.outputs.snomed import SegmentCode, find_segment_code

NAME = "liverseg_tf"


def check_highdicom() -> None:
    """Raise a `LiverSegError` where highdicom, which writes DICOM-SEG, isn't installed."""
    try:
        import highdicom  # noqa: F401
    except ImportError as error:
        raise LiverSegError(
            "Expected highdicom to write DICOM-SEG (pip install 'liverseg_tf[dicom]'). "
            f"Received: {error}."
        ) from error


def write_seg(path: Path, series: DicomSeries, labels: Volume, regions: Regions) -> None:
    """Write a DICOM-SEG file, whole or not at all.

    A segment for each region, in their order, of the type BINARY. Nested regions overlap, as
    their masks do: a tumour's voxels are in the liver's segment as well. Frames without a voxel
    are left out; a region without any keeps its description.

    Args:
        path: of the file.
        series: that the image was read from; the segments refer to its files.
        labels: (z, row, col) uint8, on the image's grid.
        regions: what the labels mean.

    Raises:
        LiverSegError: when highdicom isn't installed, the series' files can't be referred to or
            aren't the volume's slices, or the file can't be written.
    """
    check_highdicom()
    sources = read_sources(series, labels)
    busy = np.flatnonzero(labels.array.any(axis=(1, 2)))
    # slices above and below the organs need not be held; one is needed where there is no organ
    chosen = slice(busy[0], busy[-1] + 1) if len(busy) else slice(0, 1)
    masks = regions.masks(labels.array[chosen]).view(np.uint8)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of patients' names; they are the source's
            segmentation = _segmentation(sources[chosen], masks, regions, labels.spacing_mm)
    except (ValueError, TypeError, AttributeError, KeyError) as error:
        raise LiverSegError(
            f"Expected headers that DICOM-SEG can take over, in {series}. Received: {error}."
        ) from error
    with replacing(path) as partial:
        segmentation.save_as(partial)


def _segmentation(
    sources: list[Dataset], masks: np.ndarray, regions: Regions, spacing_mm: tuple
) -> Dataset:
    """Of masks (z, row, col, regions) uint8."""
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
            _description(number, name, find_segment_code(regions, name))
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


def _description(number: int, name: str, anatomy: SegmentCode) -> Dataset:
    import highdicom as hd
    from pydicom.sr.codedict import codes

    description = hd.seg.SegmentDescription(
        segment_number=number,
        segment_label=_label(name),
        segmented_property_category=_code(anatomy.category),
        segmented_property_type=_code(anatomy.kind),
        algorithm_type=hd.seg.SegmentAlgorithmTypeValues.AUTOMATIC,
        algorithm_identification=hd.AlgorithmIdentificationSequence(
            name=NAME, family=codes.DCM.ArtificialIntelligence, version=__version__
        ),
        anatomic_regions=[_code(anatomy.site)] if anatomy.site else None,
        display_color=hd.color.CIELabColor.from_rgb(*anatomy.colour),
    )
    if anatomy.side:
        kind = description.SegmentedPropertyTypeCodeSequence[0]
        kind.SegmentedPropertyTypeModifierCodeSequence = [_code(anatomy.side)]
    return description


def _code(code: tuple[str, str]) -> Dataset:
    import highdicom as hd

    value, meaning = code
    return hd.sr.CodedConcept(value, "SCT", meaning)


def _label(name: str) -> str:
    """At most 64 letters, none of which DICOM gives a meaning."""
    return re.sub(r"[\\\x00-\x1f]", "_", name)[:64]
