"""RTSTRUCT: a label map as contours on the slices of the series that it was made from."""

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
from liverseg_tf.predict.outputs.dicom_source import read_sources
from liverseg_tf.predict.outputs.polygons import find_polygons
from liverseg_tf.predict.outputs.snomed import SegmentCode, find_segment_code

NAME = "liverseg_tf"
_TAKEN_OVER = (  # of patient and study; those that may be empty are there
    *("SpecificCharacterSet", "PatientID", "PatientName", "PatientBirthDate", "PatientSex"),
    *("StudyInstanceUID", "StudyID", "StudyDate", "StudyTime", "StudyDescription"),
    *("AccessionNumber", "ReferringPhysicianName", "FrameOfReferenceUID"),
    "PositionReferenceIndicator",
)
_STUDY_CLASS = "1.2.840.10008.3.1.2.3.1"  # retired, and still what its readers look for


def write_rtstruct(path: Path, series: DicomSeries, labels: Volume, regions: Regions) -> None:
    """Write an RTSTRUCT file, whole or not at all.

    An ROI for each region, in their order, with closed planar contours in the planes of the
    series' slices, as `find_polygons` draws them: they hold exactly the centres of the region's
    pixels, and holes are keyholes. Nested regions overlap. An empty region is an ROI without
    contours.

    Args:
        path: of the file.
        series: that the image was read from; the contours refer to its files.
        labels: (z, row, col) uint8, on the image's grid.
        regions: what the labels mean.

    Raises:
        LiverSegError: when the series' files can't be referred to or aren't the volume's
            slices, or the file can't be written.
    """
    sources = read_sources(series, labels)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of odd values in the source's header
            dataset = _structure_set(sources)
            for number, name in enumerate(regions.names, 1):
                anatomy = find_segment_code(regions, name)
                contours = _contours(sources, labels.array, regions, name)
                _add_region(dataset, (number, name), anatomy, contours)
            with replacing(path) as partial:
                dataset.save_as(partial, enforce_file_format=True)
    except (ValueError, TypeError, AttributeError, KeyError) as error:
        raise LiverSegError(
            f"Expected headers that RTSTRUCT can take over, in {series}. Received: {error}."
        ) from error


def _structure_set(sources: list[Dataset]) -> Dataset:
    """Everything but the regions."""
    first, now = sources[0], datetime.now()
    dataset = FileDataset("", {}, file_meta=FileMetaDataset(), preamble=b"\0" * 128)
    # explicit encodings hold contours of 65,534 bytes at most
    dataset.file_meta.TransferSyntaxUID = ImplicitVRLittleEndian
    dataset.SOPClassUID, dataset.SOPInstanceUID = RTStructureSetStorage, generate_uid()
    for keyword in _TAKEN_OVER:
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


def _add_region(
    dataset: Dataset, region: tuple[int, str], anatomy: SegmentCode, contours: list[Dataset]
) -> None:
    number, name = region
    roi, drawn, observed = Dataset(), Dataset(), Dataset()
    roi.ROINumber, roi.ROIName = number, name.replace("\\", "_")[:64]
    roi.ReferencedFrameOfReferenceUID = dataset.FrameOfReferenceUID
    roi.ROIGenerationAlgorithm = "AUTOMATIC"
    roi.ROIGenerationDescription = f"{NAME} {__version__}"
    drawn.ReferencedROINumber = number
    drawn.ROIDisplayColor = list(anatomy.colour)
    if contours:
        drawn.ContourSequence = contours
    observed.ObservationNumber = observed.ReferencedROINumber = number
    # a finding is no target volume before a physician says so
    observed.RTROIInterpretedType = "ORGAN" if anatomy.category[1].startswith("Anat") else ""
    observed.ROIInterpreter = ""
    observed.RTROIIdentificationCodeSequence = [_code(anatomy.kind)]
    dataset.StructureSetROISequence.append(roi)
    dataset.ROIContourSequence.append(drawn)
    dataset.RTROIObservationsSequence.append(observed)


def _contours(
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
            places = corner + polygon @ np.stack([down * row_mm, across * col_mm])
            contour.ContourData = [f"{mm:.3f}" for mm in places.ravel().tolist()]
            contours.append(contour)
    return contours


def _reference(source: Dataset) -> Dataset:
    reference = Dataset()
    reference.ReferencedSOPClassUID = source.SOPClassUID
    reference.ReferencedSOPInstanceUID = source.SOPInstanceUID
    return reference


def _code(code: tuple[str, str]) -> Dataset:
    item = Dataset()
    item.CodeValue, item.CodeMeaning = code
    item.CodingSchemeDesignator = "SCT"
    return item
