"""`liverseg predict --model grpc://...` on the command line."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner
from lessons import blocks_of

from liverseg_tf.cli.main import liverseg
from liverseg_tf.ct.nifti import read_labels
from liverseg_tf.predict.batch.predict_cases import predict_cases
from liverseg_tf.predict.batch.prediction_job import PredictionJob


def predict(*arguments):
    return CliRunner().invoke(liverseg, ["predict", *map(str, arguments)])


def test_a_served_model_makes_the_masks_of_a_local_one(
    start, models, local, tmp_path, make_dataset
):
    images = make_dataset(tmp_path / "data", count=2) / "images"
    with start(models) as server:
        scheme = "grpc" if "Grpc" in start.__name__ else "rest"
        address = server.address("liver", scheme)
        done = predict(images, "--model", address, "--out", tmp_path / "there")
        assert done.exit_code == 0, done.output
        assert "2 masks written" in done.output
        assert "2 kept" in predict(images, "--model", address, "--out", tmp_path / "there").output
        two = predict(images, "--model", address, "--model", address, "--out", tmp_path / "o")
        assert two.exit_code == 2
        assert "Expected a single --model and no --mirror" in two.output
        side = predict(images, "--model", address, "--side", "test", "--out", tmp_path / "o")
        assert side.exit_code == 2
        assert "a model on a server does not know the split" in side.output
    paths = {path.name.removesuffix(".nii.gz"): path for path in images.iterdir()}
    predict_cases(paths, local, PredictionJob(tmp_path / "here"))
    for name in paths:
        here, there = (
            read_labels(tmp_path / where / f"{name}.nii.gz").array for where in ("here", "there")
        )
        np.testing.assert_array_equal(here, there)


def test_the_code_of_the_documentation_runs(start, models, tmp_path, make_dataset, monkeypatch):
    images = make_dataset(tmp_path / "data", count=1) / "images"
    next(images.iterdir()).rename(tmp_path / "ct.nii.gz")
    monkeypatch.chdir(tmp_path)
    page = Path(__file__).parents[3] / "docs" / "serving.md"
    blocks = [block.text for block in blocks_of(page.read_text()) if block.language == "python"]
    assert blocks
    with start(models) as server:
        names = {"ADDRESS": server.address("liver", "grpc" if "Grpc" in start.__name__ else "rest")}
        for block in blocks:
            exec(compile(block, str(page), "exec"), names)
    assert names["mask"].array.shape == (6, 20, 24)


def test_an_invalid_address_is_an_error_of_one_line(tmp_path, make_dataset, monkeypatch):
    images = make_dataset(tmp_path / "data", count=1) / "images"
    done = predict(images, "--model", "grpc://localhost/liver", "--out", tmp_path / "out")
    assert done.exit_code == 2
    assert "Expected a served model as grpc://HOST:PORT/NAME" in done.output
    monkeypatch.setenv("LIVERSEG_TOKEN", "secret-token")
    done = predict(images, "--model", "grpc://far.example:9/liver", "--out", tmp_path / "out")
    assert done.exit_code == 2
    assert "secret-token" not in done.output


@pytest.mark.slow
def test_tensorflow_is_not_imported(servers, models, tmp_path, make_dataset):
    images = make_dataset(tmp_path / "data", count=1) / "images"
    with servers.GrpcServer(models) as server:
        code = (
            "import sys\nfrom liverseg_tf.cli.main import liverseg\n"
            "liverseg(sys.argv[1:], standalone_mode=False)\n"
            "print(sorted({'tensorflow', 'keras'} & set(sys.modules)))"
        )
        arguments = ["predict", images, "--model", server.address("liver", "grpc")]
        done = subprocess.run(
            [sys.executable, "-c", code, *map(str, arguments), "--out", str(tmp_path / "out")],
            capture_output=True, text=True, check=True,
        )  # fmt: skip
    assert done.stdout.splitlines()[-1] == "[]"
