"""DICOM series: finding them in folder trees and reading them as volumes."""

import errno
import os
import stat
import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pydicom
from pydicom import uid as uids
from pydicom.dataset import Dataset

from liverseg_tf.ct.dicom.geometry import stack_slices
from liverseg_tf.ct.dicom.pixels import read_pixels
from liverseg_tf.ct.dicom.slices import is_localizer, read_slices
from liverseg_tf.ct.folder_walk import walk
from liverseg_tf.ct.volume import Volume
from liverseg_tf.errors import LiverSegError

_SLICE_CLASSES = {
    *(uids.CTImageStorage, uids.EnhancedCTImageStorage, uids.LegacyConvertedEnhancedCTImageStorage),
    *(uids.MRImageStorage, uids.EnhancedMRImageStorage, uids.LegacyConvertedEnhancedMRImageStorage),
    *(uids.PositronEmissionTomographyImageStorage, uids.EnhancedPETImageStorage),
    *(uids.LegacyConvertedEnhancedPETImageStorage, uids.XRay3DAngiographicImageStorage),
}
_OTHER_MODALITIES = ("RTDOSE", "RTSTRUCT", "RTPLAN", "RTIMAGE", "SEG", "REG", "SR", "PR", "KO")
_TAGS = [
    *("SOPClassUID", "SeriesInstanceUID", "PatientID", "Modality", "SeriesNumber"),
    *("SeriesDescription", "ImageType", "NumberOfFrames", "ImagePositionPatient"),
]


@dataclass(frozen=True)
class DicomSeries:
    """Files that share a SeriesInstanceUID.

    Args:
        uid: SeriesInstanceUID. An empty string for files of one folder that have none, are broken
            or cannot be read.
        files: Paths sorted by name, which says nothing about their order in the patient.
        image_count: Number of images; each frame of a multi-frame file counts.
        localizer: Whether all images are localizers (scout views).
        patient_id: PatientID; empty if there is none.
        modality: Modality, for example "CT".
        number: SeriesNumber as text; empty if there is none.
        description: SeriesDescription.
    """

    uid: str
    files: tuple[Path, ...]
    image_count: int = 0
    localizer: bool = False
    patient_id: str = ""
    modality: str = ""
    number: str = ""
    description: str = ""

    @property
    def folder(self) -> Path:
        """The folder that contains all files, at any depth."""
        return Path(os.path.commonpath([file.parent for file in self.files]))

    def __str__(self) -> str:
        words = ["series", self.number, f"'{self.description}'" if self.description else ""]
        words += [self.uid or "without SeriesInstanceUID", "in", str(self.folder)]
        return " ".join(word for word in words if word)

    def __repr__(self) -> str:
        return (
            f"DicomSeries({self.modality or 'no modality'}; images: {self.image_count}; "
            f"number: {self.number or 'none'}; description: {self.description or 'none'}; "
            f"uid: {self.uid or 'none'}; folder: {self.folder})"
        )


def find_series(folder: Path) -> list[DicomSeries]:
    """Find the image series in a folder and its subfolders.

    Files are recognised by their content, whatever their names. Skipped are other files, DICOMDIR,
    and DICOM objects that are not slices of a patient (contours, segmentations, reports, screen
    captures). Links are followed, and each folder is visited once.

    Args:
        folder: Root of the tree.

    Returns:
        Series sorted by their first file. Files that cannot be read form a series without UID,
        for which `read_series` raises an error.
    """
    headers: dict[str, list[tuple[Path, Dataset | None]]] = {}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # unusual values are checked where they are used
        for path in files_below(folder):
            for dataset in _read_header(path):
                uid = "" if dataset is None else str(dataset.get("SeriesInstanceUID") or "")
                # Files without UID are grouped by folder; reading them reports the reason.
                headers.setdefault(uid or str(path.parent), []).append((path, dataset))
        found = [_build_series(entries) for entries in headers.values()]
    return sorted(found, key=lambda series: series.files[0])


def contains_series(folder: Path) -> bool:
    """Return whether a folder or its subfolders contain any DICOM slice."""
    return any(True for path in files_below(folder) for _ in _read_header(path))


def first_patient(folder: Path) -> str:
    """Return the PatientID of the first DICOM slice of a folder; empty if there is none."""
    for path in files_below(folder):
        for dataset in _read_header(path):
            if dataset is not None:
                return _text(dataset, "PatientID")
    return ""


def find_volume_series(folder: Path) -> list[DicomSeries]:
    """Find the series of a folder that are volumes.

    Localizers are skipped, and so are single images, unless there is nothing else.

    Args:
        folder: Root of the tree.

    Returns:
        Series sorted by their first file.
    """
    found = [series for series in find_series(folder) if not series.localizer]
    volumes = [series for series in found if series.image_count > 1 or not series.uid]
    return volumes or found


def read_series(series: DicomSeries) -> Volume:
    """Read a series: sort its slices by position and rescale each of them.

    Args:
        series: Series of single-frame or multi-frame (enhanced) files.

    Returns:
        A volume without NIfTI header, array (z, row, col) in HU or MR units. Rows and columns keep
        their stored order. Slices run towards the patient's left, posterior or superior, whichever
        is closest to their normal. The dtype is int16 if all values are integers that fit,
        otherwise int32 or float32.

    Raises:
        LiverSegError: If the series is not a volume; the message gives the series and the reason.
    """
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            slices = [current for file in series.files for current in read_slices(file)]
            if not series.uid:
                raise LiverSegError(
                    "Expected a SeriesInstanceUID in each file. The tag is missing or empty."
                )
            slices = [current for current in slices if not current.localizer] or slices
            slices, affine = stack_slices(slices)
            return Volume(read_pixels(slices), affine)
    except LiverSegError as error:
        raise LiverSegError(f"{error} ({series})") from error


def _build_series(entries: list[tuple[Path, Dataset | None]]) -> DicomSeries:
    headers = [dataset for _, dataset in entries if dataset is not None]
    first = headers[0] if headers else Dataset()
    return DicomSeries(
        uid=str(first.get("SeriesInstanceUID") or ""),
        files=tuple(sorted(path for path, _ in entries)),
        image_count=sum(_frame_count(dataset) for _, dataset in entries),
        localizer=bool(headers) and all(map(is_localizer, headers)),
        patient_id=_text(first, "PatientID"),
        modality=_text(first, "Modality"),
        number=_text(first, "SeriesNumber"),
        description=_text(first, "SeriesDescription"),
    )


def _text(dataset: Dataset, keyword: str) -> str:
    """Return a value as one line of text; empty if it is missing or cannot be parsed."""
    try:
        return " ".join(str(dataset.get(keyword) or "").split())
    except Exception:  # pydicom parses values on access: a broken one raises any error
        return ""


def _frame_count(dataset: Dataset | None) -> int:
    text = "" if dataset is None else _text(dataset, "NumberOfFrames")
    return int(text) if text.isdecimal() else 1


def _read_header(path: Path) -> Iterator[Dataset | None]:
    """Yield the header of a DICOM slice, None for a broken or unreadable file, or nothing."""
    try:
        mode = path.stat().st_mode
        if stat.S_ISDIR(mode):
            yield None
        if not stat.S_ISREG(mode):  # reading a pipe would block
            return
        with open(path, "rb") as stream:
            start = stream.read(132)
            marked = start[128:] == b"DICM"
            if not start and path.suffix.lower() == ".dcm":  # an empty file: an interrupted copy
                yield None
            # Files in old archives have no preamble and start with the first tags.
            if not marked and start[:2] not in (b"\x08\0", b"\x02\0"):
                return
            stream.seek(0)
            try:
                dataset = pydicom.dcmread(
                    stream, stop_before_pixels=True, force=True, specific_tags=_TAGS
                )
                if _is_slice(dataset):
                    # pydicom parses values on access: broken ones raise an error here
                    dataset.get("SeriesInstanceUID"), is_localizer(dataset)
                    yield dataset
                elif marked and _is_truncated(dataset):
                    yield None
            except (OSError, MemoryError):
                raise
            except Exception:  # broken headers raise errors of any class
                if marked:
                    yield None
    except OSError as error:
        if error.errno != errno.ELOOP:  # a link to itself is skipped
            yield None


def _is_slice(dataset: Dataset) -> bool:
    sop_class, modality = dataset.get("SOPClassUID"), _text(dataset, "Modality")
    if sop_class in _SLICE_CLASSES or (not sop_class and modality in ("CT", "MR", "PT")):
        return True
    # Software that converts images to DICOM often stores them as Secondary Capture, with a
    # position. Screenshots are stored like that, too, but without a position.
    return "ImagePositionPatient" in dataset and modality not in _OTHER_MODALITIES


def _is_truncated(dataset: Dataset) -> bool:
    """Return whether the file ends before its SOPClassUID, which only a DICOMDIR lacks."""
    directory = (
        dataset.file_meta.get("MediaStorageSOPClassUID") == uids.MediaStorageDirectoryStorage
    )
    return not directory and "SOPClassUID" not in dataset


def files_below(folder: Path) -> Iterator[Path]:
    """Yield the files below a folder, except hidden ones and DICOMDIR, then unreadable folders."""
    unreadable: list[OSError] = []
    for root, _, names in walk(folder, unreadable.append):
        for name in names:
            if not name.startswith(".") and name.upper() != "DICOMDIR":
                yield root / name
    yield from (Path(error.filename) for error in unreadable)
