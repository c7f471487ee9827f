"""Headers of the DICOM images from which the slices of a volume were read."""

import warnings
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from pydicom.dataset import Dataset

from liverseg_tf.ct.dicom.file import open_dicom, read_header
from liverseg_tf.ct.dicom.series import DicomSeries
from liverseg_tf.ct.dicom.slices import DicomSlice, is_localizer, read_slices
from liverseg_tf.ct.volume import GRID_TOLERANCE_VOXELS, Volume
from liverseg_tf.errors import LiverSegError, reason_of
from liverseg_tf.plural import count
from liverseg_tf.predict.outputs.patient_module import clean_patient_module

_REQUIRED = ("SOPClassUID", "SOPInstanceUID", "SeriesInstanceUID", "StudyInstanceUID")
_FRAME_OF_REFERENCE = "FrameOfReferenceUID"


@dataclass(frozen=True, eq=False)
class SourceSlice:
    """The image of one slice: a single-frame file, or one frame of a multi-frame (enhanced) file.

    Args:
        header: Header of the file, without pixels, its patient and study complete and valid; see
            `clean_patient_module`. All slices of a multi-frame file share it.
        place: Position, orientation and spacing.
        frame: Number of the frame, from 1. None for a single-frame file.
        thickness_mm: SliceThickness, or the distance between the slices if there is none.
    """

    header: Dataset
    place: DicomSlice
    frame: int | None
    thickness_mm: float

    @property
    def corner_mm(self) -> np.ndarray:
        """Centre of the first pixel, (x, y, z) in mm, LPS."""
        return np.array(self.place.position_mm)

    @property
    def directions(self) -> np.ndarray:
        """Direction in which columns are counted and direction of the rows, (2, 3), LPS."""
        return np.array(self.place.cosines).reshape(2, 3)

    def reference(self) -> Dataset:
        """Return an item of a sequence that refers to this image."""
        item = Dataset()
        item.ReferencedSOPClassUID = self.header.SOPClassUID
        item.ReferencedSOPInstanceUID = self.header.SOPInstanceUID
        if self.frame is not None:
            item.ReferencedFrameNumber = self.frame
        return item


def read_source_slices(series: DicomSeries, grid: Volume) -> list[SourceSlice]:
    """Read the headers of a series in the order of a volume's slices.

    Each image is assigned to a slice by its position, so that the order of the files and the axis
    order of the volume do not matter.

    Args:
        series: Series of single-frame or multi-frame (enhanced) files.
        grid: Volume on the grid of the series.

    Returns:
        One image for each z of the volume.

    Raises:
        LiverSegError: If a file cannot be read or lacks a required tag, or there is not exactly
            one image for each slice.
    """
    to_voxel = np.linalg.inv(grid.affine)
    sources: dict[int, SourceSlice] = {}
    depth = len(grid.array)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for file in series.files:
            header = _read_header(file)
            if is_localizer(header) and not series.localizer:
                continue
            for source in _slices_of(header, file, grid.spacing_mm[0]):
                z = _slice_index(source.place, grid, to_voxel)
                other = sources.get(z)
                if other is not None and _key(other) != _key(source):
                    raise LiverSegError(
                        f"Expected one file for slice {z + 1}. Received two: {series}."
                    )
                sources[z] = source
    identifiers = {_key(source) for source in sources.values()}
    if len(identifiers) < depth:
        raise LiverSegError(
            f"Expected {count(depth, 'file')} with different SOPInstanceUIDs, one for each slice. "
            f"Received {len(identifiers)}: {series}."
        )
    frames = {str(source.header.FrameOfReferenceUID) for source in sources.values()}
    if len(frames) > 1:
        raise LiverSegError(
            f"Expected one FrameOfReferenceUID in {series}, to which DICOM objects refer. "
            f"Received {len(frames)} different ones, which happens in files that were anonymised "
            "one by one: write NIfTI, or anonymise the series again."
        )
    return [sources[z] for z in range(depth)]


def _key(source: SourceSlice) -> tuple[str, int | None]:
    return str(source.header.SOPInstanceUID), source.frame


def _slices_of(header: Dataset, file: Path, distance_mm: float) -> list[SourceSlice]:
    is_multi_frame = "PerFrameFunctionalGroupsSequence" in header
    slices = []
    for place in read_slices(file):
        frame = place.frame + 1 if is_multi_frame else None
        slices.append(SourceSlice(header, place, frame, _thickness_mm(header, place, distance_mm)))
    return slices


def _thickness_mm(header: Dataset, place: DicomSlice, distance_mm: float) -> float:
    groups = [header]
    for keyword, index in (
        ("PerFrameFunctionalGroupsSequence", place.frame),
        ("SharedFunctionalGroupsSequence", 0),
    ):
        items = header.get(keyword) or ()
        if index < len(items):
            groups += items[index].get("PixelMeasuresSequence") or ()
    for group in groups:
        try:
            thickness_mm = float(group.get("SliceThickness") or 0)
        except (TypeError, ValueError):
            continue
        if thickness_mm > 0:
            return thickness_mm
    return distance_mm


def _read_header(file: Path) -> Dataset:
    try:
        with open_dicom(file) as stream:
            header = read_header(stream)
        missing = [key for key in (*_REQUIRED, _FRAME_OF_REFERENCE) if not header.get(key)]
        clean_patient_module(header)
    except OSError as error:
        raise LiverSegError(f"Expected a file at {file}. Received: {reason_of(error)}.") from error
    except Exception as error:  # pydicom parses values on access: a broken one raises any error
        raise LiverSegError(f"Expected a DICOM header in {file}. Received: {error}.") from error
    if missing:
        verb = "tag is" if len(missing) == 1 else "tags are"
        raise LiverSegError(
            f"Expected {', '.join(missing)} in {file}, which DICOM results refer to. "
            f"The {verb} missing or empty."
        )
    return header


def _slice_index(place: DicomSlice, grid: Volume, to_voxel: np.ndarray) -> int:
    """Return the z at which the pixels of an image coincide with the voxels of the volume."""
    corner = np.array(place.position_mm) * (-1, -1, 1)
    across, down = np.array(place.cosines).reshape(2, 3)
    rows, cols = grid.array.shape[1:]
    row_mm, col_mm = place.spacing_mm
    opposite = corner + (across * col_mm * (cols - 1) + down * row_mm * (rows - 1)) * (-1, -1, 1)
    # voxel coordinates (col, row, z) of the first and the last pixel
    first, last = (to_voxel[:3, :3] @ point + to_voxel[:3, 3] for point in (corner, opposite))
    z = round(float(first[2]))
    distance = max(np.abs(first - (0, 0, z)).max(), np.abs(last - (cols - 1, rows - 1, z)).max())
    on_grid = place.shape == (rows, cols) and distance <= 2 * GRID_TOLERANCE_VOXELS
    if not on_grid or not 0 <= z < len(grid.array):
        raise LiverSegError(
            f"Expected {place.file} to be a slice of the volume. Received a slice that is "
            f"{distance:.2g} voxels away from its grid (is the mask of another series, or on "
            "another grid?)."
        )
    return z
