"""Recognising DICOM files by their content: slices, other objects, and files that are damaged."""

import errno
import stat
from dataclasses import dataclass
from enum import Enum
from pathlib import Path

from pydicom import uid as uids
from pydicom.dataset import Dataset

from liverseg_tf.ct.dicom.file import open_dicom, read_header
from liverseg_tf.ct.dicom.slices import is_localizer

SLICE_CLASSES = {
    *(uids.CTImageStorage, uids.EnhancedCTImageStorage, uids.LegacyConvertedEnhancedCTImageStorage),
    *(uids.MRImageStorage, uids.EnhancedMRImageStorage, uids.LegacyConvertedEnhancedMRImageStorage),
    *(uids.PositronEmissionTomographyImageStorage, uids.EnhancedPETImageStorage),
    *(uids.LegacyConvertedEnhancedPETImageStorage, uids.XRay3DAngiographicImageStorage),
}
_OTHER_MODALITIES = ("RTDOSE", "RTSTRUCT", "RTPLAN", "RTIMAGE", "SEG", "REG", "SR", "PR", "KO")
_DICOM_ROOT = "1.2.840.10008."
# Label Map Segmentation, which is newer than pydicom's dictionary
LABEL_MAP_CLASS = "1.2.840.10008.5.1.4.1.1.66.7"
_SUFFIXES = (".dcm", ".dicom")


class Kind(Enum):
    """What a file is."""

    SLICE = "a slice of a patient"
    DAMAGED = "a DICOM file that cannot be read"
    OTHER_OBJECT = "a DICOM object without slices"
    NO_DICOM = "another file"


@dataclass(frozen=True)
class RecognisedFile:
    """What a file is, and which series it belongs to.

    Args:
        path: Path of the file.
        kind: What the file is.
        reason: Why a damaged file cannot be read.
        uid: SeriesInstanceUID; empty if there is none.
        patient_id: PatientID.
        modality: Modality.
        number: SeriesNumber as text.
        description: SeriesDescription.
        localizer: Whether the header marks the image as a localizer (scout view).
        captured: Whether the file is a slice because it has a position, not because of its class:
            images that software converted, usually as Secondary Capture.
        frames: Number of frames.
    """

    path: Path
    kind: Kind
    reason: str = ""
    uid: str = ""
    patient_id: str = ""
    modality: str = ""
    number: str = ""
    description: str = ""
    localizer: bool = False
    captured: bool = False
    frames: int = 1

    @property
    def is_other_file(self) -> bool:
        """Whether it is a regular file that is no DICOM file."""
        return self.kind is Kind.NO_DICOM and self.path.is_file()


def recognise(path: Path) -> RecognisedFile:
    """Recognise a file by its content. Files that end in .dcm and are no DICOM are damaged."""
    try:
        mode = path.stat().st_mode
        if stat.S_ISDIR(mode):  # a folder that cannot be listed
            return _damaged(path, "a folder that cannot be read")
        if not stat.S_ISREG(mode):  # reading a pipe would block
            return RecognisedFile(path, Kind.NO_DICOM)
        return _recognise_content(path)
    except OSError as error:
        if error.errno == errno.ELOOP:  # a link to itself
            return RecognisedFile(path, Kind.NO_DICOM)
        return _damaged(path, error.strerror or "a file that cannot be read")


def _recognise_content(path: Path) -> RecognisedFile:
    named_dicom = path.suffix.lower() in _SUFFIXES
    with open(path, "rb") as stream:
        start = stream.read(132)
    marked = start[128:] == b"DICM"
    # Files in old archives have no preamble and start with the first tags.
    if not marked and start[:2] not in (b"\x08\0", b"\x02\0"):
        if named_dicom:
            return _damaged(path, "an empty file" if not start else "no DICOM file")
        return RecognisedFile(path, Kind.NO_DICOM)
    try:
        with open_dicom(path) as stream:
            dataset = read_header(stream)
        if _is_slice(dataset):
            return _describe(path, dataset)
        other_object = _has_other_class(dataset)
    except (OSError, MemoryError):
        raise
    except Exception:  # broken headers raise errors of any class
        other_object = False
    if not other_object and (marked or named_dicom):
        return _damaged(path, "a truncated or damaged header")
    return RecognisedFile(path, Kind.OTHER_OBJECT if other_object else Kind.NO_DICOM)


def _damaged(path: Path, reason: str) -> RecognisedFile:
    return RecognisedFile(path, Kind.DAMAGED, reason)


def _describe(path: Path, dataset: Dataset) -> RecognisedFile:
    frames = _text(dataset, "NumberOfFrames")
    return RecognisedFile(
        path=path,
        kind=Kind.SLICE,
        uid=str(dataset.get("SeriesInstanceUID") or ""),
        patient_id=_text(dataset, "PatientID"),
        modality=_text(dataset, "Modality"),
        number=_text(dataset, "SeriesNumber"),
        description=_text(dataset, "SeriesDescription"),
        localizer=is_localizer(dataset),
        captured=not _is_slice_by_class(dataset),
        frames=int(frames) if frames.isdecimal() else 1,
    )


def _is_slice(dataset: Dataset) -> bool:
    # Software that converts images to DICOM often stores them as Secondary Capture, with a
    # position. Screenshots are stored like that, too, but without a position.
    placed = "ImagePositionPatient" in dataset
    return _is_slice_by_class(dataset) or (
        placed and _text(dataset, "Modality") not in _OTHER_MODALITIES
    )


def _is_slice_by_class(dataset: Dataset) -> bool:
    sop_class, modality = dataset.get("SOPClassUID"), _text(dataset, "Modality")
    if sop_class in SLICE_CLASSES or (not sop_class and modality in ("CT", "MR", "PT")):
        return True
    # the other tag may be damaged
    return dataset.file_meta.get("MediaStorageSOPClassUID") in SLICE_CLASSES


def _has_other_class(dataset: Dataset) -> bool:
    """Return whether the file is of a known or private class, or a DICOMDIR, which has none."""
    if dataset.file_meta.get("MediaStorageSOPClassUID") == uids.MediaStorageDirectoryStorage:
        return True
    sop_class = uids.UID(str(dataset.get("SOPClassUID") or ""))
    if sop_class.startswith(_DICOM_ROOT) or _DICOM_ROOT.startswith(sop_class):
        return sop_class in uids.UID_dictionary or sop_class == LABEL_MAP_CLASS
    return sop_class.is_valid


def _text(dataset: Dataset, keyword: str) -> str:
    """Return a value as one line of text; empty if it is missing or cannot be parsed."""
    try:
        return " ".join(str(dataset.get(keyword) or "").split())
    except Exception:  # pydicom parses values on access: a broken one raises any error
        return ""
