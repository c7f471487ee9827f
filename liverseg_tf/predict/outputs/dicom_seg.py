"""DICOM-SEG: a label map as a segmentation object that refers to its DICOM series."""

import warnings
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from pydicom.dataset import Dataset
from pydicom.uid import CTImageStorage
from pydicom.valuerep import DSfloat

from liverseg_tf import __version__
from liverseg_tf.atomic import replacing
from liverseg_tf.ct.dicom.series import DicomSeries
from liverseg_tf.ct.regions import Regions
from liverseg_tf.ct.snomed import SegmentCode, find_segment_code
from liverseg_tf.ct.volume import Volume
from liverseg_tf.errors import LiverSegError
from liverseg_tf.predict.outputs.dicom_header import NAME, DicomHeader, clean_text, join_notes
from liverseg_tf.predict.outputs.dicom_source import SourceSlice, read_source_slices
from liverseg_tf.predict.outputs.patient_module import choose_character_set, copy_patient_module

if TYPE_CHECKING:
    import highdicom as hd


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
    header: DicomHeader = DicomHeader(),
) -> None:
    """Write a DICOM-SEG file, atomically.

    There is one segment of type BINARY for each region, in their order. Nested regions overlap: the
    voxels of a tumour also belong to the segment of the liver. Empty frames are left out; an empty
    region keeps its description. The object names the series (ReferencedSeriesSequence), and every
    frame names its image (SourceImageSequence), which viewers need to show it.

    Args:
        path: Path of the file.
        series: Series of the image, to whose files the segments refer.
        labels: Label map (z, row, col) uint8 on the grid of the image.
        regions: Regions of the labels.
        notes: What had to be assumed about the image; written as ImageComments.
        header: Model, description and number of the series, and UIDs.

    Raises:
        LiverSegError: If highdicom is not installed, the headers of the series are incomplete, the
            labels are not on the grid of the series, or the file cannot be written.
    """
    check_highdicom()
    sources = read_source_slices(series, labels)
    occupied = np.flatnonzero(labels.array.any(axis=(1, 2)))
    # only the slices between the first and the last label are needed; without labels, one slice
    chosen = slice(occupied[0], occupied[-1] + 1) if len(occupied) else slice(0, 1)
    masks = regions.masks(labels.array[chosen]).view(np.uint8)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # about patient names, which come from the source
            segmentation = _build_segmentation(
                sources[chosen], masks, regions, labels.spacing_mm, header
            )
            if notes:
                segmentation.ImageComments = join_notes(notes, 10240)
            choose_character_set(segmentation)
    except (ValueError, TypeError, AttributeError, KeyError) as error:
        raise LiverSegError(
            f"Expected headers that can be copied to DICOM-SEG in {series}. Received: {error}."
        ) from error
    with replacing(path) as partial:
        segmentation.save_as(partial)


def _build_segmentation(
    sources: list[SourceSlice],
    masks: np.ndarray,
    regions: Regions,
    spacing_mm: tuple,
    header: DicomHeader,
) -> Dataset:
    """Build the segmentation object of masks (z, row, col, regions) uint8."""
    import highdicom as hd

    first = sources[0]
    measures = hd.PixelMeasuresSequence(
        pixel_spacing=list(first.place.spacing_mm),
        slice_thickness=first.thickness_mm,
        spacing_between_slices=spacing_mm[0],
    )
    segmentation = hd.seg.Segmentation(
        source_images=[_stand_in(source, z) for z, source in enumerate(sources)],
        pixel_array=masks,
        segmentation_type=hd.seg.SegmentationTypeValues.BINARY,
        segment_descriptions=[
            _segment_description(number, name, find_segment_code(regions, name), header)
            for number, name in enumerate(regions.names, 1)
        ],
        series_instance_uid=header.uid("seg"),
        series_number=header.number("seg", first.header),
        sop_instance_uid=header.uid("seg", 1),
        instance_number=1,
        manufacturer=NAME,
        manufacturer_model_name=NAME,
        software_versions=__version__,
        device_serial_number=NAME,
        pixel_measures=measures,
        omit_empty_frames=True,
        content_description=header.content,
        series_description=header.description("seg"),
    )
    (shared,) = segmentation.SharedFunctionalGroupsSequence
    # highdicom states 1 mm if there is only one slice
    shared.PixelMeasuresSequence[0].SpacingBetweenSlices = _decimal(spacing_mm[0])
    header.add_equipment(segmentation)
    _name_sources(segmentation, sources)
    return segmentation


def _stand_in(source: SourceSlice, z: int) -> Dataset:
    """Return the header of a single-frame image in place of a source of any kind.

    highdicom takes several files or several frames, but not frames of several files, and it copies
    optional values, which some scanners write in an invalid form.
    """
    image = Dataset()
    copy_patient_module(image, source.header)
    for keyword in (
        *("SeriesInstanceUID", "FrameOfReferenceUID", "PositionReferenceIndicator", "Modality"),
        *("LossyImageCompression", "LossyImageCompressionRatio", "LossyImageCompressionMethod"),
        *("Manufacturer", "ManufacturerModelName", "DeviceSerialNumber", "SoftwareVersions"),
    ):
        if source.header.get(keyword) not in (None, ""):
            image[keyword] = source.header[keyword]
    image.SOPClassUID, image.SOPInstanceUID = CTImageStorage, _stand_in_uid(z)
    image.Rows, image.Columns = source.place.shape
    image.ImagePositionPatient = [_decimal(mm) for mm in source.place.position_mm]
    image.ImageOrientationPatient = [_decimal(cosine) for cosine in source.place.cosines]
    image.PixelSpacing = [_decimal(mm) for mm in source.place.spacing_mm]
    image.SliceThickness = _decimal(source.thickness_mm)
    image.Modality = source.place.modality or "CT"
    return image


def _stand_in_uid(z: int) -> str:
    return f"2.25.{z + 1}"


def _decimal(value: float) -> DSfloat:
    return DSfloat(value, auto_format=True)


def _name_sources(segmentation: Dataset, sources: list[SourceSlice]) -> None:
    """Put the references to the source images in the place of those to their stand-ins."""
    references = {_stand_in_uid(z): source.reference() for z, source in enumerate(sources)}
    files = {str(item.ReferencedSOPInstanceUID): item for item in references.values()}
    (referenced,) = segmentation.ReferencedSeriesSequence
    referenced.ReferencedInstanceSequence = []
    segmentation.SourceImageSequence = []
    for item in files.values():
        for sequence in (referenced.ReferencedInstanceSequence, segmentation.SourceImageSequence):
            whole = Dataset()
            whole.ReferencedSOPClassUID = item.ReferencedSOPClassUID
            whole.ReferencedSOPInstanceUID = item.ReferencedSOPInstanceUID
            sequence.append(whole)
    for frame in segmentation.PerFrameFunctionalGroupsSequence:
        for derivation in frame.DerivationImageSequence:
            for image in derivation.SourceImageSequence:
                # the frames of several segments share the item of their image
                reference = references.get(image.ReferencedSOPInstanceUID)
                if reference is not None:
                    image.update(reference)


def _segment_description(
    number: int, name: str, code: SegmentCode, header: DicomHeader
) -> "hd.seg.SegmentDescription":
    import highdicom as hd
    from pydicom.sr.codedict import codes

    model, is_manual = header.model, header.algorithm == "manual"
    description = hd.seg.SegmentDescription(
        segment_number=number,
        segment_label=clean_text(name, 64),
        segmented_property_category=_coded_concept(code.category),
        segmented_property_type=_coded_concept(code.property_type),
        algorithm_type=hd.seg.SegmentAlgorithmTypeValues(header.algorithm.upper()),
        algorithm_identification=None
        if is_manual
        else hd.AlgorithmIdentificationSequence(
            name=clean_text(model.name, 64),
            family=codes.DCM.ArtificialIntelligence,
            version=clean_text(model.version, 64),
            source=f"{NAME} {__version__}",
            parameters={"fingerprint": model.fingerprint} if model.fingerprint else None,
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
