import hashlib
import json
import os
import random
import signal
import subprocess
import sys
import time

import pytest

from liverseg_tf.dataset.download.http_download import RetryPolicy, check_md5, fetch
from liverseg_tf.dataset.download.http_request import Address, follow
from liverseg_tf.dataset.download.partial_file import Partial
from liverseg_tf.errors import LiverSegError, SettingsError

BODY = random.Random(0).randbytes(300_000)
HASTY = RetryPolicy(retries=2, wait_s=0.001, silence_s=5, progress_bytes=1000)


@pytest.fixture
def partial(tmp_path):
    return Partial(tmp_path / "new" / "data.tar.partial")


def get(server, partial, retry_policy=HASTY, **options):
    fetch(Address(server.url), partial, retry_policy, **options)
    assert partial.path.read_bytes() == server.body


def check_refused(server, partial, *words, retry_policy=HASTY):
    with pytest.raises(LiverSegError) as caught:
        fetch(Address(server.url), partial, retry_policy)
    message = str(caught.value)
    assert message.startswith("Expected ")
    assert "Received" in message
    assert "\n" not in message
    for word in words:
        assert word in message


def test_a_file_comes_whole(serve, partial):
    seen = []
    server = serve(BODY)
    get(server, partial, on_bytes=lambda *numbers: seen.append(numbers))
    assert seen[-1] == (len(BODY), len(BODY))
    assert [done for done, _ in seen] == sorted({done for done, _ in seen})
    get(server, partial)  # a whole one is not asked for again
    assert len(server.requests) == 1
    assert server.requests[0][1]["Accept-Encoding"] == "identity"


def test_cut_connections_are_resumed_as_long_as_they_bring_something(serve, partial):
    server = serve(BODY)
    server.acts = [server.cut(20_000) for _ in range(10)]
    get(server, partial)
    assert server.ranges() == [None, *(f"bytes={n * 20_000}-" for n in range(1, 11))]
    assert {headers.get("If-Range") for _, headers in server.requests[1:]} == {'"first"'}


def test_connections_that_bring_nothing_end_it_and_the_next_run_resumes(serve, partial):
    server = serve(BODY)
    server.acts = [server.cut(100_000), *[server.cut(10)] * 2]
    check_refused(server, partial, "connection", "after 2 retries", "kept for the next run")
    assert partial.state() == (100_020, len(BODY), '"first"')
    get(server, partial)
    assert server.ranges()[-1] == "bytes=100020-"


@pytest.mark.parametrize("etag", [None, 'W/"weak"', "without quotes"])
def test_a_date_takes_the_place_of_a_strong_tag(serve, partial, etag):
    server = serve(BODY)
    server.etag, server.date = etag, "Fri, 14 Aug 2020 10:00:00 GMT"
    server.acts = [server.cut(100_000), lambda handler: server.reply(
        handler, 206,
        {"Content-Length": 200_000, "Content-Range": "bytes 100000-299999/300000"},
        BODY[100_000:],
    )]  # fmt: skip
    get(server, partial)
    assert server.requests[1][1]["If-Range"] == server.date


def test_without_a_tag_or_a_date_it_begins_anew(serve, partial):
    server = serve(BODY)
    server.etag = None
    server.acts = [server.cut(100_000)]
    get(server, partial)
    assert server.ranges() == [None, None]


def test_a_server_without_ranges_begins_anew(serve, partial):
    server = serve(BODY)
    server.acts = [server.cut(100_000), lambda handler: server.send(handler, ranges=False)]
    get(server, partial)
    assert server.ranges() == [None, "bytes=100000-"]


def test_a_file_that_changed_begins_anew(serve, partial):
    server = serve(BODY)

    def change(handler):
        server.body, server.etag = BODY[::-1][:250_000], '"second"'
        server.send(handler)

    server.acts = [server.cut(100_000), change]
    get(server, partial)
    assert partial.state() == (250_000, 250_000, '"second"')


def test_one_that_changes_each_time_is_given_up(serve, partial):
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
def test_lies_about_the_range_are_not_believed(serve, partial, headers):
    server = serve(BODY)
    server.acts = [
        server.cut(100_000),
        server.say(206, bytes(200_000), Content_Length=200_000, **headers),
    ]
    get(server, partial)
    assert server.ranges() == [None, "bytes=100000-", None]


def test_a_shorter_part_than_asked_for_will_do(serve, partial):
    server = serve(BODY)
    part = {"Content_Length": 50_000, "Content_Range": "bytes 100000-149999/300000"}
    server.acts = [server.cut(100_000), server.say(206, BODY[100_000:150_000], **part)]
    get(server, partial)
    assert server.ranges()[-1] == "bytes=150000-"


@pytest.mark.parametrize("length", [None, 500_000])
def test_more_than_the_part_is_not_read(serve, partial, length):
    server = serve(BODY)
    part = {"Content_Length": length, "Content_Range": "bytes 100000-299999/300000"}
    server.acts = [server.cut(100_000), server.say(206, BODY[100_000:] + bytes(300_000), **part)]
    get(server, partial)


def test_a_part_that_was_not_asked_for(serve, partial):
    server = serve(BODY)
    server.acts = [server.say(206, BODY, Content_Range="bytes 0-299999/300000"), server.say(416)]
    get(server, partial)


def test_bytes_beyond_those_announced_are_not_read(serve, partial):
    server = serve(BODY)
    server.acts = [server.say(200, BODY + bytes(100_000), Content_Length=len(BODY))]
    get(server, partial)


def test_an_endless_answer_is_not_read(serve, partial):
    server = serve(BODY)

    def babble(handler):
        server.reply(handler, 200, {"Content-Length": 1000})
        while True:
            handler.wfile.write(bytes(1 << 16))

    server.acts = [babble]
    fetch(Address(server.url), partial, HASTY)
    assert partial.path.stat().st_size == 1000


@pytest.mark.parametrize("status", [408, 429, 500, 503])
def test_a_server_that_is_busy_is_asked_again(serve, partial, status):
    server = serve(BODY)
    server.acts = [server.say(status)] * 2
    get(server, partial)
    server.acts = [server.say(status)] * 3
    partial.drop()
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
        ((200, BODY), {"Content_Length": 300_000, "Content_Encoding": "gzip"}, "compressed (gzip)"),
    ],
)
def test_answers_that_are_refused_at_once(serve, partial, answer, headers, says):
    server = serve(BODY)
    server.acts = [server.say(*answer, **headers)]
    check_refused(server, partial, says)
    assert len(server.requests) == 1
    assert not partial.path.exists() or partial.path.stat().st_size == 0


def test_silence_is_an_end(serve, partial):
    server = serve(BODY)

    def stall(handler):
        server.send(handler, cut=100_000)
        handler.wfile.flush()
        time.sleep(1.5)

    server.acts = [stall]
    get(server, partial, RetryPolicy(1, 0.001, silence_s=0.2))
    assert server.ranges() == [None, "bytes=100000-"]
    partial.drop()
    server.acts = [lambda handler: time.sleep(1.5)] * 2
    check_refused(server, partial, "silence", retry_policy=RetryPolicy(1, 0.001, silence_s=0.2))


def test_nobody_there(tmp_path, serve):
    server = serve(BODY)
    server.http.shutdown()
    server.http.server_close()
    partial = Partial(tmp_path / "a.partial")
    check_refused(server, partial, "no answer from", "nothing to resume")


def test_garbage_for_an_answer(serve, partial):
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
    ],
)
def test_a_part_of_unknown_origin_is_not_resumed(serve, partial, record):
    partial.path.parent.mkdir()
    partial.path.write_bytes(b"x" * 1000)
    partial.record_path.write_text(record)
    server = serve(BODY)
    get(server, partial)
    assert server.ranges() == [None]


def test_a_disk_that_is_full_is_told_and_the_part_is_kept(serve, partial):
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
    """The process gets no chance to tidy up."""
    server = serve(BODY)

    def trickle(handler):
        server.send(handler, cut=100_000)
        handler.wfile.flush()
        time.sleep(30)

    server.acts = [trickle]
    code = (
        "import sys; from pathlib import Path\n"
        "from liverseg_tf.dataset.download.partial_file import Partial\n"
        "from liverseg_tf.dataset.download.http_request import Address\n"
        "from liverseg_tf.dataset.download.http_download import RetryPolicy, fetch\n"
        "fetch(Address(sys.argv[1]), Partial(Path(sys.argv[2])), RetryPolicy())"
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


def test_a_secret_goes_to_its_host_alone(serve, partial):
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
def test_redirects_elsewhere_are_refused(serve, partial, location):
    server = serve(BODY)
    server.acts = [server.say(302, Location=location)] * 7
    with pytest.raises(
        LiverSegError, match=r"^Expected (a redirect|at most 5 redirects).*Received"
    ):
        fetch(Address(server.url), partial, HASTY)
    assert not partial.path.exists()


def test_a_redirect_never_leaves_encryption():
    assert follow("https://a/b?c", "/d") == "https://a/d"
    assert follow("http://a/b", "https://a/b") == "https://a/b"
    with pytest.raises(LiverSegError, match=r"^Expected a redirect .*https to http\. Received"):
        follow("https://a/b", "http://a/b")


def test_a_circle_of_redirects_and_its_bodies(serve, partial):
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
def test_addresses_that_are_none(url):
    with pytest.raises(SettingsError, match=r"^Expected an address.*Received") as caught:
        Address(url)
    assert "secret" not in str(caught.value)


def test_what_a_signature_hides_is_not_shown(serve, partial):
    server = serve(BODY)
    server.acts = [server.say(404)]
    with pytest.raises(LiverSegError) as caught:
        fetch(Address(server.url + "?signature=secret"), partial, HASTY)
    assert "secret" not in str(caught.value)


def test_md5(tmp_path):
    path = tmp_path / "a"
    path.write_bytes(BODY)
    check_md5(path, hashlib.md5(BODY).hexdigest())
    with pytest.raises(LiverSegError, match=r"^Expected MD5 0 of .*a\. Received [0-9a-f]{32}\.$"):
        check_md5(path, "0")


def test_the_record_is_plain(serve, partial):
    server = serve(BODY)
    get(server, partial)
    record = json.loads(partial.record_path.read_text())
    assert record == {"bytes": len(BODY), "validator": '"first"'}
    assert sorted(os.listdir(partial.path.parent)) == ["data.tar.partial", "data.tar.partial.json"]
