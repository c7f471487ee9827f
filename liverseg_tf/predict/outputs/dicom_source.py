"""The files of a DICOM series that the slices of a volume were read from."""

import warnings

import numpy as np
import pydicom
from pydicom.dataset import Dataset

from liverseg_tf.ct.dicom.series import DicomSeries
from liverseg_tf.ct.dicom.slices import is_localizer
from liverseg_tf.ct.volume import GRID_TOLERANCE_VOXELS, Volume
from liverseg_tf.errors import LiverSegError

_NEEDED = ("SOPClassUID", "SOPInstanceUID", "SeriesInstanceUID", "StudyInstanceUID")
_NEEDED_BY_PLACE = (
    *("FrameOfReferenceUID", "PixelSpacing"),
    *("ImagePositionPatient", "ImageOrientationPatient"),
)
# what may be empty in DICOM, but not left out; anonymised files do that
_MAY_BE_EMPTY = (
    *("PatientID", "PatientName", "PatientBirthDate", "PatientSex", "AccessionNumber"),
    *("StudyID", "StudyDate", "StudyTime", "ReferringPhysicianName"),
)


def read_sources(series: DicomSeries, grid: Volume) -> list[Dataset]:
    """The headers of a series, in the order of a volume's slices.

    Each file goes where its own position puts it, so that neither the order of the files nor
    that of the volume matters.

    Args:
        series: of single-frame files.
        grid: a volume on the grid that the series was read as.

    Returns:
        One header for each z of the volume, without pixels; what DICOM wants to be there, if
        only empty, is there.

    Raises:
        LiverSegError: when a file can't be read or lacks what it must be referred to by, when
            it is a multi-frame file, or when files and slices aren't one to one.
    """
    to_voxel = np.linalg.inv(grid.affine)
    sources: list[Dataset | None] = [None] * len(grid.array)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for file in series.files:
            dataset = _read(file)
            if is_localizer(dataset) and not series.localizer:
                continue
            z = _slice_index(dataset, grid, to_voxel, file)
            other = sources[z]
            if other is not None and other.SOPInstanceUID != dataset.SOPInstanceUID:
                raise LiverSegError(f"Expected one file for slice {z + 1}. Received two: {series}.")
            if not dataset.get("SliceThickness"):
                dataset.SliceThickness = grid.spacing_mm[0]
            sources[z] = dataset
    missing = [z + 1 for z, dataset in enumerate(sources) if dataset is None]
    uids = {dataset.SOPInstanceUID for dataset in sources if dataset is not None}
    if missing or len(uids) < len(sources):
        raise LiverSegError(
            f"Expected {len(sources)} files with a SOPInstanceUID each, one for each slice. "
            f"Received {len(uids)}: {series}."
        )
    return sources


def _read(file) -> Dataset:
    try:
        dataset = pydicom.dcmread(file, stop_before_pixels=True, force=True)
        frames = int(dataset.get("NumberOfFrames") or 1)
        lacking = [key for key in (*_NEEDED, *_NEEDED_BY_PLACE) if not dataset.get(key)]
    except OSError as error:
        raise LiverSegError(f"Expected a file at {file}. Received: {error.strerror}.") from error
    except Exception as error:  # values are parsed on access: a broken one raises anything
        raise LiverSegError(f"Expected a DICOM header in {file}. Received: {error}.") from error
    if frames > 1 or "PerFrameFunctionalGroupsSequence" in dataset:
        raise LiverSegError(
            "Expected a file for each slice, for DICOM-SEG and RTSTRUCT to refer to. "
            f"Received a multi-frame file, {file}."
        )
    if lacking:
        raise LiverSegError(
            f"Expected {', '.join(lacking)} in {file}, for DICOM-SEG and RTSTRUCT to refer to. "
            "Received none."
        )
    for key in _MAY_BE_EMPTY:
        if key not in dataset:
            setattr(dataset, key, "")
    return dataset


def _slice_index(dataset: Dataset, grid: Volume, to_voxel: np.ndarray, file) -> int:
    """The z at which a file's pixels are the volume's voxels (col, row, z)."""
    corner = np.array([*map(float, dataset.ImagePositionPatient)]) * (-1, -1, 1)
    across, down = np.array([*map(float, dataset.ImageOrientationPatient)]).reshape(2, 3)
    rows, cols = grid.array.shape[1:]
    row_mm, col_mm = map(float, dataset.PixelSpacing)
    far = corner + (across * col_mm * (cols - 1) + down * row_mm * (rows - 1)) * (-1, -1, 1)
    first, last = (to_voxel[:3, :3] @ place + to_voxel[:3, 3] for place in (corner, far))
    z = round(float(first[2]))
    off = max(np.abs(first - (0, 0, z)).max(), np.abs(last - (cols - 1, rows - 1, z)).max())
    shape = (dataset.get("Rows"), dataset.get("Columns"))
    if shape != (rows, cols) or not 0 <= z < len(grid.array) or off > 2 * GRID_TOLERANCE_VOXELS:
        raise LiverSegError(
            f"Expected {file} to be a slice of the volume. Received one that lies beside it by "
            f"{off:.2g} voxels (a mask of another series, or on another grid?)."
        )
    return z
