"""RTSTRUCT: a label map as contours on the slices of its DICOM series."""

import warnings
from datetime import datetime
from pathlib import Path

import numpy as np
from pydicom.dataset import Dataset, FileDataset, FileMetaDataset
from pydicom.uid import ImplicitVRLittleEndian, RTStructureSetStorage, generate_uid

from liverseg_tf import __version__
from liverseg_tf.atomic import replacing
from liverseg_tf.ct.dicom.series import DicomSeries
from liverseg_tf.ct.regions import Regions
from liverseg_tf.ct.volume import Volume
from liverseg_tf.errors import LiverSegError
from liverseg_tf.predict.outputs.dicom_source import join_notes, read_source_headers
from liverseg_tf.predict.outputs.polygons import find_polygons
from liverseg_tf.predict.outputs.snomed import SegmentCode, find_segment_code

NAME = "liverseg_tf"
_COPIED_TAGS = (  # patient and study; `read_source_headers` has added missing ones
    *("SpecificCharacterSet", "PatientID", "PatientName", "PatientBirthDate", "PatientSex"),
    *("StudyInstanceUID", "StudyID", "StudyDate", "StudyTime", "StudyDescription"),
    *("AccessionNumber", "ReferringPhysicianName", "FrameOfReferenceUID"),
    "PositionReferenceIndicator",
)
_STUDY_CLASS = "1.2.840.10008.3.1.2.3.1"  # retired in DICOM, but still expected by programs


def write_rtstruct(
    path: Path,
    series: DicomSeries,
    labels: Volume,
    regions: Regions,
    notes: tuple[str, ...] = (),
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

    Raises:
        LiverSegError: If the headers of the series are incomplete, the labels are not on the grid
            of the series, or the file cannot be written.
    """
    sources = read_source_headers(series, labels)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # about unusual values in the headers of the source
            dataset = _build_structure_set(sources)
            if notes:
                dataset.StructureSetDescription = join_notes(notes, 1024)
            for number, name in enumerate(regions.names, 1):
                code = find_segment_code(regions, name)
                contours = _build_contours(sources, labels.array, regions, name)
                _add_roi(dataset, number, name, code, contours)
            with replacing(path) as partial:
                dataset.save_as(partial, enforce_file_format=True)
    except (ValueError, TypeError, AttributeError, KeyError) as error:
        raise LiverSegError(
            f"Expected headers that can be copied to RTSTRUCT in {series}. Received: {error}."
        ) from error


def _build_structure_set(sources: list[Dataset]) -> Dataset:
    """Build the structure set without ROIs."""
    first, now = sources[0], datetime.now()
    dataset = FileDataset("", {}, file_meta=FileMetaDataset(), preamble=b"\0" * 128)
    # explicit transfer syntaxes limit a contour to 65,534 bytes
    dataset.file_meta.TransferSyntaxUID = ImplicitVRLittleEndian
    dataset.SOPClassUID, dataset.SOPInstanceUID = RTStructureSetStorage, generate_uid()
    for keyword in _COPIED_TAGS:
        if keyword in first:
            dataset[keyword] = first[keyword]
    dataset.Modality, dataset.SeriesInstanceUID = "RTSTRUCT", generate_uid()
    dataset.SeriesNumber = 2000 + int(first.get("SeriesNumber") or 0)
    dataset.InstanceNumber = 1
    dataset.SeriesDescription = f"{NAME} structures"
    dataset.Manufacturer = dataset.ManufacturerModelName = NAME
    dataset.SoftwareVersions, dataset.OperatorsName = __version__, ""
    dataset.StructureSetLabel, dataset.ApprovalStatus = NAME, "UNAPPROVED"
    dataset.StructureSetDate = dataset.SeriesDate = now.strftime("%Y%m%d")
    dataset.StructureSetTime = dataset.SeriesTime = now.strftime("%H%M%S")
    series, study, frame = Dataset(), Dataset(), Dataset()
    series.SeriesInstanceUID = first.SeriesInstanceUID
    series.ContourImageSequence = [_reference(source) for source in sources]
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
    dataset: Dataset, number: int, name: str, code: SegmentCode, contours: list[Dataset]
) -> None:
    roi, roi_contour, observation = Dataset(), Dataset(), Dataset()
    roi.ROINumber, roi.ROIName = number, name.replace("\\", "_")[:64]
    roi.ReferencedFrameOfReferenceUID = dataset.FrameOfReferenceUID
    roi.ROIGenerationAlgorithm = "AUTOMATIC"
    roi.ROIGenerationDescription = f"{NAME} {__version__}"
    roi_contour.ReferencedROINumber = number
    roi_contour.ROIDisplayColor = list(code.colour)
    if contours:
        roi_contour.ContourSequence = contours
    observation.ObservationNumber = observation.ReferencedROINumber = number
    # a lesion becomes a target volume only when a physician decides so
    observation.RTROIInterpretedType = "ORGAN" if code.category[1].startswith("Anat") else ""
    observation.ROIInterpreter = ""
    observation.RTROIIdentificationCodeSequence = [_code_item(code.property_type)]
    dataset.StructureSetROISequence.append(roi)
    dataset.ROIContourSequence.append(roi_contour)
    dataset.RTROIObservationsSequence.append(observation)


def _build_contours(
    sources: list[Dataset], labels: np.ndarray, regions: Regions, name: str
) -> list[Dataset]:
    contours = []
    for source, plane in zip(sources, labels, strict=True):
        if not plane.any():
            continue
        corner = np.array(source.ImagePositionPatient, float)
        across, down = np.array(source.ImageOrientationPatient, float).reshape(2, 3)
        row_mm, col_mm = map(float, source.PixelSpacing)
        for polygon in find_polygons(regions.mask(plane, name)):
            contour = Dataset()
            contour.ContourImageSequence = [_reference(source)]
            contour.ContourGeometricType = "CLOSED_PLANAR"
            contour.NumberOfContourPoints = len(polygon)
            points_mm = corner + polygon @ np.stack([down * row_mm, across * col_mm])
            contour.ContourData = [f"{mm:.3f}" for mm in points_mm.ravel().tolist()]
            contours.append(contour)
    return contours


def _reference(source: Dataset) -> Dataset:
    reference = Dataset()
    reference.ReferencedSOPClassUID = source.SOPClassUID
    reference.ReferencedSOPInstanceUID = source.SOPInstanceUID
    return reference


def _code_item(code: tuple[str, str]) -> Dataset:
    item = Dataset()
    item.CodeValue, item.CodeMeaning = code
    item.CodingSchemeDesignator = "SCT"
    return item
