"""Headers of DICOM files: position, orientation, spacing and rescaling of each slice."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from pydicom.dataset import Dataset

from liverseg_tf import plural
from liverseg_tf.ct.dicom.attributes import read_attributes, read_group_attributes
from liverseg_tf.ct.dicom.file import open_dicom, read_header, transfer_syntax
from liverseg_tf.ct.dicom.pixel_format import PixelFormat, read_pixel_format, read_shape
from liverseg_tf.ct.dicom.units import read_modality, read_rescaling
from liverseg_tf.ct.dicom.values import as_list, check_numbers
from liverseg_tf.errors import LiverSegError, reason_of

# Multi-frame files store these values in sequences, per frame or shared by all frames.
_GROUPS = {
    "ImagePositionPatient": "PlanePositionSequence",
    "ImageOrientationPatient": "PlaneOrientationSequence",
    "PixelSpacing": "PixelMeasuresSequence",
    "SliceThickness": "PixelMeasuresSequence",
    "SpacingBetweenSlices": "PixelMeasuresSequence",
    "RescaleSlope": "PixelValueTransformationSequence",
    "RescaleIntercept": "PixelValueTransformationSequence",
    "RescaleType": "PixelValueTransformationSequence",
}


@dataclass(frozen=True)
class DicomSlice:
    """One image of a series: a single-frame file, or one frame of a multi-frame file.

    Args:
        file: Path of the file.
        frame: Index of the frame in the file, from 0.
        uid: SOPInstanceUID of the file.
        patient: PatientID.
        modality: Modality, for example "CT".
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
        rescaled: Whether the header contains slope and intercept. Otherwise they are 1 and 0.
        pixels: How the pixels are stored.
        syntax: Transfer syntax UID: the encoding of the pixels.
        attributes: Other values of the header by keyword; see `read_attributes`.
    """

    file: Path
    frame: int
    uid: str
    patient: str
    modality: str
    localizer: bool
    position_mm: tuple[float, ...]
    cosines: tuple[float, ...]
    spacing_mm: tuple[float, ...]
    distance_mm: float | None
    shape: tuple[int, int]
    slope: float
    intercept: float
    rescaled: bool
    pixels: PixelFormat
    syntax: str
    attributes: Mapping[str, str] = field(default_factory=dict, compare=False, repr=False)


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
        with open_dicom(file) as stream:
            return _slices_of(read_header(stream), file)
    except OSError as error:
        raise LiverSegError(f"Expected a file at {file}. Received: {reason_of(error)}.") from error
    except (LiverSegError, MemoryError):
        raise
    except Exception as error:  # pydicom parses values on access: a broken one raises any error
        raise LiverSegError(
            f"Expected a valid DICOM header in {file}. Received: {error or type(error).__name__}."
        ) from error


def is_localizer(dataset: Dataset) -> bool:
    """Return whether the header marks the image as a localizer (scout view)."""
    return "LOCALIZER" in (str(value).upper() for value in as_list(dataset.get("ImageType")))


def _slices_of(dataset: Dataset, file: Path) -> list[DicomSlice]:
    shape = read_shape(dataset, file)
    pixels = read_pixel_format(dataset, file)
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
        _check_no_mosaic(dataset, file)
    header = _FileHeader(file, dataset, shape, pixels)
    if groups is None:
        return [_build_slice(header, dataset.get, 0, read_attributes(dataset))]
    shared = dataset.get("SharedFunctionalGroupsSequence") or [Dataset()]
    own = read_attributes(dataset)
    return [
        _build_slice(
            header,
            _frame_values(dataset, group, shared[0]),
            frame,
            own | read_group_attributes(group),
        )
        for frame, group in enumerate(groups)
    ]


@dataclass(frozen=True)
class _FileHeader:
    """What all frames of a file share."""

    file: Path
    dataset: Dataset
    shape: tuple[int, int]
    pixels: PixelFormat


def _build_slice(
    header: _FileHeader, value_of: Callable, frame: int, attributes: Mapping[str, str]
) -> DicomSlice:
    dataset, file = header.dataset, header.file

    def numbers(keyword: str, count: int) -> tuple[float, ...]:
        return check_numbers(value_of(keyword), keyword, count, file)

    modality = read_modality(dataset)
    slope, intercept, rescaled = read_rescaling(dataset, value_of, modality, file)
    stated_mm = value_of("SpacingBetweenSlices") or value_of("SliceThickness")
    return DicomSlice(
        file=file,
        frame=frame,
        uid=str(dataset.get("SOPInstanceUID", "")),
        patient=str(dataset.get("PatientID", "")),
        modality=modality,
        localizer=is_localizer(dataset),
        position_mm=numbers("ImagePositionPatient", 3),
        cosines=numbers("ImageOrientationPatient", 6),
        spacing_mm=numbers("PixelSpacing", 2),
        distance_mm=abs(float(stated_mm)) if stated_mm else None,
        shape=header.shape,
        slope=slope,
        intercept=intercept,
        rescaled=rescaled,
        pixels=header.pixels,
        syntax=transfer_syntax(dataset),
        attributes=attributes,
    )


def _check_no_mosaic(dataset: Dataset, file: Path) -> None:
    """Refuse files whose pixels are several slices side by side (Siemens, United Imaging)."""
    kind = (str(value).upper() for value in as_list(dataset.get("ImageType")))
    creators = ((0x0019, "SIEMENS MR HEADER", 0x0A), (0x0065, "Image Private Header", 0x50))
    tiles = 0
    for group, creator, element in creators:
        try:
            tiles = max(tiles, int(dataset.private_block(group, creator)[element].value))
        except (KeyError, TypeError, ValueError):
            continue
    if "MOSAIC" in kind or tiles > 1:
        raise LiverSegError(
            f"Expected one slice per image in {file}. Received a mosaic of several slices: export "
            "the series as enhanced MR or as single slices, or convert it with dcm2niix."
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
