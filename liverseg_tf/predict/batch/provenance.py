"""What a mask was made from, kept beside it: a second run does what is missing or outdated."""

from dataclasses import dataclass
from pathlib import Path

from liverseg_tf.atomic import read_json, write_json
from liverseg_tf.ct.dicom.series import DicomSeries
from liverseg_tf.ct.images import source_files
from liverseg_tf.errors import LiverSegError

FOLDER = ".predictions"


@dataclass(frozen=True)
class ProvenanceRecords:
    """The records of a folder's masks, one file a case, so that several jobs can write them.

    Args:
        out: folder of the masks.
    """

    out: Path

    def files(self, name: str, made: dict) -> set[str]:
        """Files that a case was made into just so; none where nothing or something broken is there.

        Files of other settings may lie beside them.
        """
        try:
            record = read_json(self._path(name))
        except LiverSegError:
            return set()
        files = record.pop("files", [])
        return set(files) if record == made else set()

    def has(self, name: str) -> bool:
        """Whether there is a record of a case."""
        return self._path(name).is_file()

    def forget(self, name: str) -> None:
        """Remove a case's record before its files change."""
        try:
            self._path(name).unlink(missing_ok=True)
        except OSError as error:
            raise LiverSegError(
                f"Expected to write {self._path(name)}. Received: {error.strerror}."
            ) from error

    def write(self, name: str, made: dict, files: set[str]) -> None:
        """Keep how a case was made, once its files are there."""
        write_json(self._path(name), made | {"files": sorted(files)})

    def _path(self, name: str) -> Path:
        return Path(self.out) / FOLDER / f"{name}.json"


def source_of(image: Path | DicomSeries) -> dict:
    """Size and time of an image's file, or of all files of a series.

    Raises:
        LiverSegError: when a file is missing.
    """
    try:
        stats = [file.stat() for file in source_files(image)]
    except OSError as error:
        raise LiverSegError(
            f"Expected a file at {error.filename}. Received: {error.strerror}."
        ) from error
    return {
        "bytes": sum(stat.st_size for stat in stats),
        "modified_ns": max((stat.st_mtime_ns for stat in stats), default=0),
        "files": len(stats),
    }
