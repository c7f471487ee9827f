"""RTSTRUCT: a label map as contours on the slices of its DICOM series."""

import warnings
from datetime import datetime
from pathlib import Path

import numpy as np
from pydicom.dataset import Dataset, FileDataset, FileMetaDataset
from pydicom.uid import ImplicitVRLittleEndian, RTStructureSetStorage

from liverseg_tf.atomic import replacing
from liverseg_tf.ct.dicom.series import DicomSeries
from liverseg_tf.ct.regions import Regions
from liverseg_tf.ct.snomed import SegmentCode, find_segment_code
from liverseg_tf.ct.volume import Volume
from liverseg_tf.errors import LiverSegError
from liverseg_tf.predict.outputs.dicom_header import (
    NAME,
    DicomHeader,
    clean_text,
    code_item,
    join_notes,
)
from liverseg_tf.predict.outputs.dicom_source import SourceSlice, read_source_slices
from liverseg_tf.predict.outputs.patient_module import choose_character_set, copy_patient_module
from liverseg_tf.predict.outputs.polygons import find_polygons

_STUDY_CLASS = "1.2.840.10008.3.1.2.3.1"  # retired in DICOM, but still expected by programs


def write_rtstruct(
    path: Path,
    series: DicomSeries,
    labels: Volume,
    regions: Regions,
    notes: tuple[str, ...] = (),
    header: DicomHeader = DicomHeader(),
) -> None:
    """Write an RTSTRUCT file, atomically.

    There is one ROI for each region, in their order. Its contours are closed and lie in the planes
    of the slices. They contain exactly the centres of the region's pixels, and holes are keyholes;
    see `find_polygons`. Nested regions overlap. An empty region is an ROI without contours.

    Args:
        path: Path of the file.
        series: Series of the image, to whose files the contours refer.
        labels: Label map (z, row, col) uint8 on the grid of the image.
        regions: Regions of the labels.
        notes: What had to be assumed about the image; written as StructureSetDescription.
        header: Model, description and number of the series, and UIDs.

    Raises:
        LiverSegError: If the headers of the series are incomplete, the labels are not on the grid
            of the series, or the file cannot be written.
    """
    sources = read_source_slices(series, labels)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # about unusual values in the headers of the source
            dataset = _build_structure_set(sources, header)
            if notes:
                dataset.StructureSetDescription = join_notes(notes, 1024)
            for number, name in enumerate(regions.names, 1):
                code = find_segment_code(regions, name)
                contours = _build_contours(sources, labels.array, regions, name)
                _add_roi(dataset, number, name, code, contours, header.algorithm.upper())
            choose_character_set(dataset)
            with replacing(path) as partial:
                dataset.save_as(partial, enforce_file_format=True)
    except (ValueError, TypeError, AttributeError, KeyError) as error:
        raise LiverSegError(
            f"Expected headers that can be copied to RTSTRUCT in {series}. Received: {error}."
        ) from error


def _build_structure_set(sources: list[SourceSlice], header: DicomHeader) -> Dataset:
    """Build the structure set without ROIs."""
    first, now = sources[0].header, datetime.now()
    dataset = FileDataset("", {}, file_meta=FileMetaDataset(), preamble=b"\0" * 128)
    # explicit transfer syntaxes limit a contour to 65,534 bytes
    dataset.file_meta.TransferSyntaxUID = ImplicitVRLittleEndian
    dataset.SOPClassUID, dataset.SOPInstanceUID = RTStructureSetStorage, header.uid("rtstruct", 1)
    copy_patient_module(dataset, first)
    dataset.FrameOfReferenceUID = first.FrameOfReferenceUID
    dataset.PositionReferenceIndicator = first.get("PositionReferenceIndicator", "")
    dataset.Modality, dataset.SeriesInstanceUID = "RTSTRUCT", header.uid("rtstruct")
    dataset.SeriesNumber = header.number("rtstruct", first)
    dataset.InstanceNumber = 1
    dataset.SeriesDescription = header.description("rtstruct")
    dataset.OperatorsName = ""
    header.add_equipment(dataset)
    dataset.StructureSetLabel, dataset.ApprovalStatus = NAME, "UNAPPROVED"
    dataset.StructureSetName = clean_text(str(header.model), 64)
    dataset.StructureSetDate = dataset.SeriesDate = now.strftime("%Y%m%d")
    dataset.StructureSetTime = dataset.SeriesTime = now.strftime("%H%M%S")
    series, study, frame = Dataset(), Dataset(), Dataset()
    series.SeriesInstanceUID = first.SeriesInstanceUID
    series.ContourImageSequence = [source.reference() for source in sources]
    study.ReferencedSOPClassUID, study.ReferencedSOPInstanceUID = (
        _STUDY_CLASS,
        first.StudyInstanceUID,
    )
    study.RTReferencedSeriesSequence = [series]
    frame.FrameOfReferenceUID = first.FrameOfReferenceUID
    frame.RTReferencedStudySequence = [study]
    dataset.ReferencedFrameOfReferenceSequence = [frame]
    dataset.StructureSetROISequence = []
    dataset.ROIContourSequence = []
    dataset.RTROIObservationsSequence = []
    return dataset


def _add_roi(
    dataset: Dataset,
    number: int,
    name: str,
    code: SegmentCode,
    contours: list[Dataset],
    algorithm: str,
) -> None:
    roi, roi_contour, observation = Dataset(), Dataset(), Dataset()
    roi.ROINumber, roi.ROIName = number, clean_text(name, 64)
    roi.ReferencedFrameOfReferenceUID = dataset.FrameOfReferenceUID
    roi.ROIGenerationAlgorithm = algorithm
    roi.ROIGenerationDescription = dataset.StructureSetName
    roi_contour.ReferencedROINumber = number
    roi_contour.ROIDisplayColor = list(code.colour)
    if contours:
        roi_contour.ContourSequence = contours
    observation.ObservationNumber = observation.ReferencedROINumber = number
    # a lesion becomes a target volume only when a physician decides so
    observation.RTROIInterpretedType = "ORGAN" if code.category[1].startswith("Anat") else ""
    observation.ROIInterpreter = ""
    observation.RTROIIdentificationCodeSequence = [
        code_item(code.property_type[0], "SCT", code.property_type[1])
    ]
    dataset.StructureSetROISequence.append(roi)
    dataset.ROIContourSequence.append(roi_contour)
    dataset.RTROIObservationsSequence.append(observation)


def _build_contours(
    sources: list[SourceSlice], labels: np.ndarray, regions: Regions, name: str
) -> list[Dataset]:
    contours = []
    for source, plane in zip(sources, labels, strict=True):
        if not plane.any():
            continue
        across, down = source.directions
        row_mm, col_mm = source.place.spacing_mm
        for polygon in find_polygons(regions.mask(plane, name)):
            contour = Dataset()
            contour.ContourImageSequence = [source.reference()]
            contour.ContourGeometricType = "CLOSED_PLANAR"
            contour.NumberOfContourPoints = len(polygon)
            points_mm = source.corner_mm + polygon @ np.stack([down * row_mm, across * col_mm])
            contour.ContourData = [f"{mm:.3f}" for mm in points_mm.ravel().tolist()]
            contours.append(contour)
    return contours
