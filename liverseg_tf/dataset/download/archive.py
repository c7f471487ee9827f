"""Extraction of archives from untrusted sources: all files into one folder, or none."""

import stat
import tarfile
import unicodedata
import zipfile
import zlib
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import IO

from liverseg_tf import plural
from liverseg_tf.atomic import replacing
from liverseg_tf.dataset.download.disk_space import check_space
from liverseg_tf.errors import LiverSegError, reason_of

MAX_MEMBERS = 100_000
# compression shrinks CT in 16 bits to a third and label maps to a hundredth of their size, and
# the contents of a decompression bomb to a thousandth or less
MAX_EXPANSION = 50
_CHUNK = 1 << 20
_BROKEN = (
    tarfile.TarError,
    zipfile.BadZipFile,
    zlib.error,
    EOFError,
    NotImplementedError,  # a zip of a version that zipfile does not support
    RecursionError,  # many headers one after another in a tar
    MemoryError,  # a header that states an impossible size
    OverflowError,
    ValueError,
)


class ArchiveError(LiverSegError):
    """An archive that is broken or hostile."""


@dataclass(frozen=True)
class Archive:
    """An archive on disk.

    Args:
        path: Path of the file.
        kind: 'tar' (without compression) or 'zip'.
        root: Folder in the archive that holds all files and is not extracted itself; '' if there
            is none.
    """

    path: Path
    kind: str
    root: str = ""


@dataclass(frozen=True)
class Member:
    """A file or folder in an archive.

    Args:
        name: Path in the archive, with '/' between its parts.
        size: Size in bytes.
        is_folder: Whether it is a folder.
        open: Function that opens the file for reading.
    """

    name: str
    size: int
    is_folder: bool
    open: Callable[[], IO[bytes]]


def extract(
    archive: Archive,
    target: Path,
    check: Callable[[Path], None] | None = None,
    on_bytes: Callable[[int, int], None] | None = None,
    max_bytes: int | None = None,
) -> int:
    """Extract an archive into a folder, which is written atomically.

    Names, types and sizes of all members are checked before anything is written. Owners, modes
    and times are not restored. AppleDouble files (`._x`) and empty folders are left out.

    Args:
        archive: Archive, which may be hostile.
        target: Folder to create.
        check: Function that is called with the complete folder under its temporary name. If it
            raises, the folder is removed.
        on_bytes: Callback with the bytes written so far and in total.
        max_bytes: Largest size of all files together. None limits it by the size of the archive.

    Returns:
        Number of files.

    Raises:
        ArchiveError: If the archive is broken, a member is a link or a device or leads outside the
            folder, two members have the same name, or there are too many members or bytes.
        LiverSegError: If the disk is full.
    """
    is_tar = archive.kind == "tar"
    with (
        _as_archive_errors(archive.path),
        tarfile.open(archive.path, "r:") if is_tar else zipfile.ZipFile(archive.path) as opened,
    ):
        if isinstance(opened, tarfile.TarFile):
            members = _tar_members(opened, target)
        else:
            members = _zip_members(opened)
        files = _select_files(archive, members, max_bytes)
        total = sum(member.size for member in files.values())
        check_space(target, total)
        written = 0
        with replacing(target) as partial:
            partial.mkdir()
            for parts, member in files.items():
                path = partial.joinpath(*parts)
                path.parent.mkdir(parents=True, exist_ok=True)
                for count in _copy(member, path):
                    written += count
                    if on_bytes is not None:
                        on_bytes(written, total)
            if check is not None:
                check(partial)
    return len(files)


def _select_files(
    archive: Archive, members: Iterable[Member], max_bytes: int | None
) -> dict[tuple[str, ...], Member]:
    """Check all members; return the files by the parts of their path below the target."""
    size = archive.path.stat().st_size
    limit = size if archive.kind == "tar" else MAX_EXPANSION * size
    limit = min(limit, max_bytes or limit)
    files: dict[tuple[str, ...], Member] = {}
    names: set[tuple[str, ...]] = set()
    folders: set[tuple[str, ...]] = set()
    total = 0
    for count, member in enumerate(members, 1):
        if count > MAX_MEMBERS:
            raise ArchiveError(f"Expected at most {MAX_MEMBERS} members. Received more.")
        parts = _parts_below_root(member.name, archive.root)
        total += max(0, member.size)
        if member.size < 0 or total > limit:
            reason = f"Expected at most {limit} bytes. Received more, at {member.name!r}."
            raise ArchiveError(reason)
        if member.is_folder or any(p.startswith("._") or p == "__MACOSX" for p in parts):
            continue
        # some file systems do not distinguish A.nii from a.nii
        name = tuple(unicodedata.normalize("NFC", part).casefold() for part in parts)
        if not name or name in names:
            raise ArchiveError(f"Expected each name once. Received {member.name!r} again.")
        names.add(name)
        folders.update(name[:depth] for depth in range(1, len(name)))
        files[parts] = member
    if names & folders:
        clash = "/".join(min(names & folders))
        raise ArchiveError(f"Expected each name once. Received {clash!r} as a file and a folder.")
    if not files:
        raise ArchiveError("Expected files in the archive. Received an archive without files.")
    return files


def _parts_below_root(name: str, root: str) -> tuple[str, ...]:
    parts = _split_name(name)
    if root and parts[:1] not in ((), (root,)):
        raise ArchiveError(f"Expected everything below {root}/. Received {name!r}.")
    return parts[1:] if root else parts


def _split_name(name: str) -> tuple[str, ...]:
    """Split a member's name into parts; refuse one that is not safe on every file system."""
    parts = tuple(part for part in name.split("/") if part not in ("", "."))
    forbidden = any(not char.isprintable() or char in '\\:*?"<>|' for char in name)
    too_long = any(len(part.encode("utf-8", "surrogateescape")) > 255 for part in parts)
    if forbidden or too_long or name.startswith("/") or ".." in parts:
        raise ArchiveError(f"Expected plain names inside the archive. Received {name[:300]!r}.")
    return parts


def _copy(member: Member, path: Path) -> Iterator[int]:
    """Write one file; yield the number of bytes of each write."""
    left = member.size
    with member.open() as source, open(path, "xb") as sink:
        while chunk := source.read(_CHUNK):
            left -= len(chunk)
            if left < 0:
                break
            sink.write(chunk)
            yield len(chunk)
    if left:
        size = f"{plural.count(member.size, 'byte')} of {member.name!r}"
        raise ArchiveError(f"Expected {size}. Received {'fewer' if left > 0 else 'more'}.")


def _tar_members(tar: tarfile.TarFile, target: Path) -> Iterator[Member]:
    for info in tar:
        _split_name(info.name)  # first: the filter fails on names that are too long
        if not (info.isreg() or info.isdir()) or info.issparse():
            special = "sparse file" if info.issparse() else "device, pipe or unknown type"
            kind = "link" if info.issym() or info.islnk() else special
            raise ArchiveError(f"Expected files and folders. Received a {kind}: {info.name!r}.")
        if hasattr(tarfile, "data_filter"):  # since Python 3.11.4
            tarfile.data_filter(info, str(target))
        yield Member(info.name, info.size, info.isdir(), partial(_open_in_tar, tar, info))
    # tarfile mistakes a damaged header for the end of the archive
    tar.fileobj.seek(tar.offset)
    end = tar.fileobj.read(tarfile.BLOCKSIZE)
    if len(end) < tarfile.BLOCKSIZE or any(end):
        raise ArchiveError(
            f"Expected the end of the archive at byte {tar.offset}. "
            "Received a damaged or incomplete header."
        )


def _open_in_tar(tar: tarfile.TarFile, info: tarfile.TarInfo) -> IO[bytes]:
    file = tar.extractfile(info)
    assert file is not None, "only a folder has no content"
    return file


def _zip_members(archive: zipfile.ZipFile) -> Iterator[Member]:
    for info in archive.infolist():
        name = info.orig_filename  # not cut at a NUL character, as `filename` is
        mode, kind = stat.S_IFMT(info.external_attr >> 16), None
        if info.flag_bits & 1:
            kind = "an encrypted member"
        elif info.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
            kind = "a member with an unsupported compression method"
        elif mode not in (0, stat.S_IFREG, stat.S_IFDIR):
            kind = "a symbolic link" if stat.S_ISLNK(mode) else "a device or a pipe"
        if kind is not None:
            raise ArchiveError(f"Expected files and folders. Received {kind}: {name!r}.")
        yield Member(name, info.file_size, info.is_dir(), partial(archive.open, info))


@contextmanager
def _as_archive_errors(path: Path) -> Iterator[None]:
    """Add the archive to errors, and turn those of the libraries into the package's own."""
    try:
        yield
    except ArchiveError as error:
        raise ArchiveError(f"{error} (archive {path.name})") from error
    except _BROKEN as error:
        reason = str(error) or type(error).__name__
        raise ArchiveError(f"Expected a complete archive at {path}. Received: {reason}.") from error
    except OSError as error:
        raise LiverSegError(f"Expected to read {path}. Received: {reason_of(error)}.") from error
