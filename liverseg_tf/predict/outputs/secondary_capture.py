"""Secondary captures: slices with contours as colour images, for viewers without DICOM-SEG."""

import warnings
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path

import numpy as np
from pydicom.dataset import Dataset, FileDataset, FileMetaDataset
from pydicom.uid import ExplicitVRLittleEndian, SecondaryCaptureImageStorage

from liverseg_tf import __version__
from liverseg_tf.atomic import replacing
from liverseg_tf.ct.dicom.series import DicomSeries
from liverseg_tf.ct.regions import Regions
from liverseg_tf.ct.snomed import find_segment_code
from liverseg_tf.ct.volume import Volume, check_same_grid
from liverseg_tf.errors import LiverSegError
from liverseg_tf.predict.outputs.capture_pages import (
    TableRow,
    draw_slice,
    draw_table,
    enlargement,
)
from liverseg_tf.predict.outputs.capture_view import (
    choose_window,
    orientation_letters,
    turn_upright,
)
from liverseg_tf.predict.outputs.dicom_header import NAME, DicomHeader, code_item, join_notes
from liverseg_tf.predict.outputs.dicom_source import SourceSlice, read_source_slices
from liverseg_tf.predict.outputs.measurements import measure
from liverseg_tf.predict.outputs.patient_module import choose_character_set, copy_patient_module

_LOSSY = (*("LossyImageCompression", "LossyImageCompressionRatio", "LossyImageCompressionMethod"),)
_PERSON = ("PatientName", "PatientID", "ReferringPhysicianName")


def write_sc(
    folder: Path,
    series: DicomSeries,
    image: Volume,
    labels: Volume,
    regions: Regions,
    notes: tuple[str, ...] = (),
    header: DicomHeader = DicomHeader(),
) -> list[Path]:
    """Write a folder of secondary captures, atomically.

    The first image is a page with the volume and the mean of each region. The slices in which
    something was found follow, those of an axial series from superior to inferior, each in the
    window of the image with the contours of the regions. Each image is a file of its own, since
    several viewers show only the first frame of a multi-frame object. Every image says that it is
    not for diagnostic use; none names the patient.

    Args:
        folder: Folder for the files 0001.dcm, 0002.dcm and so on; an existing one is replaced.
        series: Series of the image, to whose files the captures refer.
        image: Image (z, row, col) in HU or MR units.
        labels: Label map (z, row, col) uint8 on the grid of the image.
        regions: Regions of the labels.
        notes: What had to be assumed about the image; written on the page and as ImageComments.
        header: Model, description and number of the series, and UIDs.

    Returns:
        Paths of the files.

    Raises:
        LiverSegError: If the headers of the series are incomplete, the labels are not on the grid
            of the series, or the files cannot be written.
    """
    check_same_grid(image, labels)
    sources = read_source_slices(series, labels)
    names = []
    with replacing(Path(folder)) as partial:
        partial.mkdir()
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # about unusual values in the headers of the source
                for dataset in _build_captures(sources, image, labels, regions, notes, header):
                    names.append(f"{dataset.InstanceNumber:04d}.dcm")
                    dataset.save_as(partial / names[-1], enforce_file_format=True)
        except (ValueError, TypeError, AttributeError, KeyError) as error:
            raise LiverSegError(
                "Expected headers that can be copied to secondary captures in "
                f"{series}. Received: {error}."
            ) from error
    return [Path(folder) / name for name in names]


def _build_captures(
    sources: list[SourceSlice],
    image: Volume,
    labels: Volume,
    regions: Regions,
    notes: tuple[str, ...],
    header: DicomHeader,
) -> Iterator[Dataset]:
    colours = [find_segment_code(regions, name).colour for name in regions.names]
    table = _measure_rows(image, labels, regions, colours)
    mean = next((row.intensity_mean for row in table if row.intensity_mean is not None), None)
    window = choose_window(sources[len(sources) // 2], image, mean)
    occupied = np.flatnonzero(labels.array.any(axis=(1, 2)))
    common = _build_common(sources[0], header, notes)
    factor = enlargement(image.array.shape[1:])
    rows, cols = (factor * size for size in image.array.shape[1:])
    lines = [
        f"Model: {header.model.name}, version {header.model.version}",
        f"Fingerprint: {header.model.fingerprint or 'unknown'}",
        f"Software: {NAME} {__version__}",
        f"Slices with a region: {len(occupied)} of {len(sources)}. Window: level "
        f"{window.level_hu:g}, width {window.width_hu:g}.",
        *_without_person(notes, sources[0].header),
    ]
    unit = "no unit" if image.modality == "MR" else "HU"
    yield _build_instance(common, header, 1, draw_table(table, unit, lines, (rows, cols)))
    for number, z in enumerate(occupied[::-1], 2):
        flips, directions = turn_upright(sources[z].directions)
        plane, plane_labels = image.array[z][flips], labels.array[z][flips]
        picture = draw_slice(plane, window, plane_labels, regions, colours)
        dataset = _build_instance(common, header, number, picture)
        _refer_to(dataset, sources[z], factor)
        dataset.PatientOrientation = [orientation_letters(vector) for vector in directions]
        yield dataset


def _build_common(source: SourceSlice, header: DicomHeader, notes: tuple[str, ...]) -> Dataset:
    """Build what all images of the series share."""
    common, now = Dataset(), datetime.now()
    copy_patient_module(common, source.header)
    common.SOPClassUID = SecondaryCaptureImageStorage
    common.Modality, common.ConversionType = "OT", "WSD"
    common.SeriesInstanceUID = header.uid("sc")
    common.SeriesNumber = header.number("sc", source.header)
    common.SeriesDescription = header.description("sc")
    common.SeriesDate = common.ContentDate = common.InstanceCreationDate = now.strftime("%Y%m%d")
    common.SeriesTime = common.ContentTime = common.InstanceCreationTime = now.strftime("%H%M%S")
    common.ImageType = ["DERIVED", "SECONDARY"]
    common.BurnedInAnnotation = "NO"  # the text identifies neither patient nor date
    common.DerivationDescription = "Contours of an automatic segmentation. Not for diagnostic use."
    common.PatientOrientation = common.Laterality = ""
    if notes:
        common.ImageComments = join_notes(notes, 10240)
    common.SecondaryCaptureDeviceManufacturer = NAME
    common.SecondaryCaptureDeviceSoftwareVersions = __version__
    header.add_equipment(common)
    if source.header.get("LossyImageCompression") == "01":
        for keyword in _LOSSY:
            if keyword in source.header:
                common[keyword] = source.header[keyword]
    return common


def _build_instance(
    common: Dataset, header: DicomHeader, number: int, picture: np.ndarray
) -> Dataset:
    dataset = FileDataset("", {}, file_meta=FileMetaDataset(), preamble=b"\0" * 128)
    dataset.update(common)
    dataset.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    dataset.SOPInstanceUID, dataset.InstanceNumber = header.uid("sc", number), number
    dataset.SamplesPerPixel, dataset.PhotometricInterpretation = 3, "RGB"
    dataset.PlanarConfiguration, dataset.PixelRepresentation = 0, 0
    dataset.Rows, dataset.Columns = picture.shape[:2]
    dataset.BitsAllocated, dataset.BitsStored, dataset.HighBit = 8, 8, 7
    pixels = picture.tobytes()
    dataset.PixelData = pixels + b"\0" * (len(pixels) % 2)
    choose_character_set(dataset)
    return dataset


def _refer_to(dataset: Dataset, source: SourceSlice, factor: int) -> None:
    """Refer to the CT or MR slice that a capture shows, and add its pixel spacing."""
    reference = source.reference()
    reference.PurposeOfReferenceCodeSequence = [
        code_item("121322", "DCM", "Source image for image processing operation")
    ]
    dataset.SourceImageSequence = [reference]
    dataset.PixelSpacing = [f"{mm / factor:.8g}" for mm in source.place.spacing_mm]


def _measure_rows(
    image: Volume, labels: Volume, regions: Regions, colours: list[tuple[int, int, int]]
) -> list[TableRow]:
    measured = measure(image, labels, regions)["regions"]
    rows = []
    for name, colour in zip(regions.names, colours, strict=True):
        cut = ", ".join(measured[name]["cut_by"])
        remark = f"may be incomplete: cut by the field of view ({cut})" if cut else ""
        volume_ml, mean = measured[name]["volume_ml"], measured[name]["intensity_mean"]
        rows.append(TableRow(name, colour, volume_ml, mean, remark))
    return rows


def _without_person(notes: tuple[str, ...], header: Dataset) -> Iterator[str]:
    """Yield the notes for the page; one that may name a person is replaced."""
    words = {
        word.casefold()
        for keyword in _PERSON
        for word in str(header.get(keyword) or "").replace("^", " ").replace("=", " ").split()
        if len(word) > 2
    }
    for note in notes:
        if any(word in note.casefold() for word in words):
            yield "A warning about the image is in the ImageComments of this object."
        else:
            yield f"Warning: {note}"
