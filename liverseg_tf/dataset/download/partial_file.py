"""A file of which only the first part has been downloaded."""

import re
from dataclasses import dataclass
from pathlib import Path

from liverseg_tf.atomic import read_json, write_json
from liverseg_tf.errors import LiverSegError, reason_of
from liverseg_tf.partials import remove


@dataclass(frozen=True)
class PartialFile:
    """The first part of a file, and a record of the whole file beside it.

    Args:
        path: Path of the part. The record is in `path` + '.json': the size of the whole file in
            bytes and the server's validator (a strong ETag or a date), by which the server
            decides whether its file is still the same.
    """

    path: Path

    @property
    def record_path(self) -> Path:
        """Path of the record."""
        return self.path.with_name(self.path.name + ".json")

    def state(self) -> tuple[int, int, str | None]:
        """Bytes downloaded (0 if they cannot be used), bytes of the whole file, validator."""
        try:
            size = self.path.stat().st_size
            record = read_json(self.record_path)
        except (OSError, LiverSegError):
            return 0, 0, None
        total, validator = record.get("bytes"), record.get("validator")
        if not isinstance(total, int) or not isinstance(validator, str | None):
            return 0, 0, None
        is_header_value = validator is None or re.fullmatch(r"[\x20-\x7e]{1,1000}", validator)
        if size > total or not is_header_value:
            return 0, 0, None
        usable = validator is not None or size == total
        return (size if usable else 0), total, validator

    def begin(self, total: int, validator: str | None) -> None:
        """Empty the part and write a new record.

        Args:
            total: Size of the whole file in bytes.
            validator: Strong ETag or date that the server gives for the file.

        Raises:
            LiverSegError: If the files cannot be written.
        """
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            # before the record, which would otherwise describe bytes of another file
            self.path.write_bytes(b"")
        except OSError as error:
            raise write_error(self.path, error) from error
        write_json(self.record_path, {"bytes": total, "validator": validator})

    def remove(self) -> None:
        """Remove the part and its record."""
        for path in (self.path, self.record_path):
            remove(path)


def write_error(path: Path, error: OSError) -> LiverSegError:
    """Return the error for a file that cannot be written."""
    return LiverSegError(f"Expected to write {path}. Received: {reason_of(error)}.")
