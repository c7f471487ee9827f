"""DICOM series: found in folders and trees, read as volumes."""

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

_SLICES = {
    *(uids.CTImageStorage, uids.EnhancedCTImageStorage, uids.LegacyConvertedEnhancedCTImageStorage),
    *(uids.MRImageStorage, uids.EnhancedMRImageStorage, uids.LegacyConvertedEnhancedMRImageStorage),
    *(uids.PositronEmissionTomographyImageStorage, uids.EnhancedPETImageStorage),
    *(uids.LegacyConvertedEnhancedPETImageStorage, uids.XRay3DAngiographicImageStorage),
}
_NO_SLICES = ("RTDOSE", "RTSTRUCT", "RTPLAN", "RTIMAGE", "SEG", "REG", "SR", "PR", "KO")
_TAGS = [
    *("SOPClassUID", "SeriesInstanceUID", "PatientID", "Modality", "SeriesNumber"),
    *("SeriesDescription", "ImageType", "NumberOfFrames", "ImagePositionPatient"),
]


@dataclass(frozen=True)
class DicomSeries:
    """Files that share a SeriesInstanceUID.

    Args:
        uid: SeriesInstanceUID; '' for what has none in one folder, is broken or unreadable.
        files: sorted by path, which says nothing about their order in the patient.
        images: how many there are, frames counted.
        localizer: whether all of them say that they are scout views.
        patient: PatientID.
        modality: such as 'CT'.
        number: SeriesNumber, as text; '' where there is none.
        description: SeriesDescription.
    """

    uid: str
    files: tuple[Path, ...]
    images: int = 0
    localizer: bool = False
    patient: str = ""
    modality: str = ""
    number: str = ""
    description: str = ""

    @property
    def folder(self) -> Path:
        """The folder that holds all of its files, at any depth."""
        return Path(os.path.commonpath([file.parent for file in self.files]))

    def __str__(self) -> str:
        words = ["series", self.number, f"'{self.description}'" if self.description else ""]
        words += [self.uid or "without SeriesInstanceUID", "in", str(self.folder)]
        return " ".join(word for word in words if word)


def find_series(folder: Path) -> list[DicomSeries]:
    """The series of images in a folder and all folders below it, sorted by their first file.

    Files are recognised by their content, whatever their names. Other files, DICOMDIR, and
    DICOM objects that are no slices of a patient (contours, segmentations, reports, screen
    captures) are passed over. Links are followed, each folder is visited once.

    What is unreadable or broken comes as a series without UID, which can't be read.
    """
    headers: dict[str, list[tuple[Path, Dataset | None]]] = {}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # odd values are judged where they matter
        for path in files_below(folder):
            for dataset in _header(path):
                uid = "" if dataset is None else str(dataset.get("SeriesInstanceUID") or "")
                # what has no UID stays together by folder, for its reader to say what is wrong
                headers.setdefault(uid or str(path.parent), []).append((path, dataset))
        series = [_series(entries) for entries in headers.values()]
    return sorted(series, key=lambda one: one.files[0])


def holds_series(folder: Path) -> bool:
    """Whether there is any DICOM slice in a folder or below it."""
    return any(True for path in files_below(folder) for _ in _header(path))


def volume_series(folder: Path) -> list[DicomSeries]:
    """The series of a folder that are meant as volumes.

    Localizers and single images beside them are passed over; a single image alone is taken.
    """
    found = find_series(folder)
    volumes = [one for one in found if not one.localizer and (one.images > 1 or not one.uid)]
    return volumes or [one for one in found if not one.localizer]


def read_series(series: DicomSeries) -> Volume:
    """Read a series: sorted by position, rescaled slice by slice.

    Args:
        series: of single-frame or multi-frame (enhanced) files.

    Returns:
        A volume without header. Rows and columns run as they are stored; slices run to the
        patient's left, posterior or superior, to the one that their normal is nearest to. The
        dtype is int16 where all values are whole numbers that fit, else int32 or float32.

    Raises:
        LiverSegError: when the series is no volume; names the series and the reason.
    """
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            slices = [one for file in series.files for one in read_slices(file)]
            if not series.uid:
                raise LiverSegError("Expected a SeriesInstanceUID in each file. Received none.")
            slices = [one for one in slices if not one.localizer] or slices
            slices, affine = stack_slices(slices)
            return Volume(read_pixels(slices), affine)
    except LiverSegError as error:
        raise LiverSegError(f"{error} ({series})") from error


def _series(entries: list[tuple[Path, Dataset | None]]) -> DicomSeries:
    headers = [dataset for _, dataset in entries if dataset is not None]
    first = headers[0] if headers else Dataset()
    return DicomSeries(
        uid=str(first.get("SeriesInstanceUID") or ""),
        files=tuple(sorted(path for path, _ in entries)),
        images=sum(_frames(dataset) for _, dataset in entries),
        localizer=bool(headers) and all(map(is_localizer, headers)),
        patient=_text(first, "PatientID"),
        modality=_text(first, "Modality"),
        number=_text(first, "SeriesNumber"),
        description=_text(first, "SeriesDescription"),
    )


def _text(dataset: Dataset, keyword: str) -> str:
    """A value in one line; '' where there is none or it can't be parsed."""
    try:
        return " ".join(str(dataset.get(keyword) or "").split())
    except Exception:  # pydicom parses on access, and a broken value raises anything
        return ""


def _frames(dataset: Dataset | None) -> int:
    text = "" if dataset is None else _text(dataset, "NumberOfFrames")
    return int(text) if text.isdecimal() else 1


def _header(path: Path) -> Iterator[Dataset | None]:
    """The header of a slice; None for what is broken or unreadable; nothing for other files."""
    try:
        mode = path.stat().st_mode
        if stat.S_ISDIR(mode):
            yield None
        if not stat.S_ISREG(mode):  # a pipe would wait for ever
            return
        with open(path, "rb") as stream:
            start = stream.read(132)
            marked = start[128:] == b"DICM"
            if not start and path.suffix.lower() == ".dcm":  # a copy that ended before it began
                yield None
            # files of old archives lack the preamble and begin with the first tags
            if not marked and start[:2] not in (b"\x08\0", b"\x02\0"):
                return
            stream.seek(0)
            try:
                dataset = pydicom.dcmread(
                    stream, stop_before_pixels=True, force=True, specific_tags=_TAGS
                )
                if _is_slice(dataset):
                    # pydicom parses on access: what is broken raises here
                    dataset.get("SeriesInstanceUID"), is_localizer(dataset)
                    yield dataset
                elif marked and _is_cut(dataset):
                    yield None
            except (OSError, MemoryError):
                raise
            except Exception:  # broken headers raise anything
                if marked:
                    yield None
    except OSError as error:
        if error.errno != errno.ELOOP:  # a link to itself
            yield None


def _is_slice(dataset: Dataset) -> bool:
    kind, modality = dataset.get("SOPClassUID"), _text(dataset, "Modality")
    if kind in _SLICES or (not kind and modality in ("CT", "MR", "PT")):
        return True
    # converted images are often secondary captures; without a position they are screenshots
    return "ImagePositionPatient" in dataset and modality not in _NO_SLICES


def _is_cut(dataset: Dataset) -> bool:
    """Whether the file ends before it says what it is; a directory of files never says."""
    directory = (
        dataset.file_meta.get("MediaStorageSOPClassUID") == uids.MediaStorageDirectoryStorage
    )
    return not directory and "SOPClassUID" not in dataset


def files_below(folder: Path) -> Iterator[Path]:
    """The files below a folder, hidden ones and DICOMDIR left out; and unreadable folders."""
    unreadable: list[OSError] = []
    for root, _, names in walk(folder, unreadable.append):
        for name in names:
            if not name.startswith(".") and name.upper() != "DICOMDIR":
                yield root / name
    yield from (Path(error.filename) for error in unreadable)
