"""Bundles from an address: https://HOST/PATH#sha256=HEX, downloaded once."""

import re
from pathlib import Path
from urllib.parse import urlsplit

from liverseg_tf.dataset.download.http_download import fetch
from liverseg_tf.dataset.download.http_request import Address, redact_url
from liverseg_tf.dataset.download.partial_file import PartialFile
from liverseg_tf.errors import LiverSegError, SettingsError
from liverseg_tf.locks import exclusive_lock
from liverseg_tf.model.bundle.bundle_record import MAX_BYTES
from liverseg_tf.predict.bundles.cache import cache_folder
from liverseg_tf.predict.bundles.open_bundle import (
    check_cache,
    compute_key,
    find_installed,
    naming_model,
    open_file,
)
from liverseg_tf.retry import RetryPolicy

_RETRIES = RetryPolicy(
    max_retries=3, deadline_s=600.0, initial_backoff_s=1.0, max_backoff_s=10.0, jitter=0.0
)
_TIMEOUT_S = 30.0
_PIN = re.compile(r"sha256=([0-9a-fA-F]{64})")


def download_bundle(address: str) -> Path:
    """Return the folder of a bundle from a server; it is downloaded if the cache does not have it.

    Args:
        address: https://HOST/PATH#sha256=HEX. The checksum of the file makes sure that it is the
            one that was meant, whoever owns the server.

    Raises:
        SettingsError: If the address is not https, or has no checksum.
        LiverSegError: If the server does not provide the file, it is another one, or it is no
            bundle.
    """
    url, key = parse_address(address)
    found = find_installed(key)
    if found is not None:
        return found
    check_cache()
    shown = redact_url(url)
    place = cache_folder() / f".download-{key[:16]}.zip"
    partial, lock = PartialFile(place), place.with_suffix(".lock")
    with naming_model(shown), exclusive_lock(lock, f"the model {shown}", wait=True, remove=True):
        found = find_installed(key)  # another process may have been faster
        if found is not None:
            return found
        fetch(Address(url, max_bytes=MAX_BYTES), partial, _RETRIES, _TIMEOUT_S)
        try:
            received = compute_key(partial.path)
            if received != key:
                raise LiverSegError(
                    f"Expected a file with the SHA-256 checksum {key} at {shown}. Received one "
                    f"with {received}: it is another file, and it was removed."
                )
            return open_file(partial.path, shown)
        finally:
            partial.remove()


def parse_address(address: str) -> tuple[str, str]:
    """Split an address into the URL and the checksum of the file.

    Raises:
        SettingsError: If it is not https, or has no checksum.
    """
    url, _, fragment = address.partition("#")
    try:
        scheme = urlsplit(url).scheme.lower()
    except ValueError:
        scheme = ""
    if scheme != "https":
        raise SettingsError(
            f"Expected a model at https://HOST/PATH#sha256=HEX. Received {redact_url(url)}."
        )
    pin = _PIN.fullmatch(fragment)
    if pin is None:
        raise SettingsError(
            f"Expected the checksum of the bundle behind its address, {redact_url(url)}#sha256=HEX "
            "with 64 hexadecimal digits. Received none: its author states it (`liverseg pack` "
            "prints it)."
        )
    return url, pin[1].lower()
