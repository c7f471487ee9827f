import subprocess
from importlib.metadata import PackageNotFoundError

import pytest

from liverseg_tf import installation
from liverseg_tf.installation import Extra, find_backend, find_extras, find_nvidia_gpus

REQUIRES = {
    "liverseg_tf": [
        "numpy>=1",
        'one>=2; extra == "new"',
        'two[fast]; extra == "nested"',
        'liverseg_tf[new]; extra == "nested"',
        'three; extra == "there"',
        'four; extra == "test"',
        'five; python_version < "3" and extra == "there"',
    ],
    "two": ["two-base", 'speed>=1; extra == "fast"'],
}


class _Metadata:
    def get_all(self, name):
        return ["new", "nested", "there", "test"]


@pytest.fixture
def packages(monkeypatch):
    """A machine with packages one 1.0, two 1.0 and three 3.0."""

    def version(name):
        if name not in ("one", "two", "three"):
            raise PackageNotFoundError(name)
        return "3.0" if name == "three" else "1.0"

    monkeypatch.setattr(installation, "version", version)
    monkeypatch.setattr(installation, "requires", lambda name: REQUIRES.get(name))
    monkeypatch.setattr(installation, "metadata", lambda name: _Metadata())


def test_what_extras_lack_is_found_also_through_other_extras(packages):
    assert find_extras() == [
        Extra("nested", ("speed", "one 1.0 is not >=2")),
        Extra("new", ("one 1.0 is not >=2",)),
        Extra("there", ()),
    ]


def test_a_package_that_is_run_from_its_sources_has_no_extras(monkeypatch):
    def metadata(name):
        raise PackageNotFoundError(name)

    monkeypatch.setattr(installation, "metadata", metadata)
    assert find_extras() == []


def test_the_backend_comes_from_the_environment_the_file_of_keras_or_the_default(tmp_path):
    assert find_backend({}, tmp_path) == ("tensorflow", "the default")
    assert find_backend({"KERAS_BACKEND": "torch"}, tmp_path)[0] == "torch"
    assert "unknown" in find_backend({"KERAS_BACKEND": "x"}, tmp_path)[1]
    file = tmp_path / ".keras" / "keras.json"
    file.parent.mkdir()
    file.write_text('{"backend": "jax"}')
    assert find_backend({}, tmp_path) == ("jax", str(file))
    file.write_text("[")
    assert find_backend({}, tmp_path)[0] == "tensorflow"


@pytest.mark.parametrize(
    ("code", "text", "gpus"),
    [
        (0, "NVIDIA H200, 143771 MiB, 570.1\n", ["NVIDIA H200, 143771 MiB, 570.1"]),
        (9, "no devices\n", ["nvidia-smi failed: no devices"]),
    ],
)
def test_nvidia_gpus_are_asked_of_the_driver(monkeypatch, code, text, gpus):
    done = subprocess.CompletedProcess([], code, text, "")
    monkeypatch.setattr(installation.shutil, "which", lambda name: "/usr/bin/nvidia-smi")
    monkeypatch.setattr(installation.subprocess, "run", lambda *args, **options: done)
    assert find_nvidia_gpus() == gpus
