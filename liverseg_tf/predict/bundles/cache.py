"""Where bundles are: those of the package, and those that were unpacked before."""

import os
import sys
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import liverseg_tf
from liverseg_tf.errors import LiverSegError
from liverseg_tf.model.bundle.bundle_record import BUNDLE_FILE, BundleRecord

DEFAULT_MODEL = "abdomen-ct"
VARIABLE = "LIVERSEG_CACHE"
_PACKAGE = Path(liverseg_tf.__file__).parent
PACKAGED = _PACKAGE / "packaged_models"


@dataclass(frozen=True)
class FoundBundle:
    """A bundle on this machine.

    Args:
        folder: Folder of the unpacked bundle.
        record: Its record.
        place: 'packaged' or 'cached'.
        key: What tells cached bundles of one name from each other; empty for packaged ones.
    """

    folder: Path
    record: BundleRecord
    place: str
    key: str = ""


def cache_folder(environment: Mapping[str, str] = os.environ) -> Path:
    """Return the folder of the bundles that were unpacked or downloaded.

    It is that of the variable LIVERSEG_CACHE; otherwise `data_cache/models` of a checkout of the
    repository, or else the folder for caches of the user.

    Args:
        environment: Environment variables.
    """
    chosen = environment.get(VARIABLE)
    if chosen:
        return Path(chosen).expanduser().absolute()
    checkout = _PACKAGE.parent
    if (checkout / "data_cache").is_dir() and (checkout / "setup.cfg").is_file():
        return checkout / "data_cache" / "models"
    return _user_caches(environment) / "liverseg_tf" / "models"


def _user_caches(environment: Mapping[str, str]) -> Path:
    if sys.platform == "win32":
        return Path(environment.get("LOCALAPPDATA") or Path.home() / "AppData" / "Local")
    if sys.platform == "darwin":
        return Path.home() / "Library" / "Caches"
    return Path(environment.get("XDG_CACHE_HOME") or Path.home() / ".cache")


def list_bundles() -> list[FoundBundle]:
    """List the bundles of the package and of the cache, by name. Damaged ones are left out."""
    packaged = [FoundBundle(folder, record, "packaged") for folder, record in _read_in(PACKAGED)]
    cached = []
    keys = cache_folder()
    for key in sorted(keys.iterdir()) if keys.is_dir() else ():
        for folder, record in _read_in(key):
            cached.append(FoundBundle(folder, record, "cached", key.name))
    return sorted(
        [*packaged, *cached], key=lambda one: (one.record.name, one.place != "packaged", one.key)
    )


def find_bundle(name: str) -> Path | None:
    """Return the folder of the bundle of a name, or None if there is none.

    Args:
        name: Name of a bundle; NAME@KEY tells cached bundles of one name from each other, where
            KEY is the beginning of the key that `liverseg models` shows. Packaged ones come first.

    Raises:
        LiverSegError: If there are several.
    """
    name, _, key = name.partition("@")
    found = [one for one in list_bundles() if one.record.name == name and one.key.startswith(key)]
    if not key and any(one.place == "packaged" for one in found):
        found = [one for one in found if one.place == "packaged"]
    if len(found) > 1:
        choices = ", ".join(f"{name}@{one.key[:8]}" for one in found)
        raise LiverSegError(
            f"Expected the name of one model. Received {name}, the name of several: {choices}."
        )
    return found[0].folder if found else None


def _read_in(folder: Path) -> Iterator[tuple[Path, BundleRecord]]:
    """Yield the bundles in a folder whose record can be read."""
    with suppress(OSError):
        for path in sorted(folder.iterdir()):
            if not path.name.startswith(".") and (path / BUNDLE_FILE).is_file():
                with suppress(LiverSegError):
                    record = BundleRecord.read(path)
                    if record.name == path.name:
                        yield path, record
