"""Reasons without the names of patients: errors may repeat values of headers."""

import re
import warnings
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path

from liverseg_tf.ct.dicom.file import open_dicom, read_header

_KEYWORDS = (
    *("PatientName", "PatientID", "OtherPatientIDs", "PatientBirthDate", "AccessionNumber"),
    *("ReferringPhysicianName", "InstitutionName", "PatientComments", "ImageComments"),
)


def without_patient(text: str, files: Iterable[Path]) -> str:
    """Replace what identifies a patient in a text.

    Args:
        text: Text, for example the message of an error.
        files: DICOM files of the patient; the first that can be read is looked at.

    Returns:
        The text in which the values of identifying tags, and the parts of names, are "...".
    """
    for file in files:
        with suppress(Exception), warnings.catch_warnings():  # any error of a broken header
            warnings.simplefilter("ignore")
            with open_dicom(file) as stream:
                header = read_header(stream)
            values = {str(header.get(keyword) or "") for keyword in _KEYWORDS}
            break
    else:
        return text
    parts = {part for value in values for part in re.split(r"[\^=\\\s,]+", value)}
    for word in sorted(values | parts, key=len, reverse=True):
        # two digits are usually a number of something else
        if len(word) > 2 or (len(word) == 2 and word.isalpha()):
            text = re.sub(rf"(?<!\w){re.escape(word)}(?!\w)", "...", text)
    return text
