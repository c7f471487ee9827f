"""The command: who may reach the server, and a start without TensorFlow."""

import json
import re
import subprocess
import sys
import time
import urllib.request
from pathlib import Path

import numpy as np
import pytest
from commands import run_liverseg

from liverseg_tf.cli.shared.models import _import_frameworks
from liverseg_tf.ct.images import read_image
from liverseg_tf.ct.nifti import write_volume
from liverseg_tf.errors import SettingsError
from liverseg_tf.network_host import is_loopback
from liverseg_tf.serve.server.listening import (
    check_access,
    listen,
    read_server_token,
)
from liverseg_tf.serve.server.model_loading import name_models


def test_other_machines_need_a_token():
    check_access("127.0.0.1", None, False)
    check_access("0.0.0.0", None, True)
    check_access("::", "x" * 16, False)
    assert is_loopback("::1")
    for host, token, words in (("0.0.0.0", None, "Expected a token"), ("::", "short", "16 char")):
        with pytest.raises(SettingsError, match=words):
            check_access(host, token, False)


def test_the_token_is_not_that_of_tensorflow_serving(tmp_path):
    assert read_server_token({"LIVERSEG_TOKEN": "other"}, None) is None
    assert read_server_token({"LIVERSEG_SERVER_TOKEN": " own\n"}, None) == "own"
    (tmp_path / "token").write_text("filed\n")
    assert read_server_token({"LIVERSEG_SERVER_TOKEN": "own"}, tmp_path / "token") == "filed"


def test_a_port_in_use_is_reported(tmp_path, built_run):
    with listen("127.0.0.1", 0) as taken:
        port = taken.getsockname()[1]
        options = ["--model", built_run, "--studies", tmp_path, "--port", port]
        done = run_liverseg("serve", *options)
    assert done.exit_code == 1
    assert re.fullmatch(r"Error: Expected to listen on 127\.0\.0\.1, port \d+\. .*\n", done.output)


def test_models_get_different_names():
    resolved = [["/m/liver"], ["/m/spleen.onnx"], ["/m/kidney/2"], ["grpc://h:1/pancreas/3"]]
    typed = [one for (one,) in resolved]
    named = name_models(resolved, typed)
    assert list(named) == ["liver", "spleen", "2", "pancreas"]
    with pytest.raises(SettingsError, match="Received two named liver"):
        name_models([["a/liver"], ["b/liver"]], ["a/liver", "b/liver"])


def test_onnx_needs_no_framework(monkeypatch):
    monkeypatch.setitem(sys.modules, "liverseg_tf.cli.shared.tensorflow", None)
    _import_frameworks([Path("a.onnx")])


@pytest.mark.slow
def test_the_server_starts_without_tensorflow(liver_exports, make_volumes, tmp_path):
    _, exported = liver_exports
    model = exported.parents[1] / "liver-1.onnx"
    write_volume(tmp_path / "ct" / "a.nii.gz", make_volumes()[0])
    done = run_liverseg("predict", tmp_path / "ct", "--model", model, "-o", tmp_path / "masks")
    assert done.exit_code == 0, done.output
    # a module that cannot be imported takes the place of TensorFlow
    (tmp_path / "hidden").mkdir()
    for name in ("tensorflow", "keras", "torch"):
        (tmp_path / "hidden" / f"{name}.py").write_text("raise SystemExit('imported')")
    command = [sys.executable, "-m", "liverseg_tf", "serve", "--model", model]
    command += ["--studies", tmp_path / "ct", "--port", 0]
    environment = {"PYTHONPATH": str(tmp_path / "hidden"), "PATH": "/usr/bin"}
    server = subprocess.Popen(
        [*map(str, command)],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        env=environment,
        cwd=Path(__file__).parents[3],
    )
    with server:
        try:
            lines = iter(server.stdout.readline, "")
            line = next(line for line in lines if "serving at" in line)
            url = re.search(r"http://127\.0\.0\.1:\d+", line)[0]
            query = "/infer/liver-1?image=a&output=image"
            with urllib.request.urlopen(url + query, data=b"", timeout=60) as answer:
                (tmp_path / "mask.nii.gz").write_bytes(answer.read())
            with urllib.request.urlopen(url + "/info/", timeout=60) as answer:
                assert json.loads(answer.read())["trainers"] == {}
        finally:
            server.terminate()
            server.wait(20)
    assert server.returncode in (0, -15)
    mask, expected = (read_image(tmp_path / name) for name in ("mask.nii.gz", "masks/a.nii.gz"))
    np.testing.assert_array_equal(mask.array, expected.array)
    assert (tmp_path / "ct.labels").is_dir()
    deadline = time.monotonic() + 10
    while (tmp_path / "ct.labels" / "private").exists() and time.monotonic() < deadline:
        time.sleep(0.05)
    assert not (tmp_path / "ct.labels" / "private").exists()
