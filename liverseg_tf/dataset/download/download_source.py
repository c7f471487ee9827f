"""Download of a data set into a folder that is written atomically."""

import os
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from liverseg_tf.dataset.cases import detect_layout
from liverseg_tf.dataset.download.archive import Archive, ArchiveError, extract
from liverseg_tf.dataset.download.http_download import DOWNLOAD_RETRIES, check_md5, fetch
from liverseg_tf.dataset.download.http_request import Address
from liverseg_tf.dataset.download.kaggle import SETTINGS_PAGE, read_credentials
from liverseg_tf.dataset.download.partial_file import PartialFile
from liverseg_tf.dataset.download.sources import Source
from liverseg_tf.errors import LiverSegError, reason_of
from liverseg_tf.locks import exclusive_lock
from liverseg_tf.partials import clear_partials
from liverseg_tf.retry import RetryPolicy


@dataclass(frozen=True)
class DownloadProgress:
    """Callbacks during a download.

    Args:
        on_bytes: Callback with the stage ('download', 'checksum', 'extract'), the bytes done and
            the bytes in total.
        on_note: Callback with a sentence that the user should read.
    """

    on_bytes: Callable[[str, int, int], None] = lambda stage, done, total: None
    on_note: Callable[[str], None] = lambda note: None


def download(
    source: Source,
    folder: Path,
    retry_policy: RetryPolicy = DOWNLOAD_RETRIES,
    timeout_s: float = 60.0,
    keep_archive: bool = False,
    progress: DownloadProgress = DownloadProgress(),
) -> Path | None:
    """Download a data set.

    An archive that is already in `folder` under its final name (from `keep_archive`, or put there
    by the user) is not downloaded again, and is kept. A download that is interrupted leaves its
    part of the archive, which the next one resumes. An archive that proves to be wrong is removed.

    Args:
        source: Data set to download.
        folder: Folder below which the folder of the data set, `source.folder`, is created.
        retry_policy: Retries of requests that fail.
        timeout_s: Seconds without a byte after which a connection is given up.
        keep_archive: Whether to keep the archive beside the data set.
        progress: Callbacks for progress and notes.

    Returns:
        Folder of the data set. None if it exists already, in which case nothing is done.

    Raises:
        LiverSegError: If the server, the archive, the credentials or the disk prevent it, or
            another run is downloading the same.
    """
    target = Path(folder) / source.folder
    path = Path(folder) / f"{source.name}.{source.kind}"
    part = PartialFile(path.with_name(path.name + ".partial"))
    if _has_contents(target) and not part.path.exists():
        return None
    lock = path.with_name(f".{path.name}.lock")
    with exclusive_lock(lock, f"the archive {path}", remove=True):
        if _has_contents(target):  # another run has just finished it, or was killed at its end
            _finish(part, path, keep_archive)
            return None
        clear_partials(target.parent, {target.name})  # of extractions that were killed
        if path.is_file():
            progress.on_note(f"{path} exists: it is not downloaded again, and it is kept.")
            if source.md5 is not None:
                check_md5(path, source.md5, partial(progress.on_bytes, "checksum"))
            _extract(Archive(path, source.kind, source.root), target, source, progress)
            return target
        on_bytes = partial(progress.on_bytes, "download")
        fetch(_address(source, progress), part, retry_policy, timeout_s, on_bytes)
        _verify_and_extract(part, target, source, progress)
        _finish(part, path, keep_archive)
    return target


def _finish(part: PartialFile, path: Path, keep_archive: bool) -> None:
    """Keep a complete archive under its final name, or remove what was downloaded of it."""
    size, total, _ = part.state()
    if keep_archive and 0 < size == total:
        os.replace(part.path, path)
    part.remove()


def _verify_and_extract(
    part: PartialFile, target: Path, source: Source, progress: DownloadProgress
) -> None:
    try:
        if source.md5 is not None:
            check_md5(part.path, source.md5, partial(progress.on_bytes, "checksum"))
    except LiverSegError as error:
        part.remove()
        raise LiverSegError(f"{error} The archive was removed: download it again.") from error
    try:
        _extract(Archive(part.path, source.kind, source.root), target, source, progress)
    except ArchiveError as error:
        if source.md5 is not None:  # the archive is the right one: another download would not help
            raise
        part.remove()
        raise LiverSegError(f"{error} The archive was removed: download it again.") from error


def _extract(archive: Archive, target: Path, source: Source, progress: DownloadProgress) -> None:
    def check(folder: Path) -> None:
        layout = detect_layout(folder)
        if layout != source.layout:
            raise ArchiveError(
                f"Expected a data set of the layout {source.layout}. "
                f"Received {f'the layout {layout}' if layout else 'an unknown layout'}."
            )

    extract(archive, target, check, partial(progress.on_bytes, "extract"))


def _address(source: Source, progress: DownloadProgress) -> Address:
    if not source.kaggle:
        return Address(source.url)
    credentials = read_credentials(os.environ, Path.home())
    if credentials.exposed is not None:
        progress.on_note(
            f"Other users of this machine can read {credentials.exposed}. "
            f"To prevent this: chmod 600 {credentials.exposed}"
        )
    hint = f"is the Kaggle token valid ({SETTINGS_PAGE}), and are the data set's terms accepted?"
    return Address(source.url, credentials.authorization, hint)


def _has_contents(folder: Path) -> bool:
    if not folder.is_dir():
        return False
    try:
        return any(folder.iterdir())
    except OSError as error:
        raise LiverSegError(f"Expected to read {folder}. Received: {reason_of(error)}.") from error
