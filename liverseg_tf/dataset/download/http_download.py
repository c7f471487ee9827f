"""One file over HTTP, resumed where it was cut."""

import hashlib
import re
import time
from collections.abc import Callable
from dataclasses import dataclass
from http.client import HTTPException, HTTPResponse
from pathlib import Path

from liverseg_tf.dataset.download.disk_space import check_space
from liverseg_tf.dataset.download.http_request import Address, TryAgain, explain, plain, send
from liverseg_tf.dataset.download.partial_file import Partial, unwritten
from liverseg_tf.errors import LiverSegError

_CHUNK = 1 << 20
_LONGEST_WAIT_S = 60.0
_COMPRESSED = ("gzip", "x-gzip", "deflate", "br", "compress", "zstd")
OnBytes = Callable[[int, int], None]  # bytes done, and of how many


@dataclass(frozen=True)
class RetryPolicy:
    """How long to bear with a server.

    Args:
        retries: attempts in a row that may bring nothing (less than `progress_bytes`) new.
        wait_s: before the first of them; it doubles each time, up to a minute.
        silence_s: without a byte, after which a connection counts as cut.
        progress_bytes: beyond the farthest byte so far, for which retries start anew.
    """

    retries: int = 8
    wait_s: float = 1.0
    silence_s: float = 60.0
    progress_bytes: int = 1 << 20


def fetch(
    address: Address,
    partial: Partial,
    retry_policy: RetryPolicy = RetryPolicy(),
    on_bytes: OnBytes | None = None,
) -> None:
    """Complete a partial file, in as many attempts as it takes.

    Args:
        address: of the file.
        partial: whatever an earlier run left there is resumed, where the server says that its
            file is the same; it stays there whatever happens.
        patience: with the server.
        on_bytes: called now and then.

    Raises:
        LiverSegError: when the server refuses, doesn't say how many bytes there are, or its
            connections break once too often; when the disk is full.
    """
    failures, farthest = 0, partial.state()[0]
    while True:
        try:
            return _receive(address, partial, retry_policy.silence_s, on_bytes)
        except TryAgain as reason:
            size, total, _ = partial.state()
            if size >= farthest + retry_policy.progress_bytes:
                failures, farthest = 0, size
            if failures >= retry_policy.retries:
                got = f"{size / 1e9:.2f} of {total / 1e9:.2f} GB" if size else "nothing to resume"
                raise LiverSegError(
                    f"Expected all of {plain(address.url)}. Received {reason}, after "
                    f"{failures} retries; {got} kept for the next run."
                ) from reason
            time.sleep(min(retry_policy.wait_s * 2**failures, _LONGEST_WAIT_S))
            failures += 1


def check_md5(path: Path, expected: str, on_bytes: OnBytes | None = None) -> None:
    """Compare a file's MD5.

    Raises:
        LiverSegError: when it is another.
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
    address: Address, partial: Partial, silence_s: float, on_bytes: OnBytes | None
) -> None:
    """One attempt, for all that is missing."""
    offset, total, validator = partial.state()
    if total and offset == total:
        return
    headers = {"Range": f"bytes={offset}-", "If-Range": validator} if offset else {}
    with send(address, headers, silence_s) as response:
        if response.status == 206 and offset:
            end = _check_part(response, partial)
        elif response.status == 200:
            offset, end = 0, _check_whole(response, partial, address)
        else:
            _refuse(response, partial, address)
        total = partial.state()[1]
        try:
            with open(partial.path, "ab") as file:
                while offset < end:
                    chunk = _read(response, min(_CHUNK, end - offset))
                    file.write(chunk)
                    offset += len(chunk)
                    if on_bytes is not None:
                        on_bytes(offset, total)
        except OSError as error:
            raise unwritten(partial.path, error) from error
    if offset < total:
        raise TryAgain(f"a part that ends at byte {offset} of {total}")


def _read(response: HTTPResponse, count: int) -> bytes:
    """At least one byte and at most `count`: as many as are there."""
    try:
        chunk = response.read1(count)
    except (OSError, HTTPException) as error:
        raise TryAgain(f"a broken connection ({explain(error)})") from error
    if not chunk:
        raise TryAgain("a connection closed too early")
    return chunk


def _check_whole(response: HTTPResponse, partial: Partial, address: Address) -> int:
    """Begin anew with an answer that holds the whole file; its bytes."""
    kind = response.headers.get_content_type()
    encoding = _encoding(response)
    if "Content-Type" in response.headers and kind == "text/html":
        raise LiverSegError(f"Expected an archive at {plain(address.url)}. Received a web page.")
    if encoding in _COMPRESSED:
        raise LiverSegError(
            f"Expected {plain(address.url)} as it is. Received it compressed ({encoding})."
        )
    if response.chunked or not response.length:
        raise LiverSegError(f"Expected the number of bytes of {plain(address.url)}. Received none.")
    partial.begin(0, None)  # what is there goes, whether there is room or not
    check_space(partial.path.parent, 2 * response.length)  # the archive, and what is in it
    partial.begin(response.length, _validator(response))
    return response.length


def _check_part(response: HTTPResponse, partial: Partial) -> int:
    """The end of the part in an answer, which has to go on where the partial file ends."""
    offset, total, validator = partial.state()
    stated = re.fullmatch(r"bytes (\d{1,18})-(\d{1,18})/(\d{1,18})", _content_range(response))
    first, last, whole = map(int, stated.groups()) if stated else (-1, -1, -1)
    same = _validator(response) in (None, validator) and whole == total
    if (
        not same
        or _encoding(response) in _COMPRESSED
        or first != offset
        or not first <= last < total
    ):
        partial.drop()
        raise TryAgain("a part of another file")
    check_space(partial.path.parent, total - offset + total)
    return last + 1


def _encoding(response: HTTPResponse) -> str:
    return response.headers.get("Content-Encoding", "").strip().lower()


def _content_range(response: HTTPResponse) -> str:
    return response.headers.get("Content-Range", "").strip()


def _refuse(response: HTTPResponse, partial: Partial, address: Address) -> None:
    """Every status but 200, and 206 where it was asked for."""
    reason = "".join(c for c in str(response.reason)[:80] if c.isprintable())
    status = f"{response.status} {reason}".strip()
    if response.status in (206, 416):  # not what was asked for; the file has become shorter
        partial.drop()
        raise TryAgain(f"status {status}")
    if response.status in (408, 425, 429) or response.status >= 500:
        raise TryAgain(f"status {status}")
    hint = f" ({address.hint})" if address.hint and response.status in (401, 403) else ""
    raise LiverSegError(f"Expected a file at {plain(address.url)}. Received status {status}{hint}.")


def _validator(response: HTTPResponse) -> str | None:
    """What If-Range may hold: an ETag unless it is weak, or the file's date (RFC 9110, 13.1.5)."""
    etag = response.headers.get("ETag", "").strip()
    if re.fullmatch(r'"[\x21\x23-\x7e]*"', etag):
        return etag
    date = response.headers.get("Last-Modified", "").strip()
    return date if re.fullmatch(r"[\x20-\x7e]{8,60}", date) else None
