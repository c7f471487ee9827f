"""Download of one file over HTTP, which is resumed after an interruption."""

import hashlib
import math
import re
import time
from collections.abc import Callable
from http.client import HTTPException, HTTPResponse
from pathlib import Path

from liverseg_tf.dataset.download.disk_space import check_space
from liverseg_tf.dataset.download.http_request import (
    Address,
    describe_error,
    redact_url,
    send_request,
)
from liverseg_tf.dataset.download.partial_file import PartialFile, write_error
from liverseg_tf.errors import LiverSegError
from liverseg_tf.retry import Retries, RetryPolicy, Unavailable

DOWNLOAD_RETRIES = RetryPolicy(
    max_retries=8, deadline_s=math.inf, initial_backoff_s=1.0, max_backoff_s=60.0, jitter=0.0
)
MIN_PROGRESS_BYTES = 1 << 20  # new bytes after which retries are counted from 0 again
# a connection that brings fewer bytes within the timeout counts as lost
MIN_BYTES_PER_TIMEOUT = 1 << 16
_CHUNK = 1 << 20
_COMPRESSED = ("gzip", "x-gzip", "deflate", "br", "compress", "zstd")
OnBytes = Callable[[int, int], None]  # bytes done, and bytes in total


def fetch(
    address: Address,
    partial: PartialFile,
    retry_policy: RetryPolicy = DOWNLOAD_RETRIES,
    timeout_s: float = 60.0,
    on_bytes: OnBytes | None = None,
) -> None:
    """Download the missing rest of a file, with as many requests as it takes.

    Args:
        address: Address of the file.
        partial: The part that an earlier run downloaded. It is resumed if the server confirms
            that its file is still the same, and kept if this download fails.
        retry_policy: Retries of requests that fail. Retries are counted from 0 again after every
            `MIN_PROGRESS_BYTES` new bytes.
        timeout_s: Seconds after which a connection is given up that has brought fewer than
            `MIN_BYTES_PER_TIMEOUT` bytes.
        on_bytes: Callback for the progress.

    Raises:
        LiverSegError: If the server denies access or does not state the size of the file, its
            connections fail too often, or the disk is full.
    """
    largest = partial.state()[0]

    def has_progressed() -> bool:
        nonlocal largest
        size = partial.state()[0]
        if size < largest + MIN_PROGRESS_BYTES:
            return False
        largest = size
        return True

    try:
        Retries(retry_policy).call(
            lambda: _receive(address, partial, timeout_s, on_bytes), has_progressed=has_progressed
        )
    except Unavailable as error:
        size, total, _ = partial.state()
        kept = f"{size / 1e9:.2f} of {total / 1e9:.2f} GB are kept for the next run"
        raise LiverSegError(
            f"Expected the whole of {redact_url(address.url)}. Received {error}; "
            f"{kept if size else 'there is nothing to resume'}."
        ) from error


def check_md5(path: Path, expected: str, on_bytes: OnBytes | None = None) -> None:
    """Check the MD5 checksum of a file.

    Args:
        path: Path of the file.
        expected: Checksum as 32 hexadecimal digits.
        on_bytes: Callback for the progress.

    Raises:
        LiverSegError: If the checksum differs.
    """
    digest, done, total = hashlib.md5(usedforsecurity=False), 0, path.stat().st_size
    with open(path, "rb") as file:
        while chunk := file.read(_CHUNK):
            digest.update(chunk)
            done += len(chunk)
            if on_bytes is not None:
                on_bytes(done, total)
    if digest.hexdigest() != expected:
        raise LiverSegError(f"Expected MD5 {expected} of {path}. Received {digest.hexdigest()}.")


def _receive(
    address: Address, partial: PartialFile, timeout_s: float, on_bytes: OnBytes | None
) -> None:
    """Request everything that is missing, once."""
    offset, total, validator = partial.state()
    if total and offset == total:
        return
    headers: dict[str, str] = {}
    if offset and validator is not None:
        headers = {"Range": f"bytes={offset}-", "If-Range": validator}
    with send_request(address, headers, timeout_s) as response:
        if response.status == 206 and offset:
            end = _check_range(response, partial)
        elif response.status == 200:
            offset, end = 0, _begin_file(response, partial, address)
        else:
            _raise_for_status(response, partial, address)
        total = partial.state()[1]
        try:
            with open(partial.path, "ab") as file:
                started, counted = time.monotonic(), offset
                while offset < end:
                    chunk = _read(response, min(_CHUNK, end - offset))
                    if offset - counted >= MIN_BYTES_PER_TIMEOUT:
                        started, counted = time.monotonic(), offset
                    elif time.monotonic() - started > timeout_s:
                        raise Unavailable("a connection that is too slow (timeout)")
                    file.write(chunk)
                    offset += len(chunk)
                    if on_bytes is not None:
                        on_bytes(offset, total)
        except OSError as error:
            raise write_error(partial.path, error) from error
    if offset < total:
        raise Unavailable(f"a range that ends at byte {offset} of {total}")


def _read(response: HTTPResponse, count: int) -> bytes:
    """Read the bytes that have arrived, at least 1 and at most `count`."""
    try:
        chunk = response.read1(count)
    except (OSError, HTTPException) as error:
        raise Unavailable(f"a broken connection ({describe_error(error)})") from error
    if not chunk:
        raise Unavailable("a connection that was closed too early")
    return chunk


def _begin_file(response: HTTPResponse, partial: PartialFile, address: Address) -> int:
    """Begin the file anew with a response that holds all of it; return its size in bytes."""
    url, encoding = redact_url(address.url), _encoding(response)
    content_type = response.headers.get_content_type()
    if "Content-Type" in response.headers and content_type == "text/html":
        raise LiverSegError(f"Expected an archive at {url}. Received a web page.")
    if encoding in _COMPRESSED:
        raise LiverSegError(f"Expected {url} without compression. Received it as {encoding}.")
    if response.chunked or not response.length:
        raise LiverSegError(
            f"Expected the number of bytes of {url}. Received an answer without it."
        )
    if address.max_bytes is not None and response.length > address.max_bytes:
        raise LiverSegError(
            f"Expected at most {address.max_bytes} bytes at {url}. Received {response.length}."
        )
    partial.begin(0, None)  # frees the disk space of the old part before the check
    check_space(partial.path.parent, 2 * response.length)  # for the archive and its contents
    partial.begin(response.length, _validator(response))
    return response.length


def _check_range(response: HTTPResponse, partial: PartialFile) -> int:
    """Check that a response continues the partial file; return the end of its byte range."""
    offset, total, validator = partial.state()
    stated = re.fullmatch(r"bytes (\d{1,18})-(\d{1,18})/(\d{1,18})", _content_range(response))
    first, last, whole = map(int, stated.groups()) if stated else (-1, -1, -1)
    same_file = _validator(response) in (None, validator) and whole == total
    if (
        not same_file
        or _encoding(response) in _COMPRESSED
        or first != offset
        or not first <= last < total
    ):
        partial.remove()
        raise Unavailable("a range of another file")
    check_space(partial.path.parent, total - offset + total)
    return last + 1


def _encoding(response: HTTPResponse) -> str:
    return response.headers.get("Content-Encoding", "").strip().lower()


def _content_range(response: HTTPResponse) -> str:
    return response.headers.get("Content-Range", "").strip()


def _raise_for_status(response: HTTPResponse, partial: PartialFile, address: Address) -> None:
    """Raise the error for a status that is not 200, and not 206 as the response to a range."""
    reason = "".join(c for c in str(response.reason)[:80] if c.isprintable())
    status = f"{response.status} {reason}".strip()
    if response.status in (206, 416):  # a range without a request, or a file that became shorter
        partial.remove()
        raise Unavailable(f"status {status}")
    if response.status in (408, 425, 429) or response.status >= 500:
        raise Unavailable(f"status {status}")
    hint = f" ({address.hint})" if address.hint and response.status in (401, 403) else ""
    raise LiverSegError(
        f"Expected a file at {redact_url(address.url)}. Received status {status}{hint}."
    )


def _validator(response: HTTPResponse) -> str | None:
    """Value for If-Range: a strong ETag, or else the date of the file (RFC 9110, 13.1.5)."""
    etag = response.headers.get("ETag", "").strip()
    if re.fullmatch(r'"[\x21\x23-\x7e]*"', etag):
        return etag
    date = response.headers.get("Last-Modified", "").strip()
    return date if re.fullmatch(r"[\x20-\x7e]{8,60}", date) else None
