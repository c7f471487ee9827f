"""Recognising and reading files with named segments."""

import os
import warnings
from pathlib import Path

import pydicom
from pydicom import uid as uids
from pydicom.dataset import Dataset

from liverseg_tf.ct.dicom.file import open_dicom, read_header
from liverseg_tf.ct.dicom.recognise import LABEL_MAP_CLASS, Kind, recognise
from liverseg_tf.ct.dicom.series import files_below
from liverseg_tf.ct.segments.dicom_seg import read_seg
from liverseg_tf.ct.segments.references import referenced_series
from liverseg_tf.ct.segments.rtstruct import read_rtstruct
from liverseg_tf.ct.segments.seg_nrrd import has_segments, read_seg_nrrd
from liverseg_tf.ct.segments.segment_file import ImageGrid, SegmentFile
from liverseg_tf.errors import LiverSegError, first_line
from liverseg_tf.printable import printable

SEG_CLASSES = {uids.SegmentationStorage, LABEL_MAP_CLASS}
_DICOM_SUFFIXES = (".seg.dcm", ".rtstruct.dcm", ".dcm", ".dicom")


def is_segment_file(path: Path) -> bool:
    """Return whether a path is a file with named segments, or a folder with DICOM-SEG or RTSTRUCT.

    Folders of images, and .nrrd files without names of segments, are not.
    """
    path = Path(path)
    if path.name.lower().endswith(".nrrd") and path.is_file():
        return has_segments(path)
    if path.is_dir():
        return bool(_objects_in(path))
    return path.is_file() and is_dicom_mask(path)


def segment_stem(path: Path) -> str | None:
    """Return the name of a DICOM-SEG, RTSTRUCT or .seg.nrrd file without its suffix, or None.

    Example:
        >>> segment_stem(Path("liver_0.seg.dcm")), segment_stem(Path("liver_0.nii.gz"))
        ('liver_0', None)
    """
    for suffix in (".seg.nrrd", *_DICOM_SUFFIXES):
        if path.name.lower().endswith(suffix) and not path.name.startswith("."):
            return path.name[: -len(suffix)]
    return None


def is_dicom_mask(path: Path) -> bool:
    """Return whether a file is a DICOM-SEG or an RTSTRUCT."""
    try:
        if recognise(path).kind is not Kind.OTHER_OBJECT:
            return False
        with open_dicom(path) as stream:
            return _is_mask_class(read_header(stream))
    except Exception:  # broken headers raise errors of any class; reading the image reports it
        return False


def find_dicom_masks(folder: Path) -> dict[Path, set[str]]:
    """Find the DICOM-SEG and RTSTRUCT files below a folder.

    Returns:
        Paths, each with the SeriesInstanceUIDs of the images to which the file refers.
    """
    found = {}
    for path in files_below(folder):
        if is_dicom_mask(path):
            with open_dicom(path) as stream:
                found[path] = referenced_series(read_header(stream))
    return found


def read_segments(path: Path, grid: ImageGrid) -> SegmentFile:
    """Read the segments of a file; see `read_seg`, `read_rtstruct` and `read_seg_nrrd`.

    Args:
        path: File, or folder with one DICOM-SEG or RTSTRUCT.
        grid: Image of the segments.

    Raises:
        LiverSegError: If the file is damaged, of another kind, or does not belong to the image.
    """
    path = _only_object(Path(path))
    if path.name.lower().endswith(".nrrd"):
        return read_seg_nrrd(path, grid)[0]
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            with open_dicom(path, pixels=True) as stream:
                dataset = pydicom.dcmread(stream, force=True)
            is_seg = dataset.get("SOPClassUID") in SEG_CLASSES
            segments = (read_seg if is_seg else read_rtstruct)(dataset, grid, path)
    except LiverSegError:
        raise
    except Exception as error:  # pydicom parses values on access: a broken one raises any error
        raise _damaged(path, error) from error
    return SegmentFile(
        path,
        segments.kind,
        segments.segments,
        lambda segment: _draw(segments, segment),
        segments.notes,
        segments.automatic,
    )


def _draw(segments: SegmentFile, segment):
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return segments.draw(segment)
    except (LiverSegError, MemoryError):
        raise
    except Exception as error:
        raise _damaged(segments.path, error) from error


def _damaged(path: Path, error: Exception) -> LiverSegError:
    return LiverSegError(
        f"Expected an undamaged DICOM-SEG or RTSTRUCT at {path}. "
        f"Received: {printable(first_line(error))}."
    )


def _only_object(path: Path) -> Path:
    if not os.path.isdir(path):
        return path
    objects = _objects_in(path)
    if len(objects) != 1:
        raise LiverSegError(
            f"Expected one DICOM-SEG or RTSTRUCT in {path}. Received {len(objects)}: name the file."
        )
    return objects[0]


def _objects_in(folder: Path) -> list[Path]:
    return [path for path in files_below(folder) if is_dicom_mask(path)]


def _is_mask_class(dataset: Dataset) -> bool:
    return dataset.get("SOPClassUID") in {*SEG_CLASSES, uids.RTStructureSetStorage}


def referenced_by(path: Path) -> set[str]:
    """Return the SeriesInstanceUIDs to which a DICOM-SEG or RTSTRUCT refers; none for other files.

    Args:
        path: File, or folder with one such file.
    """
    files = _objects_in(path) if path.is_dir() else [path] if is_dicom_mask(path) else []
    named: set[str] = set()
    for file in files:
        with open_dicom(file) as stream:
            named |= referenced_series(read_header(stream))
    return named
