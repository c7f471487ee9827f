"""Records of what each mask was made from, so that a later run computes only outdated masks."""

from dataclasses import dataclass
from pathlib import Path

from liverseg_tf.atomic import read_json, write_json
from liverseg_tf.ct.dicom.series import DicomSeries
from liverseg_tf.ct.images import source_files
from liverseg_tf.errors import LiverSegError

FOLDER = ".predictions"


@dataclass(frozen=True)
class ProvenanceRecords:
    """Provenance records of the masks in a folder.

    There is one file per case, so that several processes can write records at the same time.

    Args:
        folder: Folder of the masks.
    """

    folder: Path

    def files(self, name: str, provenance: dict) -> set[str]:
        """Return the names of the files of a case that have exactly this provenance.

        Args:
            name: Name of the case.
            provenance: Source, model and settings, as JSON values.

        Returns:
            File names relative to the folder; empty if the record is missing, broken or different.
        """
        try:
            record = read_json(self._path(name))
        except LiverSegError:
            return set()
        files = record.pop("files", [])
        return set(files) if record == provenance else set()

    def exists(self, name: str) -> bool:
        """Return whether a case has a record."""
        return self._path(name).is_file()

    def remove(self, name: str) -> None:
        """Remove the record of a case, before its files change.

        Raises:
            LiverSegError: If the record cannot be removed.
        """
        try:
            self._path(name).unlink(missing_ok=True)
        except OSError as error:
            raise LiverSegError(
                f"Expected to write {self._path(name)}. Received: {error.strerror}."
            ) from error

    def write(self, name: str, provenance: dict, files: set[str]) -> None:
        """Write the record of a case, after all of its files.

        Args:
            name: Name of the case.
            provenance: Source, model and settings, as JSON values.
            files: File names relative to the folder.

        Raises:
            LiverSegError: If the record cannot be written.
        """
        write_json(self._path(name), provenance | {"files": sorted(files)})

    def _path(self, name: str) -> Path:
        return Path(self.folder) / FOLDER / f"{name}.json"


def describe_source(source: Path | DicomSeries) -> dict:
    """Return the total size, the latest modification time and the number of an image's files.

    Args:
        source: File, folder or series of the image.

    Raises:
        LiverSegError: If a file is missing.
    """
    try:
        stats = [file.stat() for file in source_files(source)]
    except OSError as error:
        raise LiverSegError(
            f"Expected a file at {error.filename}. Received: {error.strerror}."
        ) from error
    return {
        "bytes": sum(stat.st_size for stat in stats),
        "modified_ns": max((stat.st_mtime_ns for stat in stats), default=0),
        "files": len(stats),
    }
