"""Patient and study of an image, as its results repeat them."""

import re
from collections.abc import Callable

from pydicom.dataset import Dataset
from pydicom.multival import MultiValue
from pydicom.valuerep import DA, TM

# DICOM allows these tags to be empty but not to be missing, as they are in some anonymised files.
MAY_BE_EMPTY = (
    *("PatientID", "PatientName", "PatientBirthDate", "PatientSex", "AccessionNumber"),
    *("StudyID", "StudyDate", "StudyTime", "ReferringPhysicianName"),
)
_COPIED = (*MAY_BE_EMPTY, "StudyInstanceUID", "StudyDescription", "IssuerOfPatientID")
_CONTROL = re.compile(r"[\x00-\x1f\x7f]")
_SEXES = ("M", "F", "O")
_TEXT = {"LO", "LT", "PN", "SH", "ST", "UC", "UT"}
# values that must not be anything else, and the function that raises ValueError for others
_PARSERS: dict[str, Callable[[str], object]] = {
    "PatientBirthDate": DA,
    "StudyDate": DA,
    "StudyTime": TM,
    "PatientSex": _SEXES.index,
}


def clean_patient_module(header: Dataset) -> None:
    """Make the patient and the study of an image valid, so that results can repeat them.

    Tags that are missing and may be empty are added as empty tags. Dates, times and a sex that
    are no valid values become empty, several values become one, and control characters become
    underscores: archives refuse results with invalid values.

    Args:
        header: Header of an image, which is changed.
    """
    for keyword in MAY_BE_EMPTY:
        value = header.get(keyword)
        # a backslash in a name separates values
        text = "_".join(map(str, value)) if isinstance(value, MultiValue) else str(value or "")
        cleaned = _CONTROL.sub("_", text)
        if value is None or cleaned != str(value):
            setattr(header, keyword, cleaned)
    for keyword, parse in _PARSERS.items():
        value = header[keyword].value
        if value in ("", None):
            continue
        try:
            parse(str(value).strip())
        except (TypeError, ValueError):
            setattr(header, keyword, "")


def copy_patient_module(target: Dataset, header: Dataset) -> None:
    """Copy the patient and the study of an image to a result.

    Args:
        target: Result, which is changed.
        header: Header of the image after `clean_patient_module`.
    """
    for keyword in _COPIED:
        if keyword in header:
            target[keyword] = header[keyword]


def choose_character_set(dataset: Dataset) -> None:
    """Set the character set of a result: none for ASCII, otherwise UTF-8.

    The texts of the image were decoded with its own character set. UTF-8 holds all of them, and the
    names of regions as well.

    Args:
        dataset: Complete result, which is changed.
    """
    if _is_ascii(dataset):
        dataset.pop("SpecificCharacterSet", None)
    else:
        dataset.SpecificCharacterSet = "ISO_IR 192"


def _is_ascii(dataset: Dataset) -> bool:
    for element in dataset:
        if element.VR == "SQ":
            if not all(map(_is_ascii, element.value)):
                return False
        elif element.VR in _TEXT and not str(element.value).isascii():
            return False
    return True
