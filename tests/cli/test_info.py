import json
import subprocess
import sys

import pytest
from commands import run_liverseg

from liverseg_tf.cli import info as module


@pytest.fixture
def home(tmp_path, monkeypatch):
    """The home folder of the user jane, in which she works, with secrets in the environment."""
    home = tmp_path / "home" / "jane"
    (home / "project").mkdir(parents=True)
    monkeypatch.chdir(home / "project")
    for name, value in (
        ("HOME", str(home)),
        ("USERPROFILE", str(home)),
        ("USER", "jane"),
        ("KERAS_HOME", "/scratch/jane/keras"),
        ("KERAS_BACKEND", "jax"),
        ("MLFLOW_TRACKING_TOKEN", "secret"),
        ("KAGGLE_KEY", "secret"),
    ):
        monkeypatch.setenv(name, value)
    return home


def test_everything_is_printed_in_80_columns_without_names_and_secrets(home):
    done = run_liverseg("info")
    assert done.exit_code == 0
    lines = done.stdout.splitlines()
    assert max(map(len, lines)) <= 80
    names = [line.partition(":")[0] for line in lines if not line.startswith(" ")]
    for name in (
        "liverseg_tf",
        "python",
        "backend",
        "processor",
        "packages",
        "extras",
        "variables",
    ):
        assert name in names
    assert "data_cache:   ~/project/data_cache" in done.stdout
    assert "/scratch/USER/keras/models" in done.stdout
    assert "jax (the variable KERAS_BACKEND)" in done.stdout
    for word in ("jane", "secret"):
        assert word not in done.stdout


def test_json_has_the_same_facts(home):
    facts = json.loads(run_liverseg("info", "--json").stdout)
    assert facts["backend"] == {"name": "jax", "chosen_by": "the variable KERAS_BACKEND"}
    assert facts["packages"].keys() >= {"keras", "numpy", "nibabel"}
    assert facts["devices"]["memory_gb"] > 0
    assert {one["name"] for one in facts["folders"]} >= {"data_cache", "Keras cache"}


def test_no_framework_is_imported():
    code = (
        "import sys; from liverseg_tf.cli.main import liverseg\n"
        "liverseg(['info'], standalone_mode=False)\n"
        "print([n for n in ('tensorflow', 'keras', 'jax', 'torch', 'mlflow') if n in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == "[]"


def test_devices_of_the_backend_are_asked_for(monkeypatch):
    seen = {"devices": "NVIDIA H200", "precision": "bfloat16", "compiled": True}
    monkeypatch.setattr(module, "_describe_backend_devices", lambda: seen)
    done = run_liverseg("info", "--devices")
    assert "trains on:    NVIDIA H200, bfloat16, compiled" in done.stdout
