"""Files and folders that are written atomically: they are complete, or they do not exist."""

import csv
import json
import math
import os
import shutil
import uuid
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

from liverseg_tf.errors import LiverSegError

PARTIAL = ".partial-"
_TAG = 8  # random letters in a temporary name


@contextmanager
def replacing(target: Path) -> Iterator[Path]:
    """Provide a temporary path beside `target` and rename it to `target` on success.

    The block may create a file or a folder at that path. If it raises, whatever it created is
    removed and an existing `target` stays unchanged.

    Args:
        target: Final path. Missing parent folders are created.

    Yields:
        A path in the same folder, hence on the same file system, with the same suffixes.

    Raises:
        LiverSegError: If the disk is full or the folder cannot be written.
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


def create_folder(folder: Path) -> None:
    """Create a folder and its parents, if they are missing.

    Raises:
        LiverSegError: If the folder cannot be created.
    """
    try:
        Path(folder).mkdir(parents=True, exist_ok=True)
    except OSError as error:
        reason = error.strerror or str(error)
        raise LiverSegError(f"The folder {folder} cannot be created: {reason}.") from error


def clear_partials(folder: Path, names: set[str] | None = None) -> None:
    """Remove temporary files that interrupted runs left in a folder.

    Args:
        folder: Folder to clean; it may be missing.
        names: Final names whose temporary files are removed. None removes all of them.
    """
    for partial in folder.glob(f"{PARTIAL}*"):
        if names is None or partial.name[len(PARTIAL) + _TAG + 1 :] in names:
            _remove(partial)


def _remove(partial: Path) -> None:
    """Remove a file or folder, if there is one."""
    if os.path.isdir(partial):  # Path.is_dir raises if the name is too long
        shutil.rmtree(partial, ignore_errors=True)
    else:
        with suppress(OSError):
            partial.unlink()


def write_json(target: Path, value: object, keep_nan: bool = False) -> None:
    """Write a value as indented JSON, atomically.

    Args:
        target: Path of the file.
        value: Mappings, sequences, text, numbers, booleans and None, nested in any way.
        keep_nan: Write the word NaN, which strict JSON does not allow, instead of null.

    Raises:
        ValueError: If a number is infinite, which strict JSON does not allow either.
    """
    text = json.dumps(value if keep_nan else nan_to_none(value), indent=2, allow_nan=keep_nan)
    with replacing(target) as partial:
        partial.write_text(text + "\n", encoding="utf-8")


def write_csv(target: Path, columns: Sequence[str], rows: Iterable[Mapping[str, object]]) -> None:
    """Write a table as UTF-8 CSV with a header line, atomically.

    Args:
        target: Path of the file.
        columns: Names of the columns, in their order.
        rows: Values by column name. A missing value, None and NaN become an empty field.
    """
    with replacing(target) as partial, open(partial, "w", newline="", encoding="utf-8") as stream:
        writer = csv.DictWriter(stream, columns, lineterminator="\n")
        writer.writeheader()
        writer.writerows(nan_to_none(row) for row in rows)


def nan_to_none(value):
    """Replace each NaN in a nested value by None; tuples become lists."""
    if isinstance(value, float):
        return None if math.isnan(value) else value
    if isinstance(value, Mapping):
        return {key: nan_to_none(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [nan_to_none(item) for item in value]
    return value


def read_json(path: Path) -> dict:
    """Read a JSON object.

    Raises:
        LiverSegError: If the file is missing, cannot be read or does not hold a JSON object.
    """
    try:
        value = json.loads(Path(path).read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        raise LiverSegError(f"Expected a JSON file at {path}. Received: {reason}.") from error
    if not isinstance(value, dict):
        raise LiverSegError(f"Expected a JSON object in {path}. Received: {type(value).__name__}.")
    return value
