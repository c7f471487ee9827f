"""DICOM series: finding them in folder trees and reading them as volumes."""

import os
import warnings
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

from liverseg_tf.ct.dicom.acquisitions import check_one_acquisition
from liverseg_tf.ct.dicom.copies import drop_copies
from liverseg_tf.ct.dicom.damaged import find_damaged
from liverseg_tf.ct.dicom.geometry import stack_slices
from liverseg_tf.ct.dicom.pixels import read_pixels
from liverseg_tf.ct.dicom.recognise import Kind, RecognisedFile, recognise
from liverseg_tf.ct.dicom.slices import DicomSlice, read_slices
from liverseg_tf.ct.dicom.strays import check_no_strays
from liverseg_tf.ct.folder_walk import walk
from liverseg_tf.ct.volume import Volume, check_plausible_spacing
from liverseg_tf.errors import LiverSegError


@dataclass(frozen=True)
class DicomSeries:
    """Files that share a SeriesInstanceUID.

    Args:
        uid: SeriesInstanceUID. An empty string for files of one folder that have none, are broken
            or cannot be read.
        files: Paths sorted by name, which says nothing about their order in the patient.
        image_count: Number of images; each frame of a multi-frame file counts.
        localizer: Whether all images are localizers (scout views).
        patient_id: PatientID; empty if there is none.
        modality: Modality, for example "CT".
        number: SeriesNumber as text; empty if there is none.
        description: SeriesDescription.
        damaged: Files in the folders of the series that cannot be read, each with the reason.
        single_images: Files of other series of one image in the folders of the series.
    """

    uid: str
    files: tuple[Path, ...]
    image_count: int = 0
    localizer: bool = False
    patient_id: str = ""
    modality: str = ""
    number: str = ""
    description: str = ""
    damaged: tuple[tuple[Path, str], ...] = ()
    single_images: tuple[Path, ...] = ()

    @property
    def folder(self) -> Path:
        """The folder that contains all files, at any depth."""
        return Path(os.path.commonpath([file.parent for file in self.files]))

    def __str__(self) -> str:
        words = ["series", self.number, f"'{self.description}'" if self.description else ""]
        words += [self.uid or "without SeriesInstanceUID", "in", str(self.folder)]
        if not self.uid and self.damaged:
            path, reason = self.damaged[0]
            words.append(f"with {path.name}: {reason}")
        return " ".join(word for word in words if word)

    def __repr__(self) -> str:
        return (
            f"DicomSeries({self.modality or 'no modality'}; images: {self.image_count}; "
            f"number: {self.number or 'none'}; description: {self.description or 'none'}; "
            f"uid: {self.uid or 'none'}; folder: {self.folder})"
        )


def find_series(folder: Path) -> list[DicomSeries]:
    """Find the image series in a folder and its subfolders.

    Files are recognised by their content, whatever their names. Skipped are other files, DICOMDIR,
    and DICOM objects that are not slices of a patient (contours, segmentations, reports, screen
    captures). Links are followed, and each folder is visited once.

    A file counts as damaged if it is a DICOM file that cannot be read, if it ends in .dcm and is no
    DICOM file, or if it is no DICOM file and is named like the slices beside it.

    Args:
        folder: Root of the tree.

    Returns:
        Series sorted by their first file. Reading a series with damaged files beside it raises an
        error. Damaged files without a series in their folder form a series without UID, for which
        `read_series` raises an error, too.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # unusual values are checked where they are used
        files = [recognise(path) for path in files_below(folder)]
    by_uid: dict[str, list[RecognisedFile]] = {}
    for file in files:
        if file.kind is Kind.SLICE and file.uid:
            by_uid.setdefault(file.uid, []).append(file)
    found = [_build_series(slices) for slices in by_uid.values()]
    damaged = find_damaged(files)
    captured = {file.path for file in files if file.captured}
    found = [_with_neighbours(series, found, damaged, captured) for series in found]
    beside = {file.parent for series in found if not series.localizer for file in series.files}
    alone: dict[Path, list[RecognisedFile]] = {}
    for file in damaged:
        if file.path.parent not in beside:
            alone.setdefault(file.path.parent, []).append(file)
    for entries in alone.values():
        reasons = tuple((file.path, file.reason) for file in entries)
        found.append(replace(_build_series(entries), uid="", damaged=reasons))
    return sorted(found, key=lambda series: series.files[0])


def contains_series(folder: Path) -> bool:
    """Return whether a folder or its subfolders contain any DICOM slice, damaged ones included."""
    kinds = (recognise(path).kind for path in files_below(folder))
    return any(kind in (Kind.SLICE, Kind.DAMAGED) for kind in kinds)


def find_volume_series(folder: Path) -> list[DicomSeries]:
    """Find the series of a folder that are volumes.

    Localizers are skipped, and so are single images, unless there is nothing else.

    Args:
        folder: Root of the tree.

    Returns:
        Series sorted by their first file.
    """
    found = [series for series in find_series(folder) if not series.localizer]
    volumes = [series for series in found if series.image_count > 1 or not series.uid]
    return volumes or found


def read_series(series: DicomSeries) -> Volume:
    """Read a series: sort its slices by position and rescale each of them.

    Args:
        series: Series of single-frame or multi-frame (enhanced) files.

    Returns:
        A volume without NIfTI header, array (z, row, col) in HU or MR units. Rows and columns keep
        their stored order. Slices run towards the patient's left, posterior or superior, whichever
        is closest to their normal. The dtype is int16 if all values are integers that fit,
        otherwise int32 or float32.

    Raises:
        LiverSegError: If the series is not a volume, or damaged files lie beside it; the message
            gives the series and the reason.
    """
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            for path, reason in series.damaged:
                beside = " beside a series" if series.uid else ""
                maybe = ", which may be one of its slices" if series.uid else ""
                raise LiverSegError(
                    f"Expected only DICOM files that can be read{beside}. Received {path} "
                    f"({reason}){maybe}: copy it again, or remove it."
                )
            slices = [current for file in series.files for current in read_slices(file)]
            if not series.uid:
                raise LiverSegError(
                    "Expected a SeriesInstanceUID in each file. The tag is missing or empty."
                )
            slices = [current for current in slices if not current.localizer] or slices
            slices, affine = stack_slices(drop_copies(slices))
            check_one_acquisition(slices)
            check_no_strays(slices, series.single_images)
            volume = Volume(
                read_pixels(slices),
                affine,
                modality=slices[0].modality,
                warnings=tuple(_warnings(slices)),
            )
            check_plausible_spacing(volume, series.folder)
            return volume
    except LiverSegError as error:
        raise LiverSegError(f"{error} ({series})") from error


def _warnings(slices: list[DicomSlice]) -> Iterator[str]:
    first = slices[0]
    if first.modality == "CT" and not first.rescaled:
        yield (
            "The DICOM headers have no RescaleSlope and RescaleIntercept: the stored values are "
            "taken as HU."
        )
    if len(slices) > 1 and len({(current.uid, current.frame) for current in slices}) == 1:
        yield (
            "All DICOM files have one SOPInstanceUID: copies and phases are told apart by their "
            "positions only."
        )


def _build_series(entries: list[RecognisedFile]) -> DicomSeries:
    first = next((file for file in entries if file.kind is Kind.SLICE), entries[0])
    return DicomSeries(
        uid=first.uid,
        files=tuple(sorted(file.path for file in entries)),
        image_count=sum(file.frames for file in entries),
        localizer=all(file.localizer for file in entries),
        patient_id=first.patient_id,
        modality=first.modality,
        number=first.number,
        description=first.description,
    )


def _with_neighbours(
    series: DicomSeries,
    found: list[DicomSeries],
    damaged: list[RecognisedFile],
    captured: set[Path],
) -> DicomSeries:
    """Return a series with the files beside it that may belong to it."""
    folders = {file.parent for file in series.files}
    single = [
        other.files[0]
        for other in found
        if other.image_count == 1
        and not other.localizer
        and other.uid != series.uid
        and (other.files[0] in captured) == (series.files[0] in captured)
    ]
    return replace(
        series,
        damaged=tuple((file.path, file.reason) for file in damaged if file.path.parent in folders),
        single_images=tuple(path for path in single if path.parent in folders),
    )


def files_below(folder: Path) -> Iterator[Path]:
    """Yield the files below a folder, except hidden ones and DICOMDIR, then unreadable folders."""
    unreadable: list[OSError] = []
    for root, _, names in walk(folder, unreadable.append):
        for name in names:
            if not name.startswith(".") and name.upper() != "DICOMDIR":
                yield root / name
    yield from (Path(error.filename) for error in unreadable)
