"""Units of a slice: its modality, and the factors from stored values to HU or other units."""

from collections.abc import Callable
from pathlib import Path

from pydicom.dataset import Dataset
from pydicom.uid import UID

from liverseg_tf.ct.dicom.values import check_numbers
from liverseg_tf.errors import LiverSegError

# Units of CT-like images that are no HU (PS3.3 C.11.1.1.2), such as maps of iodine.
_OTHER_UNITS = {"OD", "MGML", "Z_EFF", "ED", "EDW", "HU_MOD", "PCT"}


def read_modality(dataset: Dataset) -> str:
    """Return the modality; where the tag is missing, it follows from the class of the image."""
    stated = str(dataset.get("Modality") or "").strip().upper()
    words = UID(str(dataset.get("SOPClassUID") or "")).name.split()
    return stated or next((word for word in words if word in ("CT", "MR")), "")


def read_rescaling(
    dataset: Dataset, value_of: Callable, modality: str, file: Path
) -> tuple[float, float, bool]:
    """Return slope, intercept, and whether the header contains both.

    Args:
        dataset: Header of the file.
        value_of: Function from the keyword to the value of a frame.
        modality: Modality of the file.
        file: Path of the file, for error messages.

    Raises:
        LiverSegError: If the values are mapped by a table, are no HU according to the header, or
            the factors are missing, 0 or no numbers.
    """
    if dataset.get("ModalityLUTSequence"):
        raise LiverSegError(
            f"Expected RescaleSlope and RescaleIntercept in {file}. "
            "Received a look-up table (ModalityLUTSequence), which is not supported."
        )
    units = str(value_of("RescaleType") or "").strip().upper()
    if modality == "CT" and units in _OTHER_UNITS:
        raise LiverSegError(
            f"Expected a CT in HU in {file}. Received values of the RescaleType {units}."
        )
    slope, intercept = (value_of(keyword) for keyword in ("RescaleSlope", "RescaleIntercept"))
    stated = slope not in (None, "") and intercept not in (None, "")
    if modality == "CT" and not stated and dataset.get("PixelRepresentation") == 0:
        raise LiverSegError(
            f"Expected RescaleSlope and RescaleIntercept in {file}. "
            "Received unsigned values without these tags: they are not HU."
        )
    if (slope in (None, "")) != (intercept in (None, "")):
        raise LiverSegError(
            f"Expected RescaleSlope and RescaleIntercept in {file}. Received only one of them."
        )
    factors = (("RescaleSlope", slope, 1.0), ("RescaleIntercept", intercept, 0.0))
    slope, intercept = (
        default if value is None else check_numbers(value, keyword, 1, file)[0]
        for keyword, value, default in factors
    )
    if slope == 0:
        raise LiverSegError(f"Expected a RescaleSlope other than 0 in {file}. Received 0.")
    return slope, intercept, stated
