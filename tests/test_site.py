"""The site: it builds from the sources alone, its links lead somewhere, its pages can be read."""

import contextlib
import functools
import http.server
import json
import re
import shutil
import subprocess
import sys
import threading
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urldefrag, urljoin, urlsplit

import pytest
from lessons import blocks_of

from liverseg_tf import __version__
from liverseg_tf.cli.main import COMMANDS, liverseg

yaml = pytest.importorskip("yaml")
pytest.importorskip("material")
pytest.importorskip("mkdocstrings_handlers.python")

ROOT = Path(__file__).parents[1]
SETTINGS = yaml.safe_load((ROOT / "mkdocs.yml").read_text())
PAGES = sorted(str(page.relative_to(ROOT / "docs")) for page in ROOT.glob("docs/**/*.md"))
# the builder may neither import TensorFlow nor ask another machine
BUILD = """
import os, sys
sys.modules.update(tensorflow=None, keras=None, jax=None)
def refuse(event, arguments):
    if event in ("socket.connect", "socket.getaddrinfo"):
        os.write(2, f"{event} {arguments}".encode())
        os._exit(3)
sys.addaudithook(refuse)
from mkdocs.__main__ import cli
cli()
"""
FLAGS = (
    "--headless=new --no-sandbox --disable-gpu --disable-background-networking "
    "--disable-component-update --disable-sync --no-first-run --disable-quic"
)
SECONDS = 60
VOID = {"img", "link", "meta", "input", "br", "hr", "source", "wbr", "col"}


class Page(HTMLParser):
    """What a page links to, loads, and names."""

    def __init__(self, path: Path):
        super().__init__()
        self.links: list[str] = []
        self.loads: list[str] = []
        self.names: set[str] = set()
        self._style = False
        self.feed(path.read_text())

    def handle_starttag(self, tag, attrs):
        given = {name: value or "" for name, value in attrs}
        self._style = tag == "style"
        self.names |= {given[name] for name in ("id", "name") if name in given and tag != "meta"}
        if tag == "a" and "href" in given:
            self.links.append(given["href"])
        elif tag == "link" and given.get("rel") not in ("prev", "next", "canonical"):
            self.loads.append(given["href"])
        self.loads += [given[name] for name in ("src", "poster", "data") if name in given]
        self.loads += [part.split()[0] for part in given.get("srcset", "").split(",") if part]
        self.loads += _loads_of_css(given.get("style", ""))

    def handle_data(self, data):
        if self._style:
            self.loads += _loads_of_css(data)


def _loads_of_css(text: str) -> list[str]:
    found = re.findall(r"url\(([^)]*)\)|@import\s+[\"']([^\"']+)", text)
    return [(first or second).strip("\"' ") for first, second in found]


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    """The folder of the built site."""
    folder = tmp_path_factory.mktemp("site") / "out"
    command = [sys.executable, "-c", BUILD, "build", "--strict", "--site-dir", str(folder)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    return folder


@pytest.fixture(scope="module")
def pages(site):
    """Its pages by their path below it."""
    return {str(path.relative_to(site)): Page(path) for path in sorted(site.rglob("*.html"))}


def _entries(nav):
    for entry in nav:
        (target,) = entry.values() if isinstance(entry, dict) else [entry]
        yield from _entries(target) if isinstance(target, list) else [target]


def _address(page: str) -> str:
    """Where a page of docs/ lies in the site, from its root."""
    path = page.removesuffix(".md")
    return "" if path == "index" else path.removesuffix("/index") + "/"


def test_every_page_is_in_the_navigation_and_every_entry_is_there():
    assert sorted(_entries(SETTINGS["nav"])) == PAGES


def test_every_page_is_built_without_tensorflow_and_network(pages):
    built = {_address(page) + "index.html" for page in PAGES}
    assert pages.keys() == built | {"404.html"}


def test_pages_load_nothing_from_other_hosts(site, pages):
    loads = [(name, load) for name, page in pages.items() for load in page.loads]
    loads += [
        (path.name, load)
        for path in site.rglob("*.css")
        for load in _loads_of_css(path.read_text())
    ]
    assert len(loads) > 3 * len(pages)
    for name, load in loads:
        assert urlsplit(load).scheme in ("", "data"), (name, load)
        assert not load.startswith("//"), (name, load)


def test_links_and_anchors_lead_somewhere(site, pages):
    followed = 0
    for name, page in pages.items():
        for link in page.links + page.loads:
            if urlsplit(link).scheme:
                continue
            place, anchor = urldefrag(urljoin(f"/{name}", link))
            path = unquote(place).removeprefix("/")
            if path.endswith("/") or not path:
                path += "index.html"
            assert (site / path).is_file(), (name, link)
            if anchor and path.endswith(".html"):
                assert unquote(anchor) in pages[path].names, (name, link)
            followed += 1
    assert followed > 20 * len(pages)


def test_every_command_and_option_is_in_the_reference(site, pages):
    text = (site / "reference/commands/index.html").read_text()
    assert "UNSET" not in text
    for name in COMMANDS:
        assert f"liverseg-{name}" in pages["reference/commands/index.html"].names
        for option in liverseg.get_command(None, name).params:
            if option.param_type_name == "option":
                assert option.opts[0] in text, (name, option.opts)


def test_what_the_pages_import_is_in_the_reference(pages):
    names = {name for path, page in pages.items() if "reference" in path for name in page.names}
    imported = [
        name.strip()
        for page in PAGES
        for block in blocks_of((ROOT / "docs" / page).read_text())
        if block.language == "python"
        for line in re.findall(r"^from liverseg_tf\S* import (.*)$", block.text, re.MULTILINE)
        for name in line.split(",")
    ]
    assert "segment" in imported
    for name in imported:
        assert any(known.endswith(f".{name}") for known in names), name


class Files(http.server.SimpleHTTPRequestHandler):
    """Serves a folder. The browser keeps the scripts and styles that the pages share.

    Args:
        index: Path of a file in place of the index of the search. None for that of the folder.
    """

    protocol_version = "HTTP/1.1"

    def __init__(self, *arguments, index=None, **options):
        self._index = index
        super().__init__(*arguments, **options)

    def end_headers(self):
        self.send_header("Cache-Control", "max-age=3600")
        super().end_headers()

    def translate_path(self, path):
        is_index = self._index and path.endswith("/search_index.json")
        return str(self._index) if is_index else super().translate_path(path)

    def log_message(self, *arguments):
        pass


@contextlib.contextmanager
def _serve(site, index=None):
    handler = functools.partial(Files, directory=str(site), index=index)
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}/"
        server.shutdown()


@pytest.fixture(scope="module")
def address(site):
    """Of a server on loopback: pages of a folder have no search."""
    with _serve(site) as address:
        yield address


@pytest.fixture(scope="module")
def address_without_search(site, tmp_path_factory):
    """The same with an index of no pages: each page prepares the search, which takes a while."""
    content = json.loads((site / "search/search_index.json").read_text())
    index = tmp_path_factory.mktemp("search") / "search_index.json"
    index.write_text(json.dumps(content | {"docs": content["docs"][:1]}))
    with _serve(site, index) as address:
        yield address


@pytest.fixture(scope="module")
def driver(tmp_path_factory):
    webdriver = pytest.importorskip("selenium.webdriver")
    program = shutil.which("chromium") or shutil.which("google-chrome")
    driver_program = shutil.which("chromedriver")
    if not (program and driver_program):
        pytest.skip("needs chromium and chromedriver (Debian: chromium, chromium-driver)")
    options = webdriver.ChromeOptions()
    options.binary_location = program
    for flag in FLAGS.split():
        options.add_argument(flag)
    options.add_argument(f"--user-data-dir={tmp_path_factory.mktemp('profile')}")
    options.set_capability("goog:loggingPrefs", {"browser": "ALL", "performance": "ALL"})
    driver = webdriver.Chrome(options=options, service=webdriver.ChromeService(driver_program))
    driver.set_page_load_timeout(SECONDS)
    driver.get("about:blank")
    driver.get_log("performance")  # of Chromium's own first page
    yield driver
    driver.quit()


def _show(driver, address, width):
    _resize(driver, width)
    driver.get(address)


def _resize(driver, width):
    metrics = {"width": width, "height": 900, "deviceScaleFactor": 1, "mobile": width < 600}
    driver.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", metrics)


def _is_laid_out(driver, width):
    return driver.execute_script(f"return matchMedia('(width: {width}px)').matches")


def _complaints(driver, address):
    """Errors on the console and requests that left the machine."""
    errors = [e["message"] for e in driver.get_log("browser") if e["level"] == "SEVERE"]
    for entry in driver.get_log("performance"):
        event = json.loads(entry["message"])["message"]
        if event["method"] == "Network.requestWillBeSent":
            url = event["params"]["request"]["url"]
            if not url.startswith((address, "data:", "blob:", "about:")):
                errors.append(url)
    return errors


@pytest.mark.slow
def test_pages_fit_the_screen_and_show_their_pictures(driver, address_without_search):
    """In a wide window that becomes narrow, since opening each page twice takes longer."""
    from selenium.webdriver.support.ui import WebDriverWait

    pictures, address = dict.fromkeys((1280, 390), 0), address_without_search
    wait = WebDriverWait(driver, SECONDS, 0.02)
    for page in PAGES:
        _show(driver, address + _address(page), 1280)
        for width in pictures:
            _resize(driver, width)
            wait.until(lambda driver, width=width: _is_laid_out(driver, width))
            pictures[width] += _check_layout(driver, page, width)
            assert _complaints(driver, address) == [], page
    assert min(pictures.values()) >= 3


def _check_layout(driver, page, width):
    """Return the number of pictures on a page that is shown in a window of a width."""
    assert driver.execute_script("return document.documentElement.scrollWidth") <= width, page
    found = driver.execute_script(
        "return [...document.images].map((image) => [image.src, image.naturalWidth])"
    )
    assert [name for name, size in found if size == 0] == [], page
    # text may scroll within code and tables, and nowhere else
    cut = driver.execute_script(
        "return [...document.querySelectorAll('.md-typeset :is(h1,h2,h3,h4,p,li)')].filter("
        "(each) => !each.closest('table') && each.getBoundingClientRect().right > innerWidth)"
        ".map((each) => each.innerText)"
    )
    assert cut == [], page
    return len(found)


@pytest.mark.slow
def test_the_search_finds_a_page_and_asks_nobody_else(driver, address):
    from selenium.webdriver.common.by import By
    from selenium.webdriver.support.ui import WebDriverWait

    _show(driver, address, 1280)
    field = driver.find_element(By.CSS_SELECTOR, ".md-search__input")
    field.click()
    field.send_keys("RTSTRUCT")
    WebDriverWait(driver, SECONDS).until(
        lambda driver: any(
            "/outputs/" in link.get_attribute("href")
            for link in driver.find_elements(By.CSS_SELECTOR, ".md-search-result__link")
        )
    )
    assert _complaints(driver, address) == []


@pytest.mark.parametrize("form", sorted((ROOT / ".github/ISSUE_TEMPLATE").glob("*.yml")))
def test_forms_of_issues(form):
    content = yaml.safe_load(form.read_text())
    assert {"name", "description", "body"} <= content.keys()
    asked = [each for each in content["body"] if each["type"] != "markdown"]
    names = [each["id"] for each in asked]
    assert asked
    assert len(set(names)) == len(names)
    for each in content["body"]:
        assert each["type"] in ("markdown", "input", "textarea", "dropdown", "checkboxes")
        assert "value" in each["attributes"] or "label" in each["attributes"]
    assert "patient data" in form.read_text()


def test_the_citation():
    citation = yaml.safe_load((ROOT / "CITATION.cff").read_text())
    required = {"cff-version", "message", "title", "authors"}
    assert required < citation.keys()
    assert citation["version"] == __version__
    assert citation["license"] == "Apache-2.0"
    assert all(author.keys() == {"name"} for author in citation["authors"])


def test_the_files_and_names_of_the_recipes_are_there():
    text = (ROOT / "CONTRIBUTING.md").read_text()
    paths = set(re.findall(r"`((?:[\w-]+/)+[\w-]*(?:\.\w+)?)`", text))
    assert len(paths) > 20
    for path in paths:
        assert (ROOT / path).exists(), path
    words = {
        word
        for pattern in ("setup.py", "liverseg_tf/**/*.py", "tests/**/*.py")
        for path in ROOT.glob(pattern)
        for word in re.findall(r"\w+", path.read_text())
    }
    names = re.findall(r"`(\w*_\w+|[A-Z]\w+)`", text)
    assert set(names) <= words


def test_the_extras_are_those_of_the_package():
    from configparser import ConfigParser

    setup = ConfigParser()
    setup.read(ROOT / "setup.cfg")
    table = re.findall(r"^\| `(\w+)` \|", (ROOT / "docs/install.md").read_text(), re.MULTILINE)
    assert table == list(setup["options.extras_require"])
