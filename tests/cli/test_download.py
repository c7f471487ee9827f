import functools
import hashlib
import os
import re
import signal
import subprocess
import sys
import tarfile
import threading
import time
from dataclasses import replace
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer

import pytest
from click.testing import CliRunner

from liverseg_tf.cli.main import liverseg
from liverseg_tf.dataset.download import sources

NAME = "Task09_Spleen"


class Slow(SimpleHTTPRequestHandler):
    def log_message(self, *arguments):
        pass

    def copyfile(self, source, outputfile):
        outputfile.write(source.read(20_000))
        outputfile.flush()
        time.sleep(20)


class Quick(Slow):
    copyfile = SimpleHTTPRequestHandler.copyfile


@pytest.fixture
def serve(tmp_path, make_dataset, monkeypatch):
    """A function that serves the archive of a small task with a handler and returns its address."""
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    make_dataset(tmp_path / "made", "msd")
    (tmp_path / "www").mkdir()
    with tarfile.open(tmp_path / "www" / f"{NAME}.tar", "w") as tar:
        tar.add(tmp_path / "made", NAME)
    servers = []

    def start(handler=Quick):
        handler = functools.partial(handler, directory=tmp_path / "www")
        server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
        server.daemon_threads, server.block_on_close = True, False
        threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
        servers.append(server)
        return f"http://127.0.0.1:{server.server_port}/{NAME}.tar"

    yield start
    for server in servers:
        server.shutdown()
        server.server_close()


@pytest.fixture
def known(tmp_path, serve, monkeypatch):
    """Expect the checksum of the small archive."""
    md5 = hashlib.md5((tmp_path / "www" / f"{NAME}.tar").read_bytes()).hexdigest()
    monkeypatch.setitem(sources.SOURCES, NAME, replace(sources.SOURCES[NAME], md5=md5))


def run(*arguments):
    return CliRunner().invoke(liverseg, ["download", *map(str, arguments)])


@pytest.mark.usefixtures("known")
def test_a_data_set_is_downloaded_and_preprocessed(serve, tmp_path):
    done = run("spleen", tmp_path / "raw", "--url", serve())
    assert done.exit_code == 0, done.output
    assert f"{NAME}: licence CC BY-SA 4.0" in done.output
    assert "Please cite: Antonelli" in done.output
    assert re.search(r"download: 100 %, .* of 0\.00 GB", done.stderr)
    assert "extract: 100 %" in done.stderr
    assert f"data set: {tmp_path / 'raw' / NAME}" in done.output
    folder, store = str(tmp_path / "raw" / NAME), str(tmp_path / "store")
    tiles = ["--spacing", "native", "--workers", "1"]
    done = CliRunner().invoke(liverseg, ["preprocess", folder, store, *tiles])
    assert done.exit_code == 0, done.output
    done = run("spleen", tmp_path / "raw", "--url", "http://127.0.0.1:9/")
    assert done.exit_code == 0
    assert "already exists: nothing to do" in done.output


@pytest.mark.usefixtures("known")
def test_the_default_folder_and_the_archive(serve, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    done = run(NAME, "--url", serve(), "--keep-archive")
    assert done.exit_code == 0, done.output
    there = sorted(path.name for path in (tmp_path / "data_cache" / "raw").iterdir())
    assert there == [NAME, f"{NAME}.tar"]


def test_the_list():
    done = run("--list")
    assert done.exit_code == 0
    lines = done.output.splitlines()
    assert len(lines) == len(sources.SOURCES)
    assert "about 28.9 GB" in next(line for line in lines if line.startswith("Task03_Liver"))
    assert all("CC BY" in line for line in lines)


@pytest.mark.parametrize(
    ("arguments", "code", "says"),
    [
        ([], 2, "Missing the NAME"),
        (["kidney"], 2, "Expected one of Task01_BrainTumour"),
        (["liver", "{}/raw", "--url", "ftp://host/a"], 2, "Expected an address"),
        (["liver", "{}/raw", "--url", "{url}"], 1, "Expected MD5 a90ec6c4"),
        (["liver", "{}/raw", "--url", "{url}.gz"], 1, "status 404"),
        (["liver", "{}/raw", "--url", "http://127.0.0.1:9/a", "--retries", "0"], 1, "no answer"),
        (["lits-part1", "{}/raw"], 1, "Expected Kaggle credentials"),
        (["liver", "{}/raw", "--timeout", "0"], 2, "--timeout"),
    ],
)
def test_errors_are_one_line_with_an_exit_code(serve, tmp_path, arguments, code, says):
    url = serve()
    environment = {"HOME": str(tmp_path), "KAGGLE_API_TOKEN": None, "KAGGLE_KEY": None}
    environment["KAGGLE_CONFIG_DIR"] = None
    done = CliRunner(env=environment).invoke(
        liverseg, ["download", *(argument.format(tmp_path, url=url) for argument in arguments)]
    )
    assert done.exit_code == code, done.output
    assert says in " ".join(done.output.split())
    assert "Traceback" not in done.output
    assert not list((tmp_path / "raw").glob("*")) or says == "status 404"


@pytest.mark.skipif(os.name != "posix", reason="signals")
def test_ctrl_c_keeps_the_partial_download(serve, tmp_path):
    command = [
        sys.executable,
        "-m",
        "liverseg_tf",
        "download",
        NAME,
        str(tmp_path / "raw"),
    ]
    process = subprocess.Popen(
        [*command, "--url", serve(Slow)],
        stderr=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        # a background job of a shell script ignores SIGINT
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    )
    part = tmp_path / "raw" / f"{NAME}.tar.partial"
    deadline = time.monotonic() + 60
    while not (part.exists() and part.stat().st_size) and time.monotonic() < deadline:
        time.sleep(0.02)
    process.send_signal(signal.SIGINT)
    _, said = process.communicate(timeout=30)
    assert process.returncode == 1
    assert "Repeat the command to resume" in said
    assert "Traceback" not in said
    assert (
        part.read_bytes() == (tmp_path / "www" / f"{NAME}.tar").read_bytes()[: part.stat().st_size]
    )
    assert not (tmp_path / "raw" / NAME).exists()
