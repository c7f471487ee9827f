"""Data sets from a server to a folder that appears whole or not at all."""

import os
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import partial as bound
from pathlib import Path

from liverseg_tf.atomic import PARTIAL
from liverseg_tf.dataset.cases import recognise_layout
from liverseg_tf.dataset.download.archive import Archive, ArchiveError, extract
from liverseg_tf.dataset.download.http_download import RetryPolicy, check_md5, fetch
from liverseg_tf.dataset.download.http_request import Address
from liverseg_tf.dataset.download.kaggle import SETTINGS_PAGE, read_credentials
from liverseg_tf.dataset.download.partial_file import Partial
from liverseg_tf.dataset.download.sources import Source
from liverseg_tf.errors import LiverSegError


@dataclass(frozen=True)
class DownloadProgress:
    """Whom to tell.

    Args:
        on_bytes: called with the stage ('download', 'checksum', 'extract'), the bytes done and
            of how many.
        on_note: called with a sentence that the user should read.
    """

    on_bytes: Callable[[str, int, int], None] = lambda stage, done, total: None
    on_note: Callable[[str], None] = lambda note: None


def download(
    source: Source,
    folder: Path,
    retry_policy: RetryPolicy | None = None,
    keep_archive: bool = False,
    progress: DownloadProgress | None = None,
) -> Path | None:
    """Get a data set.

    An archive that is there whole under its name (by `keep_archive`, or by hand) is not
    downloaded again, and kept. Whatever ends a download, it leaves the part that is there for the
    next one to resume; an archive that turns out wrong is removed.

    Args:
        source: what to get, and how to check it.
        folder: the data set's folder `source.folder` is made below it.
        patience: with the server; None for the usual one.
        keep_archive: keep it beside the data set.
        progress: whom to tell; None for nobody.

    Returns:
        The data set's folder; None where it is there already, and nothing was done.

    Raises:
        LiverSegError: when the server, the archive, the credentials or the disk don't allow it.
    """
    retry_policy, progress = retry_policy or RetryPolicy(), progress or DownloadProgress()
    target = Path(folder) / source.folder
    if _is_there(target):
        return None
    path = Path(folder) / f"{source.name}.{source.kind}"
    with _alone(path.with_name(f".{path.name}.lock")):
        if _is_there(target):
            return None  # another run was just ending
        _sweep(target)
        if path.is_file():
            progress.on_note(f"{path} is there: it is not downloaded again, and kept.")
            if source.md5 is not None:
                check_md5(path, source.md5, bound(progress.on_bytes, "checksum"))
            _extract(Archive(path, source.kind, source.root), target, source, progress)
            return target
        part = Partial(path.with_name(path.name + ".partial"))
        fetch(_address(source, progress), part, retry_policy, bound(progress.on_bytes, "download"))
        _verify_and_extract(part, target, source, progress)
        if keep_archive:
            os.replace(part.path, path)
        part.drop()
    return target


def _verify_and_extract(
    part: Partial, target: Path, source: Source, progress: DownloadProgress
) -> None:
    try:
        if source.md5 is not None:
            check_md5(part.path, source.md5, bound(progress.on_bytes, "checksum"))
    except LiverSegError as error:
        part.drop()
        raise LiverSegError(f"{error} It was removed: the next run begins anew.") from error
    try:
        _extract(Archive(part.path, source.kind, source.root), target, source, progress)
    except ArchiveError as error:
        if source.md5 is not None:  # the very bytes that were meant: no better ones will come
            raise
        part.drop()
        raise LiverSegError(f"{error} It was removed: the next run begins anew.") from error


def _extract(archive: Archive, target: Path, source: Source, progress: DownloadProgress) -> None:
    def check(folder: Path) -> None:
        found = recognise_layout(folder)
        if found != source.layout:
            raise ArchiveError(
                f"Expected a data set of the layout {source.layout}. Received {found or 'none'}."
            )

    extract(archive, target, check, bound(progress.on_bytes, "extract"))


def _address(source: Source, progress: DownloadProgress) -> Address:
    if not source.kaggle:
        return Address(source.url)
    credentials = read_credentials(os.environ, Path.home())
    if credentials.exposed is not None:
        progress.on_note(
            f"Other users of this machine can read {credentials.exposed}: "
            f"chmod 600 {credentials.exposed}"
        )
    hint = f"is the Kaggle token valid? {SETTINGS_PAGE}; are the data set's terms accepted?"
    return Address(source.url, credentials.authorization, hint)


def _is_there(target: Path) -> bool:
    if not target.is_dir():
        return False
    try:
        return any(target.iterdir())
    except OSError as error:
        raise LiverSegError(
            f"Expected to read {target}. Received: {error.strerror or error}."
        ) from error


def _sweep(target: Path) -> None:
    """Remove what killed runs extracted."""
    for leftover in target.parent.glob(f"{PARTIAL}*-{target.name}"):
        shutil.rmtree(leftover, ignore_errors=True)


@contextmanager
def _alone(path: Path) -> Iterator[None]:
    """Hold a lock, which the system frees when the process ends."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        lock = os.open(path, os.O_RDWR | os.O_CREAT, 0o666)
    except OSError as error:
        raise LiverSegError(
            f"Expected to write {path.parent}. Received: {error.strerror}."
        ) from error
    try:
        _lock(lock, path)
        try:
            yield
        finally:
            with suppress(OSError):
                path.unlink()
    finally:
        os.close(lock)


def _lock(handle: int, path: Path) -> None:
    try:
        import fcntl
    except ImportError:  # Windows: no lock
        return
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        if not os.path.samestat(os.fstat(handle), os.stat(path)):
            raise BlockingIOError  # a run that ended just now removed it
    except (BlockingIOError, FileNotFoundError) as error:
        raise LiverSegError(
            f"Expected to download into {path.parent} alone. "
            "Received a folder where another run downloads the same."
        ) from error
