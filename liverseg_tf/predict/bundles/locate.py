"""The models that a user names: paths, names of bundles, and addresses of bundles."""

import re
from dataclasses import dataclass
from pathlib import Path

from liverseg_tf.errors import SettingsError
from liverseg_tf.model.bundle.bundle_record import BUNDLE_FILE, NAME_PATTERN, BundleRecord
from liverseg_tf.predict.bundles.cache import DEFAULT_MODEL, PACKAGED, find_bundle
from liverseg_tf.predict.bundles.download import download_bundle
from liverseg_tf.predict.bundles.hub import SCHEME, fetch_from_hub
from liverseg_tf.predict.bundles.open_bundle import is_bundle_file, open_file, open_folder
from liverseg_tf.printable import printable

_NAME = re.compile(rf"{NAME_PATTERN}(@[0-9a-f]{{1,32}})?")


@dataclass(frozen=True)
class LocatedModel:
    """A model on this machine.

    Args:
        path: Path of a run or an export. The unpacked bundle is a run, too.
        bundle: Record of the bundle; None for other models.
    """

    path: Path
    bundle: BundleRecord | None = None


def locate_model(text: str) -> LocatedModel:
    """Find a model; a bundle is downloaded and unpacked if necessary, and checked.

    Args:
        text: Path of a run, an export or a bundle (a zip file, or its unpacked folder); the name of
            a packaged or cached bundle; or https://HOST/PATH#sha256=HEX or hf://OWNER/NAME.
            An existing path comes before a name. Any other text is taken as a path.

    Raises:
        SettingsError: If an address cannot be used.
        LiverSegError: If the bundle cannot be obtained, is damaged or was changed.
    """
    text = str(text)
    scheme = text.partition("://")[0].lower() if "://" in text else ""
    if scheme in ("https", "http"):
        return _bundle(download_bundle(text))
    if text.lower().startswith(SCHEME):
        return _bundle(fetch_from_hub(text))
    path = Path(text)
    if is_bundle_file(path):
        return _bundle(open_file(path))
    if (path / BUNDLE_FILE).is_file():
        return LocatedModel(path, open_folder(path))
    if _NAME.fullmatch(text) and not path.exists():
        folder = find_bundle(text)
        if folder is not None:
            return LocatedModel(folder, open_folder(folder, text))
    return LocatedModel(path)


def locate_default_model() -> str:
    """Return the packaged model for users who name none, as a path.

    Raises:
        SettingsError: If the package has no model.
    """
    folder = PACKAGED / DEFAULT_MODEL
    if (folder / BUNDLE_FILE).is_file():
        return str(folder)  # a folder of this name may be in the working folder
    raise SettingsError(
        f"Expected --model MODEL: this installation comes without the model {DEFAULT_MODEL}. Name "
        "a run of `liverseg train`, a bundle (MODEL.zip) or its address."
    )


def describe_bundle(record: BundleRecord) -> str:
    """Return the line that is shown before a bundle is used."""
    return printable(f"Model {record}")


def _bundle(folder: Path) -> LocatedModel:
    return LocatedModel(folder, BundleRecord.read(folder))
