"""Fetching the images of a study that a model can segment."""

from dataclasses import dataclass, field
from pathlib import Path

from liverseg_tf.ct.dicom.series import DicomSeries, find_volume_series
from liverseg_tf.errors import LiverSegError
from liverseg_tf.predict.dicomweb.archive import Archive
from liverseg_tf.predict.dicomweb.archived_series import ArchivedSeries


@dataclass
class FetchedStudy:
    """The images of a study that were fetched.

    Args:
        images: Series by their SeriesInstanceUID, the name of the case.
        skipped: What was not fetched or holds no volume, one line each.
        failures: Error message, one line, by SeriesInstanceUID.
    """

    images: dict[str, DicomSeries] = field(default_factory=dict)
    skipped: list[str] = field(default_factory=list)
    failures: dict[str, str] = field(default_factory=dict)


def fetch_study(archive: Archive, folder: Path, modality: str) -> FetchedStudy:
    """Fetch the series of a study with the modality that a model takes.

    Args:
        archive: Connection to the archive of the study.
        folder: Existing folder; each series becomes a folder in it.
        modality: CT or MR. A series that the address names is fetched in any case.

    Raises:
        LiverSegError: If the archive cannot be asked for the series, or the study has no series of
            the modality.
    """
    fetched = FetchedStudy()
    for series in archive.find_series():
        named = archive.address.series is not None
        if not named and series.modality and series.modality.upper() != modality:
            fetched.skipped.append(f"{series}: its modality is not {modality}")
            continue
        try:
            _fetch_series(archive, series, folder / series.uid, fetched)
        except LiverSegError as error:
            fetched.failures[series.uid] = str(error.about(series.uid))
    if not fetched.images and not fetched.failures:
        raise LiverSegError(
            f"Expected a {modality} series of several slices at {archive.address}. "
            f"Received: {'; '.join(fetched.skipped)}."
        )
    return fetched


def _fetch_series(
    archive: Archive, series: ArchivedSeries, folder: Path, fetched: FetchedStudy
) -> None:
    folder.mkdir()
    archive.fetch(series, folder)
    volumes = find_volume_series(folder)
    if not volumes or all(one.uid and one.image_count == 1 for one in volumes):
        fetched.skipped.append(f"{series}: it holds no volume")
    elif len(volumes) > 1 or volumes[0].uid != series.uid:
        raise LiverSegError(f"Expected one series in {series}. Received files of others, too.")
    else:
        fetched.images[series.uid] = volumes[0]
