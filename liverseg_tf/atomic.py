"""Files and folders that are there whole or not at all."""

import json
import os
import shutil
import uuid
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from liverseg_tf.errors import LiverSegError

PARTIAL = ".partial-"
_TAG = 8  # letters that make a temporary name the only one


@contextmanager
def replacing(target: Path) -> Iterator[Path]:
    """Give a temporary name beside `target`; rename it to `target` when the block succeeds.

    The block may make a file or a folder there. Where it raises, whatever it made is
    removed and an earlier `target` stays as it was.

    Args:
        target: the final path; missing parent folders are made.

    Yields:
        A path in the same folder, hence on the same file system, with the same suffixes.

    Raises:
        LiverSegError: when the disk is full or the folder can't be written.
    """
    target = Path(target)
    partial = target.with_name(f"{PARTIAL}{uuid.uuid4().hex[:_TAG]}-{target.name}")
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        yield partial
        if partial.is_dir() and target.is_dir():
            shutil.rmtree(target)
        os.replace(partial, target)
    except OSError as error:
        reason = error.strerror or str(error)
        raise LiverSegError(f"Expected to write {target}. Received: {reason}.") from error
    finally:
        _remove(partial)


def clear_partials(folder: Path, names: set[str] | None = None) -> None:
    """Remove what runs that were killed left in a folder.

    Args:
        folder: may be missing.
        names: of the targets whose leftovers go; None means all of them.
    """
    for partial in folder.glob(f"{PARTIAL}*"):
        if names is None or partial.name[len(PARTIAL) + _TAG + 1 :] in names:
            _remove(partial)


def _remove(partial: Path) -> None:
    """Whatever stands there; where nothing could be made, nothing has to go."""
    if os.path.isdir(partial):  # Path.is_dir raises where the name is too long
        shutil.rmtree(partial, ignore_errors=True)
    else:
        with suppress(OSError):
            partial.unlink()


def write_json(target: Path, value: object) -> None:
    """Write `value` as indented JSON, whole or not at all."""
    with replacing(target) as partial:
        partial.write_text(json.dumps(value, indent=2) + "\n", encoding="utf-8")


def read_json(path: Path) -> dict:
    """Read a JSON object.

    Raises:
        LiverSegError: when the file is missing, unreadable or no JSON object.
    """
    try:
        value = json.loads(Path(path).read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        raise LiverSegError(f"Expected a JSON file at {path}. Received: {reason}.") from error
    if not isinstance(value, dict):
        raise LiverSegError(f"Expected a JSON object in {path}. Received: {type(value).__name__}.")
    return value
