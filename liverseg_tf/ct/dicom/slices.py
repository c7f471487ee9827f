"""Headers of DICOM files: position, orientation, spacing and rescaling of each slice."""

import math
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pydicom
from pydicom.dataset import Dataset
from pydicom.uid import ExplicitVRLittleEndian, ImplicitVRLittleEndian

from liverseg_tf import plural
from liverseg_tf.errors import LiverSegError

LARGEST_PIXELS = 2**26
# Multi-frame files store these values in sequences, per frame or shared by all frames.
_GROUPS = {
    "ImagePositionPatient": "PlanePositionSequence",
    "ImageOrientationPatient": "PlaneOrientationSequence",
    "PixelSpacing": "PixelMeasuresSequence",
    "SliceThickness": "PixelMeasuresSequence",
    "SpacingBetweenSlices": "PixelMeasuresSequence",
    "RescaleSlope": "PixelValueTransformationSequence",
    "RescaleIntercept": "PixelValueTransformationSequence",
}
_TAGS = [
    *("ImageType", "SOPInstanceUID", "Modality", "PatientID", "SeriesInstanceUID"),
    *("SamplesPerPixel", "PhotometricInterpretation", "NumberOfFrames", "Rows", "Columns"),
    *("PixelRepresentation", "ModalityLUTSequence", *_GROUPS),
    *("SharedFunctionalGroupsSequence", "PerFrameFunctionalGroupsSequence"),
]


@dataclass(frozen=True)
class DicomSlice:
    """One image of a series: a single-frame file, or one frame of a multi-frame file.

    Args:
        file: Path of the file.
        frame: Index of the frame in the file, from 0.
        uid: SOPInstanceUID of the file.
        patient: PatientID.
        localizer: Whether the header marks the image as a localizer (scout view).
        position_mm: Centre of the first pixel, (x, y, z) in mm, LPS.
        cosines: Direction cosines, LPS: three for the direction in which the column index grows,
            then three for the direction in which the row index grows.
        spacing_mm: Distance between neighbouring (rows, columns), in mm.
        distance_mm: Distance to the next slice according to the header, in mm. None if the
            header does not contain it.
        shape: (rows, columns).
        slope: RescaleSlope, from stored values to HU.
        intercept: RescaleIntercept, from stored values to HU.
        syntax: Transfer syntax UID: the encoding of the pixels.
    """

    file: Path
    frame: int
    uid: str
    patient: str
    localizer: bool
    position_mm: tuple[float, ...]
    cosines: tuple[float, ...]
    spacing_mm: tuple[float, ...]
    distance_mm: float | None
    shape: tuple[int, int]
    slope: float
    intercept: float
    syntax: str


def read_slices(file: Path) -> list[DicomSlice]:
    """Read the headers of all slices in a DICOM file, without their pixels.

    Args:
        file: Single-frame or multi-frame file.

    Returns:
        One slice per frame, in the order of the file.

    Raises:
        LiverSegError: If the file is missing or broken, a required tag is missing or not
            numeric, or the image is in colour.
    """
    try:
        dataset = pydicom.dcmread(file, stop_before_pixels=True, force=True, specific_tags=_TAGS)
        return _slices_of(dataset, file)
    except OSError as error:
        raise LiverSegError(f"Expected a file at {file}. Received: {error.strerror}.") from error
    except (LiverSegError, MemoryError):
        raise
    except Exception as error:  # pydicom parses values on access: a broken one raises any error
        raise LiverSegError(
            f"Expected a valid DICOM header in {file}. Received: {error or type(error).__name__}."
        ) from error


def transfer_syntax(dataset: Dataset) -> str:
    """Return the transfer syntax UID; it is inferred for files without a preamble."""
    stated = dataset.file_meta.get("TransferSyntaxUID")
    implicit = dataset.original_encoding[0]
    return str(stated or (ImplicitVRLittleEndian if implicit else ExplicitVRLittleEndian))


def is_localizer(dataset: Dataset) -> bool:
    """Return whether the header marks the image as a localizer (scout view)."""
    return "LOCALIZER" in (str(value).upper() for value in _as_list(dataset.get("ImageType")))


def format_numbers(numbers: tuple[float, ...]) -> str:
    """Return numbers as text for an error message, separated by commas."""
    return ", ".join(f"{number:g}" for number in numbers)


def _slices_of(dataset: Dataset, file: Path) -> list[DicomSlice]:
    shape = _shape(dataset, file)
    frames = int(dataset.get("NumberOfFrames") or 1)
    groups = dataset.get("PerFrameFunctionalGroupsSequence")
    if groups is None and frames > 1:
        raise LiverSegError(
            f"Expected a position for each of the {frames} frames of {file} (enhanced CT or MR). "
            "Received a multi-frame file without functional groups."
        )
    if groups is not None and len(groups) != frames:
        raise LiverSegError(
            f"Expected functional groups for {plural.count(frames, 'frame')} of {file}. "
            f"Received {len(groups)}."
        )
    if groups is None:
        return [_build_slice(dataset, dataset.get, file, 0, shape)]
    shared = dataset.get("SharedFunctionalGroupsSequence") or [Dataset()]
    return [
        _build_slice(dataset, _frame_values(dataset, group, shared[0]), file, frame, shape)
        for frame, group in enumerate(groups)
    ]


def _build_slice(
    dataset: Dataset, value_of: Callable, file: Path, frame: int, shape: tuple[int, int]
) -> DicomSlice:
    def numbers(keyword: str, count: int) -> tuple[float, ...]:
        return _numbers(value_of(keyword), keyword, count, file)

    slope, intercept = _rescale(dataset, value_of, file)
    stated_mm = value_of("SpacingBetweenSlices") or value_of("SliceThickness")
    return DicomSlice(
        file=file,
        frame=frame,
        uid=str(dataset.get("SOPInstanceUID", "")),
        patient=str(dataset.get("PatientID", "")),
        localizer=is_localizer(dataset),
        position_mm=numbers("ImagePositionPatient", 3),
        cosines=numbers("ImageOrientationPatient", 6),
        spacing_mm=numbers("PixelSpacing", 2),
        distance_mm=abs(float(stated_mm)) if stated_mm else None,
        shape=shape,
        slope=slope,
        intercept=intercept,
        syntax=transfer_syntax(dataset),
    )


def _frame_values(dataset: Dataset, own: Dataset, shared: Dataset) -> Callable:
    """Return a function that looks up a keyword in a frame's own groups, then in shared ones."""

    def value_of(keyword: str) -> object:
        for groups in (own, shared):
            for group in groups.get(_GROUPS[keyword]) or ():
                if keyword in group:
                    return group[keyword].value
        return dataset.get(keyword) if keyword.startswith("Rescale") else None

    return value_of


def _shape(dataset: Dataset, file: Path) -> tuple[int, int]:
    rows, columns = (
        int(_numbers(dataset.get(keyword), keyword, 1, file)[0]) for keyword in ("Rows", "Columns")
    )
    if not (rows > 0 and columns > 0 and rows * columns <= LARGEST_PIXELS):
        raise LiverSegError(
            f"Expected a slice of 1 to {LARGEST_PIXELS} pixels in {file}. "
            f"Received {plural.count(rows, 'row')} and {plural.count(columns, 'column')}."
        )
    colours = str(dataset.get("PhotometricInterpretation") or "MONOCHROME2")
    samples = int(dataset.get("SamplesPerPixel") or 1)
    # MONOCHROME1 only inverts the display: the HU are the same.
    if samples != 1 or not colours.startswith("MONOCHROME"):
        raise LiverSegError(
            f"Expected one grey value per pixel in {file}. "
            f"Received a colour image ({colours}, values per pixel: {samples})."
        )
    return rows, columns


def _rescale(dataset: Dataset, value_of: Callable, file: Path) -> tuple[float, float]:
    """Return slope and intercept."""
    if dataset.get("ModalityLUTSequence"):
        raise LiverSegError(
            f"Expected RescaleSlope and RescaleIntercept in {file}. "
            "Received a look-up table (ModalityLUTSequence), which is not supported."
        )
    slope, intercept = value_of("RescaleSlope"), value_of("RescaleIntercept")
    unsigned = dataset.get("PixelRepresentation") == 0
    if dataset.get("Modality") == "CT" and unsigned and (slope is None or intercept is None):
        raise LiverSegError(
            f"Expected RescaleSlope and RescaleIntercept in {file}. "
            "Received unsigned values without these tags: they are not HU."
        )
    slope = 1.0 if slope is None else _numbers(slope, "RescaleSlope", 1, file)[0]
    intercept = 0.0 if intercept is None else _numbers(intercept, "RescaleIntercept", 1, file)[0]
    if slope == 0:
        raise LiverSegError(f"Expected a RescaleSlope other than 0 in {file}. Received 0.")
    return slope, intercept


def _numbers(value: object, keyword: str, count: int, file: Path) -> tuple[float, ...]:
    numbers = tuple(float(number) for number in _as_list(value))
    expected = f"Expected {keyword} of {plural.count(count, 'finite number')} in {file}."
    if not numbers:
        raise LiverSegError(f"{expected} The tag is missing or empty.")
    if len(numbers) != count or not all(map(math.isfinite, numbers)):
        raise LiverSegError(f"{expected} Received {format_numbers(numbers)}.")
    return numbers


def _as_list(value: Any) -> list:
    """Return a DICOM value, which may be missing, single or multiple, as a list."""
    if value is None or value == "":
        return []
    return [value] if isinstance(value, str | float | int) else list(value)
