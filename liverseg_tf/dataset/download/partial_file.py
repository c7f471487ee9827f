"""The part of a file that is there already, and what it is a part of."""

from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from liverseg_tf.atomic import read_json, write_json
from liverseg_tf.errors import LiverSegError


@dataclass(frozen=True)
class Partial:
    """The part of a file that is there, and beside it what it is a part of.

    Args:
        path: of the part. `path` + '.json' holds the whole file's bytes and the server's
            validator: a strong ETag or a date, with which it tells whether the file is the same.
    """

    path: Path

    @property
    def record_path(self) -> Path:
        return self.path.with_name(self.path.name + ".json")

    def state(self) -> tuple[int, int, str | None]:
        """Bytes there (0 where they can't be used), bytes of the whole, validator."""
        try:
            size = self.path.stat().st_size
            record = read_json(self.record_path)
        except (OSError, LiverSegError):
            return 0, 0, None
        total, validator = record.get("bytes"), record.get("validator")
        if not isinstance(total, int) or not isinstance(validator, str | None):
            return 0, 0, None
        if size > total:
            return 0, 0, None
        usable = validator is not None or size == total
        return (size if usable else 0), total, validator

    def begin(self, total: int, validator: str | None) -> None:
        """Forget what is there."""
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            self.path.write_bytes(b"")  # before the record: no bytes of another file under it
        except OSError as error:
            raise unwritten(self.path, error) from error
        write_json(self.record_path, {"bytes": total, "validator": validator})

    def drop(self) -> None:
        """Remove both files."""
        for path in (self.path, self.record_path):
            with suppress(OSError):
                path.unlink()


def unwritten(path: Path, error: OSError) -> LiverSegError:
    """The error for a file that can't be written."""
    return LiverSegError(f"Expected to write {path}. Received: {error.strerror or error}.")
