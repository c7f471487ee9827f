"""Who may write a store: one run, or the several parts of one."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from liverseg_tf.dataset.dataset_part import DatasetPart
from liverseg_tf.errors import LiverSegError

# bytes of the lock file, which stays empty: a part holds its share of them
_SHARES = 2**40


@contextmanager
def holding(folder: Path, part: DatasetPart) -> Iterator[None]:
    """Hold a part of a store; the system lets go of it when the process ends, however it ends.

    Args:
        folder: the store; it is made where it is missing.
        part: of the data set that this run writes; the whole one excludes every other run.

    Raises:
        LiverSegError: when another run holds any of it, or the folder can't be written.
    """
    start, end = ((index * _SHARES) // part.count for index in (part.index - 1, part.index))
    with _locked(folder, ".lock", (end - start, start), wait=False):
        yield


@contextmanager
def listing(folder: Path) -> Iterator[None]:
    """Wait for the other parts to have written store.json; hold them off meanwhile."""
    # a file of its own: closing a file frees all locks that the process has on it
    with _locked(folder, ".lock-list", (1, 0), wait=True):
        yield


@contextmanager
def _locked(folder: Path, name: str, stretch: tuple[int, int], wait: bool) -> Iterator[None]:
    handle = _open(folder, name)
    try:
        _lock(handle, folder, stretch, wait)
        yield
    finally:
        os.close(handle)


def _open(folder: Path, name: str) -> int:
    try:
        folder.mkdir(parents=True, exist_ok=True)
        return os.open(folder / name, os.O_RDWR | os.O_CREAT, 0o666)
    except OSError as error:
        raise LiverSegError(
            f"Expected to write the store {folder}. Received: {error.strerror}."
        ) from error


def _lock(handle: int, folder: Path, stretch: tuple[int, int], wait: bool) -> None:
    try:
        import fcntl
    except ImportError:  # Windows: no lock, the cases are still whole
        return
    try:
        fcntl.lockf(handle, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB), *stretch)
    except (BlockingIOError, PermissionError) as error:
        raise LiverSegError(
            f"Expected the store {folder} for this run alone. "
            "Received one that another run is writing."
        ) from error
    except OSError as error:  # a file system without locks
        raise LiverSegError(
            f"Expected to lock the store {folder}. Received: {error.strerror}."
        ) from error
