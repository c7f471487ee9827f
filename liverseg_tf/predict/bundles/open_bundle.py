"""From the file of a bundle to its unpacked folder in the cache."""

import hashlib
import os
import shutil
import zipfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from liverseg_tf.atomic import replacing
from liverseg_tf.dataset.download.archive import Archive, extract
from liverseg_tf.errors import LiverSegError, reason_of
from liverseg_tf.locks import exclusive_lock
from liverseg_tf.model.bundle.bundle_record import BUNDLE_FILE, MAX_BYTES, MEMBERS, BundleRecord
from liverseg_tf.model.bundle.verify_bundle import verify_bundle
from liverseg_tf.predict.batch.memmap import check_writable
from liverseg_tf.predict.bundles.cache import VARIABLE, cache_folder
from liverseg_tf.printable import printable

_KEY_DIGITS = 32
_MAX_MEMBERS = 100
_ZIP = b"PK\x03\x04"


def is_bundle_file(path: Path) -> bool:
    """Return whether a path is a file that may be a packed bundle: any zip file."""
    if not path.is_file():
        return False
    if path.suffix.lower() == ".zip":
        return True
    try:
        with open(path, "rb") as file:
            return file.read(len(_ZIP)) == _ZIP
    except OSError:
        return False


def open_folder(folder: Path, name: str | None = None) -> BundleRecord:
    """Check an unpacked bundle; see `verify_bundle`.

    Args:
        folder: Folder of the bundle.
        name: What the user calls it, for errors; its path if None.

    Raises:
        LiverSegError: If it is incomplete or was changed.
    """
    with naming_model(name or str(folder)):
        return verify_bundle(folder)


def open_file(path: Path, name: str | None = None) -> Path:
    """Unpack a bundle into the cache, unless it is there, and check it.

    Args:
        path: Zip file that `liverseg pack` wrote.
        name: What the user calls it, for errors; its path if None.

    Returns:
        Folder of the unpacked bundle, which is named after the model.

    Raises:
        LiverSegError: If the file is no bundle, is damaged or was changed, or the cache cannot be
            written.
    """
    path = Path(path)
    with naming_model(name or str(path)):
        key = compute_key(path)
        _check_count(path)

        def unpack(folder: Path) -> None:
            extract(Archive(path, "zip"), folder, _check_members, max_bytes=MAX_BYTES)

        return install(key, unpack)


def compute_key(path: Path) -> str:
    """Return the SHA-256 checksum of a file, 64 hexadecimal digits.

    Raises:
        LiverSegError: If the file cannot be read, or is too large for a bundle.
    """
    try:
        if path.stat().st_size > MAX_BYTES:
            raise LiverSegError(
                f"Expected a model bundle of at most {MAX_BYTES >> 20} MiB. Received a larger file."
            )
        with open(path, "rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise LiverSegError(f"Expected to read {path}. Received: {reason_of(error)}.") from error


def find_installed(key: str) -> Path | None:
    """Return the folder of a bundle in the cache, or None if it is not there or is damaged.

    Args:
        key: SHA-256 checksum by which it is known.
    """
    try:
        folders = [one for one in _place(key).iterdir() if (one / BUNDLE_FILE).is_file()]
        if len(folders) == 1 and verify_bundle(folders[0]).name == folders[0].name:
            return folders[0]
    except (OSError, LiverSegError):
        pass
    return None


def install(key: str, unpack: Callable[[Path], None]) -> Path:
    """Put a bundle into the cache, unless it is there.

    Args:
        key: SHA-256 checksum by which the bundle is known.
        unpack: Function that creates a folder with the files of the bundle.

    Returns:
        Folder of the unpacked bundle.

    Raises:
        LiverSegError: If the bundle is damaged or was changed, or the cache cannot be written.
    """
    found = find_installed(key)
    if found is not None:
        return found
    place = _place(key)
    check_cache()
    with exclusive_lock(place.with_name(f".{place.name}.lock"), f"{place}", wait=True, remove=True):
        found = find_installed(key)  # another process may have been faster
        if found is not None:
            return found
        with replacing(place) as partial:
            partial.mkdir()
            unpacked = partial / "unpacked"
            unpack(unpacked)
            record = verify_bundle(unpacked)
            os.rename(unpacked, partial / record.name)
        return place / record.name


def check_cache() -> None:
    """Check that the cache can be written.

    Raises:
        LiverSegError: If it cannot be written; it names the variable that chooses another one.
    """
    try:
        check_writable(cache_folder())
    except LiverSegError as error:
        raise LiverSegError(
            f"The cache of models cannot be written. {error} Set {VARIABLE} to another folder."
        ) from error


def copy_members(files: dict[str, Path], target: Path) -> None:
    """Copy the files of a bundle into a new folder.

    Args:
        files: Path of each file by its name.
        target: Folder to create.
    """
    target.mkdir()
    for name, path in files.items():
        shutil.copyfile(path, target / name)


@contextmanager
def naming_model(name: str) -> Iterator[None]:
    """Add the model to errors that do not name it."""
    try:
        yield
    except LiverSegError as error:
        text = str(error)
        suffix = "" if name in text else f" (model {printable(name)})"
        raise type(error)(text + suffix) from error


def _check_count(path: Path) -> None:
    """Check the number of members of a zip file, before many of them are unpacked."""
    try:
        with zipfile.ZipFile(path) as archive:
            found = len(archive.infolist())
    except (zipfile.BadZipFile, NotImplementedError, ValueError, OSError):
        return  # unpacking it reports what is wrong
    if found > _MAX_MEMBERS:
        raise LiverSegError(f"Expected only the files of a model bundle. Received {found} members.")


def _check_members(folder: Path) -> None:
    """Check that an unpacked zip holds the files of a bundle and no others."""
    BundleRecord.read(folder)
    others = sorted({path.name for path in folder.iterdir()} - {BUNDLE_FILE, *MEMBERS})
    if others:
        raise LiverSegError(
            f"Expected only the files of a model bundle. Received {printable(others[0])[:200]}."
        )


def _place(key: str) -> Path:
    return cache_folder() / key[:_KEY_DIGITS]
