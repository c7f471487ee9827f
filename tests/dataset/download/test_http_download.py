import hashlib
import json
import os
import random
import signal
import subprocess
import sys
import time
from dataclasses import replace

import pytest

from liverseg_tf.dataset.download import http_download as module
from liverseg_tf.dataset.download.http_download import DOWNLOAD_RETRIES, check_md5, fetch
from liverseg_tf.dataset.download.http_request import Address, resolve_redirect
from liverseg_tf.dataset.download.partial_file import PartialFile
from liverseg_tf.errors import LiverSegError, SettingsError

BODY = random.Random(0).randbytes(300_000)
HASTY = replace(DOWNLOAD_RETRIES, max_retries=2, initial_backoff_s=0.001)


@pytest.fixture(autouse=True)
def few_bytes_are_progress(monkeypatch):
    monkeypatch.setattr(module, "MIN_PROGRESS_BYTES", 1000)


@pytest.fixture
def partial(tmp_path):
    return PartialFile(tmp_path / "new" / "data.tar.partial")


def get(server, partial, timeout_s=5, **options):
    fetch(Address(server.url), partial, HASTY, timeout_s, **options)
    assert partial.path.read_bytes() == server.body


def check_refused(server, partial, *words, timeout_s=5):
    with pytest.raises(LiverSegError) as caught:
        fetch(Address(server.url), partial, HASTY, timeout_s)
    message = str(caught.value)
    assert message.startswith("Expected ")
    assert "Received" in message
    assert "\n" not in message
    for word in words:
        assert word in message


def test_a_file_is_downloaded_completely(serve, partial):
    seen = []
    server = serve(BODY)
    get(server, partial, on_bytes=lambda *numbers: seen.append(numbers))
    assert seen[-1] == (len(BODY), len(BODY))
    assert [done for done, _ in seen] == sorted({done for done, _ in seen})
    get(server, partial)  # a complete file is not requested again
    assert len(server.requests) == 1
    assert server.requests[0][1]["Accept-Encoding"] == "identity"


def test_broken_connections_are_resumed_as_long_as_there_is_progress(serve, partial):
    server = serve(BODY)
    server.acts = [server.cut(20_000) for _ in range(10)]
    get(server, partial)
    assert server.ranges() == [None, *(f"bytes={n * 20_000}-" for n in range(1, 11))]
    assert {headers.get("If-Range") for _, headers in server.requests[1:]} == {'"first"'}


def test_a_download_without_progress_fails_and_the_next_run_resumes_it(serve, partial):
    server = serve(BODY)
    server.acts = [server.cut(100_000), *[server.cut(10)] * 2]
    check_refused(server, partial, "connection", "after 2 retries", "kept for the next run")
    assert partial.state() == (100_020, len(BODY), '"first"')
    get(server, partial)
    assert server.ranges()[-1] == "bytes=100020-"


@pytest.mark.parametrize("etag", [None, 'W/"weak"', "without quotes"])
def test_a_date_replaces_a_missing_strong_etag(serve, partial, etag):
    server = serve(BODY)
    server.etag, server.date = etag, "Fri, 14 Aug 2020 10:00:00 GMT"
    server.acts = [server.cut(100_000), lambda handler: server.reply(
        handler, 206,
        {"Content-Length": 200_000, "Content-Range": "bytes 100000-299999/300000"},
        BODY[100_000:],
    )]  # fmt: skip
    get(server, partial)
    assert server.requests[1][1]["If-Range"] == server.date


def test_without_an_etag_or_a_date_the_download_starts_again(serve, partial):
    server = serve(BODY)
    server.etag = None
    server.acts = [server.cut(100_000)]
    get(server, partial)
    assert server.ranges() == [None, None]


def test_without_range_requests_the_download_starts_again(serve, partial):
    server = serve(BODY)
    server.acts = [server.cut(100_000), lambda handler: server.send(handler, ranges=False)]
    get(server, partial)
    assert server.ranges() == [None, "bytes=100000-"]


def test_the_download_of_a_changed_file_starts_again(serve, partial):
    server = serve(BODY)

    def change(handler):
        server.body, server.etag = BODY[::-1][:250_000], '"second"'
        server.send(handler)

    server.acts = [server.cut(100_000), change]
    get(server, partial)
    assert partial.state() == (250_000, 250_000, '"second"')


def test_a_file_that_changes_every_time_is_an_error(serve, partial):
    server = serve(BODY)

    def change(handler):
        server.etag = f'"{len(server.requests)}"'
        server.send(handler, cut=100_000)

    server.acts = [change] * 50
    check_refused(server, partial, "after 2 retries")
    assert len(server.requests) == 3


@pytest.mark.parametrize(
    "headers",
    [
        {"Content_Range": "bytes 0-199999/300000"},
        {"Content_Range": "bytes 99999-299999/300000"},
        {"Content_Range": "bytes 100000-299999/400000"},
        {"Content_Range": "bytes 100000-300000/300000"},
        {"Content_Range": "bytes 100000-99999/300000"},
        {"Content_Range": "bytes 100000-299999/*"},
        {"Content_Range": "lines 1-2/3"},
        {"Content_Range": f"bytes {'9' * 5000}-1/2"},
        {},
        {"Content_Range": "bytes 100000-299999/300000", "ETag": '"second"'},
        {"Content_Range": "bytes 100000-299999/300000", "Content_Encoding": "gzip"},
    ],
)
def test_a_wrong_content_range_starts_the_download_again(serve, partial, headers):
    server = serve(BODY)
    server.acts = [
        server.cut(100_000),
        server.say(206, bytes(200_000), Content_Length=200_000, **headers),
    ]
    get(server, partial)
    assert server.ranges() == [None, "bytes=100000-", None]


def test_a_shorter_range_than_requested_is_accepted(serve, partial):
    server = serve(BODY)
    part = {"Content_Length": 50_000, "Content_Range": "bytes 100000-149999/300000"}
    server.acts = [server.cut(100_000), server.say(206, BODY[100_000:150_000], **part)]
    get(server, partial)
    assert server.ranges()[-1] == "bytes=150000-"


@pytest.mark.parametrize("length", [None, 500_000])
def test_bytes_beyond_the_range_are_not_read(serve, partial, length):
    server = serve(BODY)
    part = {"Content_Length": length, "Content_Range": "bytes 100000-299999/300000"}
    server.acts = [server.cut(100_000), server.say(206, BODY[100_000:] + bytes(300_000), **part)]
    get(server, partial)


def test_a_range_that_was_not_requested_is_retried(serve, partial):
    server = serve(BODY)
    server.acts = [server.say(206, BODY, Content_Range="bytes 0-299999/300000"), server.say(416)]
    get(server, partial)


def test_bytes_beyond_the_content_length_are_not_read(serve, partial):
    server = serve(BODY)
    server.acts = [server.say(200, BODY + bytes(100_000), Content_Length=len(BODY))]
    get(server, partial)


def test_an_endless_response_is_not_read(serve, partial):
    server = serve(BODY)

    def babble(handler):
        server.reply(handler, 200, {"Content-Length": 1000})
        while True:
            handler.wfile.write(bytes(1 << 16))

    server.acts = [babble]
    fetch(Address(server.url), partial, HASTY)
    assert partial.path.stat().st_size == 1000


@pytest.mark.parametrize("status", [408, 429, 500, 503])
def test_a_busy_server_is_retried(serve, partial, status):
    server = serve(BODY)
    server.acts = [server.say(status)] * 2
    get(server, partial)
    server.acts = [server.say(status)] * 3
    partial.remove()
    check_refused(server, partial, f"status {status}", "after 2 retries")


@pytest.mark.parametrize(
    ("answer", "headers", "says"),
    [
        ((404, b""), {}, "status 404 Not Found"),
        ((403, b""), {}, "status 403"),
        ((204, b""), {}, "status 204"),
        ((304, b""), {}, "status 304"),
        ((200, b""), {"Content_Length": 0}, "number of bytes"),
        ((200, BODY), {}, "number of bytes"),
        ((200, BODY), {"Content_Length": -5}, "number of bytes"),
        ((200, b"0\r\n\r\n"), {"Transfer_Encoding": "chunked"}, "number of bytes"),
        ((200, b""), {"Content_Length": 10**17}, "GB free"),
        (
            (200, b"<html>"),
            {"Content_Length": 6, "Content_Type": "text/html; charset=x"},
            "web page",
        ),
        (
            (200, BODY),
            {"Content_Length": 300_000, "Content_Encoding": "gzip"},
            "without compression. Received it as gzip",
        ),
    ],
)
def test_invalid_responses_are_errors_without_a_retry(serve, partial, answer, headers, says):
    server = serve(BODY)
    server.acts = [server.say(*answer, **headers)]
    check_refused(server, partial, says)
    assert len(server.requests) == 1
    assert not partial.path.exists() or partial.path.stat().st_size == 0


def test_a_connection_without_data_times_out(serve, partial):
    server = serve(BODY)

    def stall(handler):
        server.send(handler, cut=100_000)
        handler.wfile.flush()
        time.sleep(1.5)

    server.acts = [stall]
    get(server, partial, timeout_s=1)
    assert server.ranges() == [None, "bytes=100000-"]
    partial.remove()
    server.acts = [lambda handler: time.sleep(1.5)] * 3
    check_refused(server, partial, "timeout", timeout_s=0.2)


def _drip(first, then):
    """A response whose rest arrives in small pieces, each in time, and never ends."""

    def drip(handler):
        handler.wfile.write(first)
        while True:
            handler.wfile.write(then)
            handler.wfile.flush()
            time.sleep(0.02)

    return drip


@pytest.mark.parametrize(
    "drip",
    [
        _drip(b"", b"HTTP/1.1 100 Continue\r\n\r\n"),
        _drip(b"HTTP/1.1 200 OK\r\nX: ", b"x"),
        _drip(b"HTTP/1.1 200 OK\r\nContent-Length: 300000\r\n\r\n", b"x"),
        _drip(b"HTTP/1.1 302 Found\r\nLocation: ", b"/"),
    ],
    ids=["interim responses", "header", "body", "redirect"],
)
def test_a_server_that_sends_a_little_now_and_then_is_left(serve, partial, drip):
    server = serve(BODY)
    server.acts = [drip] * 3
    started = time.monotonic()
    check_refused(server, partial, "timeout", "after 2 retries", timeout_s=0.15)
    assert time.monotonic() - started < 3


def test_a_server_that_does_not_run_is_an_error(tmp_path, serve):
    server = serve(BODY)
    server.http.shutdown()
    server.http.server_close()
    partial = PartialFile(tmp_path / "a.partial")
    check_refused(server, partial, "no answer from", "nothing to resume")


def test_an_invalid_response_is_retried(serve, partial):
    server = serve(BODY)
    server.acts = [lambda handler: handler.wfile.write(b"SSH-2.0-x\r\n\r\n")]
    get(server, partial)


@pytest.mark.parametrize(
    "record",
    [
        "",
        "{",
        "[]",
        '{"bytes": "9"}',
        '{"bytes": 10, "validator": "x"}',
        '{"bytes": 1, "validator": 2}',
        r'{"bytes": 300000, "validator": "\"a\"\r\nX-Injected: 1"}',
        '{"bytes": NaN, "validator": "x"}',
        '{"bytes": 1e400, "validator": "x"}',
        '{"a":' + "[" * 100_000,
    ],
)
def test_a_part_without_a_valid_record_is_not_resumed(serve, partial, record):
    partial.path.parent.mkdir()
    partial.path.write_bytes(b"x" * 1000)
    partial.record_path.write_text(record)
    server = serve(BODY)
    get(server, partial)
    assert server.ranges() == [None]


def test_a_full_disk_is_reported_and_the_part_is_kept(serve, partial):
    resource = pytest.importorskip("resource")
    server = serve(BODY)
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    handler = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, limits[1]))
    try:
        check_refused(server, partial, "Expected to write", "File too large")
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
        signal.signal(signal.SIGXFSZ, handler)
    get(server, partial)
    assert server.ranges()[-1] == "bytes=100000-"


def test_a_killed_run_is_resumed(serve, partial):
    server = serve(BODY)

    def trickle(handler):
        server.send(handler, cut=100_000)
        handler.wfile.flush()
        time.sleep(30)

    server.acts = [trickle]
    code = (
        "import sys; from pathlib import Path\n"
        "from liverseg_tf.dataset.download.partial_file import PartialFile\n"
        "from liverseg_tf.dataset.download.http_request import Address\n"
        "from liverseg_tf.dataset.download.http_download import fetch\n"
        "fetch(Address(sys.argv[1]), PartialFile(Path(sys.argv[2])))"
    )
    process = subprocess.Popen([sys.executable, "-c", code, server.url, str(partial.path)])
    deadline = time.monotonic() + 60
    while partial.state()[0] < 50_000 and time.monotonic() < deadline:
        time.sleep(0.01)
    process.kill()
    assert process.wait(10) == -signal.SIGKILL
    there = partial.state()[0]
    assert 50_000 <= there <= 100_000
    get(server, partial)
    assert server.ranges() == [None, f"bytes={there}-"]


def test_redirects_are_followed_and_keep_the_range(serve, partial):
    far, near = serve(BODY), serve(b"")
    near.acts = [near.say(status, Location=far.url) for status in (301, 302, 303, 307, 308)]
    far.acts = [far.cut(20_000) for _ in range(4)]
    fetch(Address(near.url), partial, HASTY)
    assert partial.path.read_bytes() == BODY
    assert far.ranges()[-1] == "bytes=80000-"


def test_the_authorization_is_sent_to_its_own_host_only(serve, partial):
    far, near = serve(BODY), serve(b"")
    near.acts = [near.say(302, Location="/elsewhere"), near.say(302, Location=far.url + "?sign=1")]
    fetch(Address(near.url, "Basic c2VjcmV0"), partial, HASTY)
    assert [headers.get("Authorization") for _, headers in near.requests] == ["Basic c2VjcmV0"] * 2
    assert far.requests[0][0] == "/data.tar?sign=1"
    assert "Authorization" not in far.requests[0][1]
    assert "c2VjcmV0" not in repr(Address(near.url, "Basic c2VjcmV0"))


@pytest.mark.parametrize(
    "location",
    [
        "file:///etc/passwd",
        "ftp://127.0.0.1/a",
        "data:,a",
        "",
        "http://",
        "http://[::1",
        "http://a:b/",
    ],
)
def test_redirects_to_other_schemes_are_refused(serve, partial, location):
    server = serve(BODY)
    server.acts = [server.say(302, Location=location)] * 7
    with pytest.raises(
        LiverSegError, match=r"^Expected (a redirect|at most 5 redirects).*Received"
    ):
        fetch(Address(server.url), partial, HASTY)
    assert not partial.path.exists()


def test_a_redirect_from_https_to_http_is_refused():
    assert resolve_redirect("https://a/b?c", "/d") == "https://a/d"
    assert resolve_redirect("http://a/b", "https://a/b") == "https://a/b"
    with pytest.raises(LiverSegError, match=r"^Expected a redirect .*https to http\. Received"):
        resolve_redirect("https://a/b", "http://a/b")


def test_endless_redirects_are_refused_and_their_bodies_not_read(serve, partial):
    server = serve(BODY)

    def babble(handler):
        server.reply(handler, 302, {"Location": "/again"})
        while True:
            handler.wfile.write(bytes(1 << 16))

    server.acts = [babble] * 20
    check_refused(server, partial, "at most 5 redirects")


@pytest.mark.parametrize(
    "url",
    [
        "file:///a",
        "ftp://a/b",
        "/a",
        "",
        "http://",
        "http://me:secret@a/b",
        "http://[a/",
        "http://a:x/",
    ],
)
def test_invalid_addresses_are_refused(url):
    with pytest.raises(SettingsError, match=r"^Expected an address.*Received") as caught:
        Address(url)
    assert "secret" not in str(caught.value)


def test_the_query_of_an_address_is_not_shown(serve, partial):
    server = serve(BODY)
    server.acts = [server.say(404)]
    with pytest.raises(LiverSegError) as caught:
        fetch(Address(server.url + "?signature=secret"), partial, HASTY)
    assert "secret" not in str(caught.value)


def test_a_wrong_md5_is_an_error(tmp_path):
    path = tmp_path / "a"
    path.write_bytes(BODY)
    check_md5(path, hashlib.md5(BODY).hexdigest())
    with pytest.raises(LiverSegError, match=r"^Expected MD5 0 of .*a\. Received [0-9a-f]{32}\.$"):
        check_md5(path, "0")


def test_the_record_holds_size_and_validator(serve, partial):
    server = serve(BODY)
    get(server, partial)
    record = json.loads(partial.record_path.read_text())
    assert record == {"bytes": len(BODY), "validator": '"first"'}
    assert sorted(os.listdir(partial.path.parent)) == ["data.tar.partial", "data.tar.partial.json"]
