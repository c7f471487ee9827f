"""Temporary files and folders beside the ones that they will become: names, owners and removal.

A process that is killed leaves its temporary files behind. The name of each tells which process
made it, so that the next run in the same folder can remove it, but none of a process that is alive.
"""

import functools
import hashlib
import os
import re
import shutil
import socket
import stat
import time
import uuid
from contextlib import suppress
from pathlib import Path

from liverseg_tf.errors import LiverSegError, reason_of

PARTIAL = ".partial-"
_NAME = re.compile(r"\.partial-(?P<tag>[0-9a-z]+)-(?P<target>.+)", re.DOTALL)
_TAG = re.compile(
    r"(?P<machine>[0-9a-f]{8})(?P<pid>[0-9a-f]{8})(?P<process>[0-9a-f]{4})[0-9a-f]{6}"
)
_ABANDONED_SECONDS = 24 * 3600  # older temporary files count as abandoned in any case


def partial_path(target: Path) -> Path:
    """Return a new temporary path in the folder of a target, with the target's suffixes."""
    owner = f"{_machine()}{os.getpid():08x}{_process()}"
    return target.with_name(f"{PARTIAL}{owner}{uuid.uuid4().hex[:6]}-{target.name}")


def clear_partials(folder: Path, names: set[str] | None = None) -> None:
    """Remove temporary files in a folder, whoever made them.

    The caller must hold a lock, or know for another reason that nobody is writing them.

    Args:
        folder: Folder to clean; it may be missing.
        names: Final names whose temporary files are removed. None removes all of them.

    Raises:
        LiverSegError: If one of them cannot be removed.
    """
    for partial in _partials(folder):
        match = _NAME.fullmatch(partial.name)
        if names is None or (match is not None and match["target"] in names):
            remove(partial)


@functools.lru_cache(maxsize=1024)
def clear_abandoned_partials(folder: Path) -> None:
    """Remove the temporary files that killed processes left in a folder; once in each process.

    A temporary file is abandoned if its process ran on this machine and is not alive, or if it has
    not been touched for a day. What cannot be removed is left for the next run: it does no harm.

    Args:
        folder: Folder to clean; it may be missing.
    """
    for partial in _partials(folder):
        if _is_abandoned(partial):
            with suppress(LiverSegError):
                remove(partial)


def remove(path: Path) -> None:
    """Remove a file, a link or a folder with its contents, if there is one.

    Raises:
        LiverSegError: If something cannot be removed; it names the path.
    """
    try:
        if stat.S_ISDIR(os.lstat(path).st_mode):
            shutil.rmtree(path)
        else:
            os.unlink(path)
    except FileNotFoundError:
        return
    except OSError as error:
        place = error.filename or path
        raise LiverSegError(
            f"Expected to remove {path}. Received: {reason_of(error)} ({place}): check the "
            "permissions, or remove it yourself."
        ) from error


def remove_at_once(path: Path) -> None:
    """Remove a file or folder without ever leaving half of it under its name; see `remove`.

    It is renamed first. If the process is killed while it removes, the next run removes the rest.
    """
    old = partial_path(path)
    try:
        os.rename(path, old)
    except FileNotFoundError:
        return
    except OSError as error:
        raise LiverSegError(f"Expected to remove {path}. Received: {reason_of(error)}.") from error
    remove(old)


def _partials(folder: Path) -> list[Path]:
    try:
        names = os.listdir(folder)
    except OSError:
        return []  # writing into it will tell the reason
    return [Path(folder) / name for name in names if name.startswith(PARTIAL)]


def _is_abandoned(partial: Path) -> bool:
    name = _NAME.fullmatch(partial.name)
    tag = _TAG.fullmatch(name["tag"]) if name is not None else None
    if tag is None:
        return False  # not a name of `partial_path`
    if tag["machine"] == _machine():
        pid = int(tag["pid"], 16)
        if pid == os.getpid():
            if tag["process"] != _process():
                return True  # of an earlier process that had the same number
        elif not _is_alive(pid):
            return True
    try:
        return time.time() - os.lstat(partial).st_mtime > _ABANDONED_SECONDS
    except OSError:
        return False  # another process has just removed it


def _is_alive(pid: int) -> bool:
    """Whether a process of this machine is alive; True if that cannot be found out."""
    if os.name != "posix" or pid == 0:
        return True  # on Windows, `os.kill` would end the process
    try:
        os.kill(pid, 0)
    except (ProcessLookupError, OverflowError):
        return False
    except OSError:
        return True
    return True


@functools.cache
def _machine() -> str:
    """Digits for the space of process numbers: the machine, and the container in it."""
    try:
        container = os.stat("/proc/self/ns/pid").st_ino
    except OSError:
        container = 0
    text = f"{socket.gethostname()} {container}"
    return hashlib.blake2b(text.encode(), digest_size=4).hexdigest()


@functools.cache
def _process() -> str:
    """Random digits of this process; processes that were forked from it have another number."""
    return uuid.uuid4().hex[:4]
