"""Archives from strangers: all of them below one folder, or nothing at all."""

import stat
import tarfile
import unicodedata
import zipfile
import zlib
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from liverseg_tf.atomic import replacing
from liverseg_tf.dataset.download.disk_space import check_space
from liverseg_tf.errors import LiverSegError

MOST_MEMBERS = 100_000
# CT in 16 bits shrinks to a third, label maps to a hundredth; bombs to a thousandth and less
MOST_EXPANSION = 50
_CHUNK = 1 << 20
_BROKEN = (
    tarfile.TarError,
    zipfile.BadZipFile,
    zlib.error,
    EOFError,
    NotImplementedError,  # a zip of a newer version than zipfile knows
    RecursionError,  # header after header in a tar
    MemoryError,  # a header that claims more bytes than there can be
    OverflowError,
    ValueError,
)
_TAR_STRANGERS = {
    tarfile.SYMTYPE: "a symbolic link",
    tarfile.LNKTYPE: "a hard link",
    tarfile.CHRTYPE: "a device",
    tarfile.BLKTYPE: "a device",
    tarfile.FIFOTYPE: "a pipe",
}


class ArchiveError(LiverSegError):
    """An archive that is broken or was made to do harm."""


@dataclass(frozen=True)
class Archive:
    """An archive on disk.

    Args:
        path: the file.
        kind: 'tar' (not compressed) or 'zip'.
        root: a folder in it that holds everything and is left away; '' for none.
    """

    path: Path
    kind: str
    root: str = ""


@dataclass(frozen=True)
class Entry:
    """One member: `what` is 'file', 'folder', or what it is instead, which is refused."""

    name: str
    size: int
    what: str
    open: Callable[[], BinaryIO]


def extract(
    archive: Archive,
    target: Path,
    check: Callable[[Path], None] | None = None,
    on_bytes: Callable[[int, int], None] | None = None,
) -> int:
    """Write an archive's files below a folder that appears whole or not at all.

    Names, kinds and sizes of all members are looked at before anything is written. Owners,
    modes and times are not taken over. AppleDouble files (`._x`, `__MACOSX`) are left away, and
    so are folders without files.

    Args:
        archive: it may be hostile.
        target: the folder.
        check: called with the folder before it gets its name; what it raises undoes all.
        on_bytes: called with the bytes written, and all that will be.

    Returns:
        The number of files.

    Raises:
        ArchiveError: when the archive is broken, when a member is no file or folder (links,
            devices) or would lie outside, when two have one name, or when there is too much.
        LiverSegError: when the disk is full.
    """
    with _explained(archive.path), _OPENERS[archive.kind](archive.path) as entries:
        files = _plan(archive, entries)
        total = sum(entry.size for entry in files.values())
        check_space(target, total)
        written = 0
        with replacing(target) as partial:
            partial.mkdir()
            for parts, entry in files.items():
                path = partial.joinpath(*parts)
                path.parent.mkdir(parents=True, exist_ok=True)
                for count in _copy(entry, path):
                    written += count
                    if on_bytes is not None:
                        on_bytes(written, total)
            if check is not None:
                check(partial)
    return len(files)


def _plan(archive: Archive, entries: Iterable[Entry]) -> dict[tuple[str, ...], Entry]:
    """The files to write by their parts below the target; raises for all that is refused."""
    size = archive.path.stat().st_size
    limit = size if archive.kind == "tar" else MOST_EXPANSION * size
    files: dict[tuple[str, ...], Entry] = {}
    names: set[tuple[str, ...]] = set()
    folders: set[tuple[str, ...]] = set()
    total = 0
    for count, entry in enumerate(entries, 1):
        if count > MOST_MEMBERS:
            raise ArchiveError(f"Expected at most {MOST_MEMBERS} members. Received more.")
        if entry.what not in ("file", "folder"):
            raise ArchiveError(f"Expected files and folders. Received {entry.what}: {entry.name!r}")
        parts = _parts(entry.name, archive.root)
        total += max(0, entry.size)
        if entry.size < 0 or total > limit:
            raise ArchiveError(f"Expected at most {limit} bytes. Received more, at {entry.name!r}.")
        if entry.what == "folder" or any(p.startswith("._") or p == "__MACOSX" for p in parts):
            continue
        name = tuple(unicodedata.normalize("NFC", part).casefold() for part in parts)
        if not name or name in names:  # on some file systems A.nii is a.nii
            raise ArchiveError(f"Expected each name once. Received {entry.name!r} again.")
        names.add(name)
        folders.update(name[:depth] for depth in range(1, len(name)))
        files[parts] = entry
    if names & folders:
        twice = "/".join(min(names & folders))
        raise ArchiveError(f"Expected each name once. Received file and folder {twice!r}.")
    if not files:
        raise ArchiveError("Expected files. Received none.")
    return files


def _parts(name: str, root: str) -> tuple[str, ...]:
    """A member's path below the target, safe on every file system."""
    parts = tuple(part for part in name.split("/") if part not in ("", "."))
    odd = any(not char.isprintable() or char in '\\:*?"<>|' for char in name)
    long = any(len(part.encode("utf-8", "surrogateescape")) > 255 for part in parts)
    if odd or long or name.startswith("/") or ".." in parts:
        raise ArchiveError(f"Expected plain names inside the archive. Received {name[:300]!r}.")
    if root and parts[:1] not in ((), (root,)):
        raise ArchiveError(f"Expected everything below {root}/. Received {name!r}.")
    return parts[1:] if root else parts


def _copy(entry: Entry, path: Path) -> Iterator[int]:
    """Write one file; yields bytes as they are written."""
    left = entry.size
    with entry.open() as source, open(path, "xb") as sink:
        while chunk := source.read(_CHUNK):
            left -= len(chunk)
            if left < 0:
                break
            sink.write(chunk)
            yield len(chunk)
    if left:
        raise ArchiveError(f"Expected {entry.size} bytes of {entry.name!r}. Received others.")


@contextmanager
def _open_tar(path: Path) -> Iterator[Iterator[Entry]]:
    with tarfile.open(path, "r:") as tar:
        yield _tar_entries(tar)


def _tar_entries(tar: tarfile.TarFile) -> Iterator[Entry]:
    for member in tar:
        what = "folder" if member.isdir() else "file"
        if not member.isdir() and (not member.isreg() or member.issparse()):
            what = _TAR_STRANGERS.get(member.type, "a member of another kind")
        yield Entry(member.name, member.size, what, lambda member=member: tar.extractfile(member))
    # tarfile takes a damaged header for the end
    tar.fileobj.seek(tar.offset)
    end = tar.fileobj.read(tarfile.BLOCKSIZE)
    if len(end) < tarfile.BLOCKSIZE or any(end):
        raise ArchiveError(f"Expected the end of the archive at byte {tar.offset}. Received none.")


@contextmanager
def _open_zip(path: Path) -> Iterator[Iterator[Entry]]:
    with zipfile.ZipFile(path) as archive:
        yield _zip_entries(archive)


def _zip_entries(archive: zipfile.ZipFile) -> Iterator[Entry]:
    for info in archive.infolist():
        mode = stat.S_IFMT(info.external_attr >> 16)
        what = "folder" if info.is_dir() else "file"
        if info.flag_bits & 1:
            what = "an encrypted member"
        elif info.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
            what = "a member of an unusual compression"
        elif mode not in (0, stat.S_IFREG, stat.S_IFDIR):
            what = "a symbolic link" if stat.S_ISLNK(mode) else "a device or a pipe"
        # orig_filename: zipfile cuts names at NUL
        yield Entry(info.orig_filename, info.file_size, what, lambda info=info: archive.open(info))


@contextmanager
def _explained(path: Path) -> Iterator[None]:
    try:
        yield
    except ArchiveError as error:
        raise ArchiveError(f"{error} (archive {path.name})") from error
    except _BROKEN as error:
        reason = str(error) or type(error).__name__
        raise ArchiveError(f"Expected a whole archive at {path}. Received: {reason}.") from error
    except OSError as error:
        raise LiverSegError(f"Expected to read {path}. Received: {error.strerror}.") from error


_OPENERS = {"tar": _open_tar, "zip": _open_zip}
