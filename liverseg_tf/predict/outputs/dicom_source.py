"""Headers of the DICOM files from which the slices of a volume were read."""

import re
import warnings
from pathlib import Path

import numpy as np
from pydicom.dataset import Dataset

from liverseg_tf.ct.dicom.file import open_dicom, read_header
from liverseg_tf.ct.dicom.series import DicomSeries
from liverseg_tf.ct.dicom.slices import is_localizer
from liverseg_tf.ct.volume import GRID_TOLERANCE_VOXELS, Volume
from liverseg_tf.errors import LiverSegError, reason_of
from liverseg_tf.plural import count

_REQUIRED = (
    *("SOPClassUID", "SOPInstanceUID", "SeriesInstanceUID", "StudyInstanceUID"),
    *("FrameOfReferenceUID", "PixelSpacing"),
    *("ImagePositionPatient", "ImageOrientationPatient"),
)
# DICOM allows these tags to be empty but not to be missing, as they are in some anonymised files.
_MAY_BE_EMPTY = (
    *("PatientID", "PatientName", "PatientBirthDate", "PatientSex", "AccessionNumber"),
    *("StudyID", "StudyDate", "StudyTime", "ReferringPhysicianName"),
)


def read_source_headers(series: DicomSeries, grid: Volume) -> list[Dataset]:
    """Read the headers of a series in the order of a volume's slices.

    Each file is assigned to a slice by its position, so that the order of the files and the axis
    order of the volume do not matter.

    Args:
        series: Series of single-frame files.
        grid: Volume on the grid of the series.

    Returns:
        One header, without pixels, for each z of the volume. Required tags that are missing and
        may be empty are added as empty tags.

    Raises:
        LiverSegError: If a file cannot be read, lacks a required tag or is a multi-frame file, or
            if there is not exactly one file for each slice.
    """
    to_voxel = np.linalg.inv(grid.affine)
    sources: dict[int, Dataset] = {}
    depth = len(grid.array)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for file in series.files:
            dataset = _read_header(file)
            if is_localizer(dataset) and not series.localizer:
                continue
            z = _slice_index(dataset, grid, to_voxel, file)
            other = sources.get(z)
            if other is not None and other.SOPInstanceUID != dataset.SOPInstanceUID:
                raise LiverSegError(f"Expected one file for slice {z + 1}. Received two: {series}.")
            if not dataset.get("SliceThickness"):
                dataset.SliceThickness = grid.spacing_mm[0]
            sources[z] = dataset
    uids = {dataset.SOPInstanceUID for dataset in sources.values()}
    if len(uids) < depth:
        raise LiverSegError(
            f"Expected {count(depth, 'file')} with different SOPInstanceUIDs, one for each slice. "
            f"Received {len(uids)}: {series}."
        )
    frames = {str(dataset.FrameOfReferenceUID) for dataset in sources.values()}
    if len(frames) > 1:
        raise LiverSegError(
            f"Expected one FrameOfReferenceUID in {series}, to which DICOM objects refer. "
            f"Received {len(frames)} different ones, which happens in files that were anonymised "
            "one by one: write NIfTI, or anonymise the series again."
        )
    return [sources[z] for z in range(depth)]


def join_notes(notes: tuple[str, ...], length: int) -> str:
    """Join notes to a value that every character set of DICOM can hold.

    Args:
        notes: One line each.
        length: Maximum number of characters.
    """
    text = " ".join(notes).encode("ascii", "backslashreplace").decode()
    return re.sub(r"[\\\x00-\x1f]", "_", text)[:length]


def _read_header(file: Path) -> Dataset:
    try:
        with open_dicom(file) as stream:
            dataset = read_header(stream)
        frames = int(dataset.get("NumberOfFrames") or 1)
        missing = [key for key in _REQUIRED if not dataset.get(key)]
    except OSError as error:
        raise LiverSegError(f"Expected a file at {file}. Received: {reason_of(error)}.") from error
    except Exception as error:  # pydicom parses values on access: a broken one raises any error
        raise LiverSegError(f"Expected a DICOM header in {file}. Received: {error}.") from error
    if frames > 1 or "PerFrameFunctionalGroupsSequence" in dataset:
        raise LiverSegError(
            "Expected one file per slice, to which DICOM-SEG and RTSTRUCT can refer. "
            f"Received a multi-frame file, {file}."
        )
    if missing:
        verb = "tag is" if len(missing) == 1 else "tags are"
        raise LiverSegError(
            f"Expected {', '.join(missing)} in {file}, which DICOM-SEG and RTSTRUCT refer to. "
            f"The {verb} missing or empty."
        )
    for key in _MAY_BE_EMPTY:
        if key not in dataset:
            setattr(dataset, key, "")
    return dataset


def _slice_index(dataset: Dataset, grid: Volume, to_voxel: np.ndarray, file: Path) -> int:
    """Return the z at which the pixels of a file coincide with the voxels of the volume."""
    corner = np.array([*map(float, dataset.ImagePositionPatient)]) * (-1, -1, 1)
    across, down = np.array([*map(float, dataset.ImageOrientationPatient)]).reshape(2, 3)
    rows, cols = grid.array.shape[1:]
    row_mm, col_mm = map(float, dataset.PixelSpacing)
    opposite = corner + (across * col_mm * (cols - 1) + down * row_mm * (rows - 1)) * (-1, -1, 1)
    # voxel coordinates (col, row, z) of the first and the last pixel
    first, last = (to_voxel[:3, :3] @ place + to_voxel[:3, 3] for place in (corner, opposite))
    z = round(float(first[2]))
    distance = max(np.abs(first - (0, 0, z)).max(), np.abs(last - (cols - 1, rows - 1, z)).max())
    shape = (dataset.get("Rows"), dataset.get("Columns"))
    on_grid = shape == (rows, cols) and distance <= 2 * GRID_TOLERANCE_VOXELS
    if not on_grid or not 0 <= z < len(grid.array):
        raise LiverSegError(
            f"Expected {file} to be a slice of the volume. Received a slice that is "
            f"{distance:.2g} voxels away from its grid (is the mask of another series, or on "
            "another grid?)."
        )
    return z
