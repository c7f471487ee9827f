"""What the header of a DICOM file says about each of its slices."""

import math
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pydicom
from pydicom.dataset import Dataset
from pydicom.uid import ExplicitVRLittleEndian, ImplicitVRLittleEndian

from liverseg_tf.errors import LiverSegError

LARGEST_PIXELS = 2**26
# in multi-frame files, what belongs to a frame lies in sequences, for itself or for all frames
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
class Slice:
    """One image of a series: a file, or a frame of a multi-frame file.

    Args:
        file: that holds it.
        frame: index in the file.
        uid: SOPInstanceUID.
        patient: PatientID.
        localizer: whether it says that it is a scout view.
        position_mm: centre of the first pixel, LPS mm.
        cosines: direction of a row (along which the column index grows), then of a column; LPS.
        spacing_mm: distance of neighbouring (rows, columns).
        distance_mm: to the next slice as the header claims it; None where it does not.
        shape: (rows, columns).
        slope: of the stored values to HU.
        intercept: of the stored values to HU.
        syntax: transfer syntax UID, how the pixels are encoded.
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


def read_slices(file: Path) -> list[Slice]:
    """The slices of a DICOM file, from its header alone.

    Raises:
        LiverSegError: when the file is missing or broken, a tag that a volume needs is missing
            or no number, or the image is in colour.
    """
    try:
        dataset = pydicom.dcmread(file, stop_before_pixels=True, force=True, specific_tags=_TAGS)
        return _slices(dataset, file)
    except OSError as error:
        raise LiverSegError(f"Expected a file at {file}. Received: {error.strerror}.") from error
    except (LiverSegError, MemoryError):
        raise
    except Exception as error:  # values are parsed on access: a broken one raises anything
        raise LiverSegError(
            f"Expected a valid DICOM header in {file}. Received: {error or type(error).__name__}."
        ) from error


def transfer_syntax(dataset: Dataset) -> str:
    """How a file's values are encoded; files without preamble do not say so."""
    stated = dataset.file_meta.get("TransferSyntaxUID")
    implicit = dataset.original_encoding[0]
    return str(stated or (ImplicitVRLittleEndian if implicit else ExplicitVRLittleEndian))


def is_localizer(dataset: Dataset) -> bool:
    """Whether the image says that it is a scout view."""
    return "LOCALIZER" in (str(value).upper() for value in _several(dataset.get("ImageType")))


def _slices(dataset: Dataset, file: Path) -> list[Slice]:
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
            f"Expected functional groups for the {frames} frames of {file}. Received {len(groups)}."
        )
    if groups is None:
        return [_slice(dataset, dataset.get, file, (0, shape))]
    shared = dataset.get("SharedFunctionalGroupsSequence") or [Dataset()]
    return [
        _slice(dataset, _frame_values(dataset, (group, shared[0])), file, (frame, shape))
        for frame, group in enumerate(groups)
    ]


def _slice(
    dataset: Dataset, value: Callable, file: Path, frame_shape: tuple[int, tuple[int, int]]
) -> Slice:
    def numbers(keyword: str, count: int) -> tuple[float, ...]:
        return _numbers(value(keyword), keyword, count, file)

    slope, intercept = _rescale(dataset, value, file)
    claimed = value("SpacingBetweenSlices") or value("SliceThickness")
    return Slice(
        file=file,
        frame=frame_shape[0],
        uid=str(dataset.get("SOPInstanceUID", "")),
        patient=str(dataset.get("PatientID", "")),
        localizer=is_localizer(dataset),
        position_mm=numbers("ImagePositionPatient", 3),
        cosines=numbers("ImageOrientationPatient", 6),
        spacing_mm=numbers("PixelSpacing", 2),
        distance_mm=abs(float(claimed)) if claimed else None,
        shape=frame_shape[1],
        slope=slope,
        intercept=intercept,
        syntax=transfer_syntax(dataset),
    )


def _frame_values(dataset: Dataset, items: tuple[Dataset, Dataset]) -> Callable:
    def value(keyword: str) -> object:
        for item in items:
            for group in item.get(_GROUPS[keyword]) or ():
                if keyword in group:
                    return group[keyword].value
        return dataset.get(keyword) if keyword.startswith("Rescale") else None

    return value


def _shape(dataset: Dataset, file: Path) -> tuple[int, int]:
    rows, columns = (
        int(_numbers(dataset.get(keyword), keyword, 1, file)[0]) for keyword in ("Rows", "Columns")
    )
    if not (rows > 0 and columns > 0 and rows * columns <= LARGEST_PIXELS):
        raise LiverSegError(
            f"Expected a slice of 1 to {LARGEST_PIXELS} pixels in {file}. "
            f"Received {rows} rows and {columns} columns."
        )
    colours = str(dataset.get("PhotometricInterpretation") or "MONOCHROME2")
    samples = int(dataset.get("SamplesPerPixel") or 1)
    # MONOCHROME1 asks for an inverted display; the HU behind it are the same
    if samples != 1 or not colours.startswith("MONOCHROME"):
        raise LiverSegError(
            f"Expected one grey value a pixel in {file}. "
            f"Received {samples} a pixel, {colours} (a colour image)."
        )
    return rows, columns


def _rescale(dataset: Dataset, value: Callable, file: Path) -> tuple[float, float]:
    if dataset.get("ModalityLUTSequence"):
        raise LiverSegError(
            f"Expected RescaleSlope and RescaleIntercept in {file}. Received a look-up table."
        )
    slope, intercept = value("RescaleSlope"), value("RescaleIntercept")
    unsigned = dataset.get("PixelRepresentation") == 0
    if dataset.get("Modality") == "CT" and unsigned and (slope is None or intercept is None):
        raise LiverSegError(
            f"Expected RescaleSlope and RescaleIntercept in {file}. "
            "Received unsigned values without them, which are no HU."
        )
    slope = 1.0 if slope is None else _numbers(slope, "RescaleSlope", 1, file)[0]
    intercept = 0.0 if intercept is None else _numbers(intercept, "RescaleIntercept", 1, file)[0]
    if slope == 0:
        raise LiverSegError(f"Expected a RescaleSlope other than 0 in {file}. Received 0.")
    return slope, intercept


def _numbers(value: object, keyword: str, count: int, file: Path) -> tuple[float, ...]:
    numbers = tuple(float(number) for number in _several(value))
    if len(numbers) != count or not all(map(math.isfinite, numbers)):
        raise LiverSegError(
            f"Expected {keyword} of {count} finite number{'s' * (count > 1)} in {file}. "
            f"Received {'none' if not numbers else list(numbers)}."
        )
    return numbers


def _several(value: object) -> list:
    """A DICOM value as a list: none, one or several."""
    if value is None or value == "":
        return []
    return [value] if isinstance(value, str | float | int) else list(value)
