import http.client
import threading

import pytest

from liverseg_tf.errors import LiverSegError
from liverseg_tf.html_page import Page, write_page
from liverseg_tf.serve.export.web.serve_pages import HEADERS, open_server


@pytest.fixture
def served(tmp_path):
    """A folder with two pages and other files, and a function from a path to its answer."""
    folder = tmp_path / "pages"
    for name in ("a.html", "b & c.html"):
        write_page(folder / name, Page(name, "", ["<p>text</p>"]))
    (folder / "secret.json").write_text("{}")
    (folder / "foreign.html").write_text("<p>not written by this package</p>")
    (tmp_path / "outside.html").write_bytes((folder / "a.html").read_bytes())
    server = open_server(folder, "127.0.0.1", 0)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()

    def get(path, method="GET"):
        connection = http.client.HTTPConnection(*server.server_address[:2], timeout=10)
        connection.request(method, path)
        answer = connection.getresponse()
        return answer.status, dict(answer.getheaders()), answer.read().decode()

    yield get
    server.shutdown()
    thread.join()
    server.server_close()


def test_pages_have_the_headers_for_threads(served):
    status, headers, body = served("/a.html")
    assert status == 200
    assert "<p>text</p>" in body
    assert HEADERS.items() <= headers.items()
    assert headers["Content-Type"] == "text/html; charset=utf-8"
    assert served("/a.html", "HEAD")[2] == ""


def test_the_index_lists_the_pages(served):
    status, _, body = served("/")
    assert status == 200
    assert '<a href="b%20%26%20c.html">b &amp; c.html</a>' in body
    assert "foreign" not in body
    assert served("/b%20%26%20c.html")[0] == 200


@pytest.mark.parametrize(
    "path", ["/secret.json", "/foreign.html", "/../outside.html", "/%2e%2e/outside.html", "/x"]
)
def test_nothing_else_is_served(served, path):
    assert served(path)[0] == 404


def test_a_folder_without_pages_is_refused(tmp_path):
    with pytest.raises(LiverSegError, match="liverseg export --web"):
        open_server(tmp_path, "127.0.0.1", 0)
