"""Images of the server that are in a DICOMweb archive, and are fetched when they are needed."""

import shutil
import threading
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

from liverseg_tf.ct.dicom.series import DicomSeries, find_volume_series
from liverseg_tf.errors import LiverSegError
from liverseg_tf.predict.dicomweb.address import Credentials, StudyAddress
from liverseg_tf.predict.dicomweb.archive import Archive
from liverseg_tf.predict.dicomweb.archived_series import ArchivedSeries
from liverseg_tf.predict.dicomweb.list_studies import list_studies, parse_archive

_MODALITIES = ("CT", "MR")


class ArchivedImage:
    """A series in an archive.

    Args:
        address: Address of the study.
        series: Series in the archive.
        credentials: Credentials for the archive.
        folder: Folder into which the series is fetched.
    """

    def __init__(
        self, address: StudyAddress, series: ArchivedSeries, credentials: Credentials, folder: Path
    ):
        self.study_uid, self.series_uid = address.study, series.uid
        self._address, self._series = address, series
        self._credentials, self._folder = credentials, folder
        self._lock = threading.Lock()
        self._fetched: DicomSeries | None = None

    def fetch(self) -> DicomSeries:
        """Return the series; the first call fetches it, and it is complete or absent.

        Raises:
            LiverSegError: If it cannot be fetched, or holds no volume.
        """
        with self._lock:
            if self._fetched is None:
                shutil.rmtree(self._folder, ignore_errors=True)
                self._folder.mkdir(parents=True)
                with Archive(self._address, self._credentials) as archive:
                    archive.fetch(self._series, self._folder)
                volumes = find_volume_series(self._folder)
                if [one.uid for one in volumes] != [self.series_uid]:
                    raise LiverSegError(f"Expected one volume in {self._series}. Received another.")
                self._fetched = volumes[0]
            return self._fetched


def find_archived_images(
    text: str, environment: Mapping[str, str], folder: Path
) -> dict[str, ArchivedImage]:
    """List the CT and MR series of an archive or of a study, by SeriesInstanceUID.

    Args:
        text: Address: dicomweb://HOST:PORT/PATH, or that of a study.
        environment: Environment variables, which may contain credentials.
        folder: Folder into which series are fetched.

    Raises:
        SettingsError: If the text is no address, or credentials would be sent in the clear.
        LiverSegError: If the archive cannot be asked.
    """
    archive, names_study = parse_archive(text)
    credentials = Credentials.read(environment, archive)
    studies = [archive] if names_study else list_studies(archive, credentials)
    images = {}
    for study in studies:
        with Archive(study, credentials) as connection:
            for series in connection.find_series():
                is_image = series.modality.upper() in _MODALITIES
                if is_image and (series.stated_count is None or series.stated_count > 1):
                    images[series.uid] = ArchivedImage(
                        replace(study, series=None), series, credentials, folder / series.uid
                    )
    return images
