"""Network, losses and training loop with Keras' JAX backend, in separate processes."""

import csv
import json
import os
import subprocess
import sys

import backend_losses
import keras
import numpy as np
import pytest

from liverseg_tf.errors import SettingsError
from liverseg_tf.train.learner.execution import ExecutionOptions, resolve_hosts
from liverseg_tf.train.settings import TrainSettings

jax = pytest.importorskip("jax")

# compiling takes most of the time of a few steps, and less so without optimisation
FLAGS = "--xla_backend_optimization_level=0 --xla_llvm_disable_expensive_passes=true"


WITHOUT_TENSORFLOW = """
import json, sys
from liverseg_tf.cli.main import liverseg
for command in json.loads(sys.argv[1]):
    liverseg(command, standalone_mode=False)
assert "tensorflow" not in sys.modules
"""


def _run(*arguments, flags=FLAGS):
    done = subprocess.run(
        [sys.executable, *map(str, arguments)],
        env=os.environ | {"KERAS_BACKEND": "jax", "JAX_PLATFORMS": "cpu", "XLA_FLAGS": flags},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    return done.stdout


@pytest.mark.slow
@pytest.mark.usefixtures("eager")
def test_losses_and_models_equal_those_of_tensorflow(tmp_path):
    expected = backend_losses.compute_losses(backend_losses.SETTINGS, tmp_path)
    # it also checks that the models that were just saved predict the same with JAX
    actual = json.loads(_run(backend_losses.__file__, tmp_path))
    assert expected.keys() == actual.keys()
    for name in expected:
        # the moving variance of TensorFlow's fused kernel is the unbiased estimate
        tolerance = {"rtol": 0.05} if "inference" in name else {"rtol": 0, "atol": 1e-4}
        np.testing.assert_allclose(actual[name], expected[name], **tolerance, err_msg=name)
    assert len(list(tmp_path.glob("*-jax.keras"))) == len(backend_losses.SETTINGS)
    backend_losses.check_models(tmp_path)


@pytest.mark.slow
def test_two_devices_have_the_same_losses_and_weights_as_one(tmp_path):
    flags = f"{FLAGS} --xla_force_host_platform_device_count=2"
    found = json.loads(_run(backend_losses.__file__, tmp_path, "devices", flags=flags))
    assert found["devices"] == 2
    assert found["losses"] < 1e-5
    assert found["weights"] < 1e-5


def test_a_batch_that_the_devices_cannot_share_is_refused(monkeypatch):
    monkeypatch.setattr(keras.backend, "backend", lambda: "jax")
    monkeypatch.setattr(jax, "local_device_count", lambda: 3)
    with pytest.raises(SettingsError, match=r"multiple of the 3 devices\. Received 8"):
        resolve_hosts(TrainSettings(batch_size=8), ExecutionOptions())


@pytest.mark.slow
def test_the_commands_train_and_predict_with_jax(blob_store, small_phantoms, tmp_path):
    run, masks = tmp_path / "run", tmp_path / "masks"
    options = ["--epochs", 2, "--steps-per-epoch", 5, "--base-filters", 4, "--depth", 2]
    options += ["--no-tune", "--batch-size", 4]
    small_phantoms(tmp_path / "set", 1)
    image = tmp_path / "set" / "imagesTr" / "phantom_000.nii.gz"
    commands = [
        ["train", blob_store.folder, run, *options],
        ["predict", image, "--model", run, "--out", masks],
    ]
    commands = [[str(word) for word in command] for command in commands]
    output = _run("-c", WITHOUT_TENSORFLOW, json.dumps(commands))
    assert "10 steps in" in output
    assert "1 mask written, 0 failed" in output
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
