"""Network, losses and training loop with Keras' JAX backend, in separate processes."""

import csv
import json
import os
import subprocess
import sys

import backend_losses
import numpy as np
import pytest

pytest.importorskip("jax")

# compiling takes most of the time of a few steps, and less so without optimisation
FLAGS = "--xla_backend_optimization_level=0 --xla_llvm_disable_expensive_passes=true"


WITHOUT_TENSORFLOW = """
import sys
from liverseg_tf.cli.main import liverseg
liverseg(standalone_mode=False)
assert "tensorflow" not in sys.modules
"""


def _run(*arguments):
    done = subprocess.run(
        [sys.executable, *map(str, arguments)],
        env=os.environ | {"KERAS_BACKEND": "jax", "JAX_PLATFORMS": "cpu", "XLA_FLAGS": FLAGS},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    return done.stdout


@pytest.mark.slow
@pytest.mark.usefixtures("eager")
def test_losses_equal_those_of_tensorflow():
    expected = backend_losses.compute_losses()
    actual = json.loads(_run(backend_losses.__file__))
    assert expected.keys() == actual.keys()
    for name in expected:
        # the moving variance of TensorFlow's fused kernel is the unbiased estimate
        tolerance = 0.15 if "inference" in name else 2e-3
        np.testing.assert_allclose(actual[name], expected[name], rtol=tolerance, err_msg=name)


@pytest.mark.slow
def test_the_command_trains_and_predicts_with_jax(blob_store, tmp_path):
    run = tmp_path / "run"
    options = ["--epochs", 2, "--steps-per-epoch", 5, "--base-filters", 4, "--depth", 2]
    options += ["--no-tune", "--batch-size", 4]
    output = _run("-c", WITHOUT_TENSORFLOW, "train", blob_store.folder, run, *options)
    assert "10 steps in" in output
    record = json.loads((run / "run.json").read_text())
    assert record["versions"]["backend"] == "jax"
    assert "jax" in record["versions"]
    with open(run / "log.csv") as file:
        rows = list(csv.DictReader(file))
    assert float(rows[1]["loss"]) < float(rows[0]["loss"])

    # the TensorFlow backend of this process reads the run
    from liverseg_tf.predict.models.run import RunPredictor

    tiles = np.asarray(blob_store.read("case_2").image)[:4]
    probabilities = RunPredictor(run, "float32").probabilities(tiles)
    assert probabilities.shape == (4, 48, 48, 2)
