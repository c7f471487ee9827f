"""Bundles from the Hugging Face hub: hf://OWNER/NAME or hf://OWNER/NAME@REVISION."""

import hashlib
import os
import re
from pathlib import Path
from typing import Any

from liverseg_tf.errors import LiverSegError, SettingsError, first_line
from liverseg_tf.model.bundle.bundle_record import BUNDLE_FILE, MAX_BYTES, MEMBERS
from liverseg_tf.predict.bundles.cache import cache_folder
from liverseg_tf.predict.bundles.open_bundle import check_cache, copy_members, install, naming_model
from liverseg_tf.printable import printable

SCHEME = "hf://"
_ADDRESS = re.compile(
    r"hf://(?P<owner>[A-Za-z0-9][\w.-]{0,95})/(?P<name>[A-Za-z0-9][\w.-]{0,95})"
    r"(?:@(?P<revision>[A-Za-z0-9][\w./-]{0,199}))?",
    re.ASCII,
)
_MAX_RECORD_BYTES = 1 << 20


def fetch_from_hub(address: str) -> Path:
    """Return the folder of a bundle on the hub.

    The repository holds the files of an unpacked bundle. They come from one commit, and from the
    cache if the hub cannot be reached. Another hub is chosen by the variable HF_ENDPOINT.

    Args:
        address: hf://OWNER/NAME@REVISION, where REVISION is a branch, a tag or a commit; 'main' if
            it is left out.

    Raises:
        SettingsError: If the address has another form.
        LiverSegError: If huggingface_hub is not installed, the hub does not provide the files, or
            they are no bundle.
    """
    match = _ADDRESS.fullmatch(address)
    if match is None or ".." in address:
        raise SettingsError(
            f"Expected a model on the hub as hf://OWNER/NAME or hf://OWNER/NAME@REVISION. Received "
            f"{printable(address)[:200]}."
        )
    _check_extra()
    check_cache()
    repository = f"{match['owner']}/{match['name']}"
    with naming_model(address):
        record = _download(repository, BUNDLE_FILE, match["revision"] or "main", _MAX_RECORD_BYTES)
        commit = record.parent.name  # all files are those of one commit
        files = {BUNDLE_FILE: record} | {
            name: _download(repository, name, commit, MAX_BYTES) for name in MEMBERS
        }
        key = hashlib.sha256(record.read_bytes()).hexdigest()
        return install(key, lambda folder: copy_members(files, folder))


def _check_extra() -> None:
    try:
        import huggingface_hub  # noqa: F401
    except ImportError as error:
        raise LiverSegError(
            "Expected huggingface_hub for a model hf://... (pip install 'liverseg_tf[hub]'). "
            f"Received: {error}."
        ) from error


def _download(repository: str, name: str, revision: str, max_bytes: int) -> Path:
    """Download a file of a repository into the cache of the hub's client, unless it is there."""
    from huggingface_hub import hf_hub_download
    from huggingface_hub.utils import disable_progress_bars

    disable_progress_bars()
    place: dict[str, Any] = {
        "repo_id": repository,
        "filename": name,
        "revision": revision,
        "cache_dir": cache_folder() / ".hub",
        "endpoint": os.environ.get("HF_ENDPOINT"),
    }
    try:
        planned = hf_hub_download(**place, dry_run=True)
        if planned.file_size > max_bytes:
            raise LiverSegError(
                f"Expected at most {max_bytes} bytes in {name}. Received {planned.file_size}."
            )
        path = Path(hf_hub_download(**place))
    except LiverSegError:
        raise
    except Exception as error:  # of many classes: of the client, of its HTTP library, of the system
        raise LiverSegError(
            f"Expected the file {name} of a model bundle in the repository {repository}, revision "
            f"{printable(revision)}, on the hub. Received: {_describe(error)}"
        ) from error
    if path.stat().st_size > max_bytes:
        raise LiverSegError(f"Expected at most {max_bytes} bytes in {name}. Received more.")
    return path


def _describe(error: Exception) -> str:
    """Describe an error of the client in one line, with its class, which says most."""
    return f"{type(error).__name__}: {printable(first_line(error))[:300]}"
