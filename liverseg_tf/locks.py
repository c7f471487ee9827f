"""Lock files, which the operating system releases when the process that holds them ends."""

import math
import os
import re
import stat
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path

from filelock import FileLock, Timeout

from liverseg_tf.errors import LiverSegError, reason_of

_PART = re.compile(r"-([1-9][0-9]{0,8})-([1-9][0-9]{0,8})")  # ends the name of a part's lock file


@contextmanager
def exclusive_lock(
    path: Path, resource: str, wait: bool = False, remove: bool = False
) -> Iterator[None]:
    """Hold a lock file, which only one process can hold at a time.

    Args:
        path: Lock file. The file and its folder are created if they are missing.
        resource: What the lock protects, for error messages.
        wait: Whether to wait while another process holds the lock.
        remove: Whether to delete the lock file at the end.

    Raises:
        LiverSegError: If another process holds the lock, the folder cannot be written, or its
            file system does not support locks.
    """
    path = Path(path)
    # filelock's alternative for file systems without locks would stay locked after a crash
    lock = FileLock(path, fallback_to_soft=False)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        _check_regular(path)
        lock.acquire(blocking=wait)
    except Timeout as error:
        raise LiverSegError(
            f"Expected exclusive access to {resource}. Received: another run is writing it "
            "(wait until it ends, then try again)."
        ) from error
    except OSError as error:
        raise LiverSegError(
            f"Expected to write {resource} and lock it. Received: {reason_of(error)}."
        ) from error
    try:
        yield
    finally:
        if remove:
            # deleted while it is held, so that nobody can lock a file that is about to go;
            # Windows refuses, and there filelock itself deletes the file after the release
            with suppress(OSError):
                path.unlink()
        lock.release()


@contextmanager
def lock_if_supported(path: Path, resource: str, wait: bool = False) -> Iterator[None]:
    """Hold a lock file, which is removed at the end; without a lock where there are no locks.

    Args:
        path: Lock file.
        resource: What the lock protects, for error messages.
        wait: Whether to wait while another process holds the lock.

    Raises:
        LiverSegError: If another process holds the lock and `wait` is not set.
    """
    with ExitStack() as held:
        try:
            held.enter_context(exclusive_lock(path, resource, wait, remove=True))
        except LiverSegError as error:
            if isinstance(error.__cause__, Timeout):
                raise
            # no locks on this file system, or a read-only folder: writing will report that
        yield


def _check_regular(path: Path) -> None:
    """Refuse a link or a pipe, as a store of another person may contain."""
    try:
        mode = os.lstat(path).st_mode  # one look: another process may remove the file at any time
    except OSError:
        return
    if not stat.S_ISREG(mode):
        raise LiverSegError(
            f"Expected a regular file at {path}. Received a link, a pipe or a folder: remove it."
        )


@contextmanager
def part_lock(path: Path, index: int, count: int, resource: str) -> Iterator[None]:
    """Hold one part of a resource; parts that overlap cannot be held at the same time.

    Part `index` of `count` is every `count`-th item from the `index`-th on, as
    `DatasetPart.select` takes them: parts have common items if their indices are equal modulo the
    greatest common divisor of the counts. Part 1 of 1 is the whole resource. Each part that is held
    has a lock file of its own beside `path`, and `path` is locked while parts are added or removed.

    Args:
        path: Lock file of the resource.
        index: Number of the part, from 1 to `count`.
        count: Number of parts. Parts of different counts may be held at the same time.
        resource: What the lock protects, for error messages.

    Raises:
        LiverSegError: If another process holds a part that overlaps this one, the folder cannot
            be written, or its file system does not support locks.
    """
    own = path.with_name(f"{path.name}-{index}-{count}")
    with ExitStack() as held:
        with exclusive_lock(path, resource, wait=True):
            for other in path.parent.iterdir():
                match = _PART.fullmatch(other.name.removeprefix(path.name))
                if match is None:
                    continue
                other_index, other_count = int(match[1]), int(match[2])
                if (index - other_index) % math.gcd(count, other_count) == 0:
                    with exclusive_lock(other, resource, remove=True):
                        pass  # not held: the file was left by a process that was killed
            held.enter_context(exclusive_lock(own, resource, remove=True))
        try:
            yield
        finally:
            with exclusive_lock(path, resource, wait=True):
                held.close()
