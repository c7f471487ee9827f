"""The series to which a DICOM object with segments refers."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from pydicom.dataset import Dataset

from liverseg_tf.ct.dicom.file import open_dicom, read_header
from liverseg_tf.ct.segments.segment_file import ImageGrid
from liverseg_tf.errors import LiverSegError
from liverseg_tf.printable import printable


def check_references(dataset: Dataset, grid: ImageGrid, path: Path) -> None:
    """Check that a DICOM object belongs to its image, as far as the identifiers say.

    Args:
        dataset: DICOM-SEG or RTSTRUCT.
        grid: Image. If it was not read from DICOM, there is nothing to compare.
        path: File of the object.

    Raises:
        LiverSegError: If the object names other series, or another frame of reference.
    """
    if grid.series is None:
        return
    named = referenced_series(dataset)
    if named and grid.series.uid not in named:
        raise LiverSegError(
            f"Expected {path} to refer to {grid.series}. Received a mask of the series "
            f"{printable(', '.join(sorted(named)[:3]))}: use its own image."
        )
    frames = _frames_of_reference(dataset)
    with open_dicom(grid.series.files[0]) as stream:
        own = str(read_header(stream).get("FrameOfReferenceUID") or "")
    if own and frames and own not in frames:
        raise LiverSegError(
            f"Expected {path} in the frame of reference of {grid.series}. Received another "
            "FrameOfReferenceUID, that of another examination: use its own image."
        )


def referenced_series(dataset: Dataset) -> set[str]:
    """Return the SeriesInstanceUIDs of the images to which an object refers."""
    named = {
        str(item.get("SeriesInstanceUID") or "") for item in items(dataset, "ReferencedSeries")
    }
    for frame in items(dataset, "ReferencedFrameOfReference"):
        for study in items(frame, "RTReferencedStudy"):
            for series in items(study, "RTReferencedSeries"):
                named.add(str(series.get("SeriesInstanceUID") or ""))
    return named - {""}


def items(dataset: Dataset, name: str) -> Iterator[Any]:
    """Return the items of a sequence, none if it is missing.

    Args:
        dataset: Data set.
        name: Keyword of the sequence without "Sequence".
    """
    return iter(dataset.get(f"{name}Sequence") or ())


def _frames_of_reference(dataset: Dataset) -> set[str]:
    frames = {str(dataset.get("FrameOfReferenceUID") or "")}
    for item in items(dataset, "ReferencedFrameOfReference"):
        frames.add(str(item.get("FrameOfReferenceUID") or ""))
    for roi in items(dataset, "StructureSetROI"):
        frames.add(str(roi.get("ReferencedFrameOfReferenceUID") or ""))
    return frames - {""}
