"""Files and folders that are written atomically: they are complete, or they do not exist.

A file that was written survives a power cut: its content reaches the disk before its name does.
"""

import csv
import errno
import json
import math
import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from pathlib import Path

from liverseg_tf.errors import LiverSegError, reason_of
from liverseg_tf.partials import clear_abandoned_partials, partial_path, remove

_SYNC_THREADS = 8  # file systems write the files of several threads in one go
_NO_LINKS = {errno.EPERM, errno.ENOTSUP, errno.EOPNOTSUPP, errno.ENOSYS, errno.EMLINK}


class TargetExistsError(LiverSegError):
    """A file or folder that must not be replaced exists, perhaps since a moment ago."""


@contextmanager
def replacing(target: Path, overwrite: bool = True) -> Iterator[Path]:
    """Provide a temporary path beside `target` and rename it to `target` on success.

    The block may create a file or a folder at that path. If it raises, whatever it created is
    removed and an existing `target` stays unchanged. What killed processes left in the folder is
    removed, too.

    Args:
        target: Final path. Missing parent folders are created.
        overwrite: Whether an existing `target` is replaced. If not, only one of several processes
            that write the same target succeeds. An empty folder is replaced in any case.

    Yields:
        A path in the same folder, hence on the same file system, with the same suffixes.

    Raises:
        TargetExistsError: If `overwrite` is False and the target exists.
        LiverSegError: If the disk is full or the folder cannot be written.
    """
    target = Path(target)
    partial = partial_path(target)
    try:
        new_folders = [folder for folder in target.parents if not folder.exists()]
        target.parent.mkdir(parents=True, exist_ok=True)
        clear_abandoned_partials(target.parent.absolute())
        yield partial
        sync(partial)
        if not overwrite:
            _rename_to_new(partial, target)
        elif partial.is_dir() and target.is_dir():
            _replace_folder(partial, target)
        else:
            os.replace(partial, target)
        for folder in (target, *new_folders):
            _sync_folder(folder.parent)
    except OSError as error:
        reason = reason_of(error)
        raise LiverSegError(f"Expected to write {target}. Received: {reason}.") from error
    finally:
        with suppress(LiverSegError):  # the next run removes it
            remove(partial)


def _rename_to_new(partial: Path, target: Path) -> None:
    """Rename a file or folder to a name that must not exist, without a moment in between."""
    try:
        if partial.is_dir() or os.name == "nt":
            os.rename(partial, target)  # fails if there is a file or a folder with contents
        else:
            _link(partial, target)
    except OSError as error:
        if error.errno in (errno.EEXIST, errno.ENOTEMPTY, errno.ENOTDIR, errno.EISDIR):
            raise TargetExistsError(
                f"Expected no file or folder at {target}. Received one that exists already, "
                "perhaps from another run that has just written it."
            ) from error
        raise


def _link(partial: Path, target: Path) -> None:
    """Give a file a second name, the final one; `replacing` removes the temporary one."""
    try:
        os.link(partial, target)
    except OSError as error:
        if error.errno not in _NO_LINKS:
            raise
        # the file system has no links: reserve the name, then replace the reservation
        os.close(os.open(target, os.O_CREAT | os.O_EXCL | os.O_WRONLY))
        os.replace(partial, target)


def _replace_folder(partial: Path, target: Path) -> None:
    """Replace a folder; at no time is there half of the old one under its name."""
    old = partial_path(target)
    os.rename(target, old)
    try:
        os.rename(partial, target)
    except OSError:
        os.rename(old, target)
        raise
    remove(old)


def sync(path: Path) -> None:
    """Wait until a file, or a folder with everything in it, is on the disk.

    The files of a folder are synchronised at the same time, which takes a twentieth of the time
    that one after another takes.

    Raises:
        OSError: If the disk fails.
    """
    if not path.is_dir():
        _sync_file(path)
        return
    files, folders = [], []
    for root, _, names in os.walk(path):
        folders.append(Path(root))
        files += [Path(root) / name for name in names]
    with ThreadPoolExecutor(_SYNC_THREADS) as executor:
        list(executor.map(_sync_file, files))
    for folder in folders:
        _sync_folder(folder)


def _sync_file(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY if os.name == "posix" else os.O_RDWR)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _sync_folder(folder: Path) -> None:
    """Write the names in a folder to the disk, where the system can do that."""
    if os.name != "posix":
        return
    try:
        _sync_file(folder)
    except OSError as error:
        # some network file systems cannot do it, and some folders cannot be read
        if error.errno not in (errno.EINVAL, errno.ENOTSUP, errno.EACCES, errno.EBADF):
            raise


def create_folder(folder: Path) -> None:
    """Create a folder and its parents, if they are missing.

    Raises:
        LiverSegError: If the folder cannot be created.
    """
    try:
        Path(folder).mkdir(parents=True, exist_ok=True)
    except OSError as error:
        reason = reason_of(error)
        raise LiverSegError(f"The folder {folder} cannot be created: {reason}.") from error


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
    except (OSError, ValueError, RecursionError) as error:
        reason = reason_of(error)
        raise LiverSegError(f"Expected a JSON file at {path}. Received: {reason}.") from error
    if not isinstance(value, dict):
        raise LiverSegError(f"Expected a JSON object in {path}. Received: {type(value).__name__}.")
    return value
