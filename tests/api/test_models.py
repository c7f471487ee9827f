import json
import shutil

import keras
import pytest

import liverseg_tf as ls
from liverseg_tf.errors import LiverSegError
from liverseg_tf.train.session.run_folder import RunFolder


class Scaled(keras.layers.Layer):
    """A layer of the caller's."""

    def call(self, inputs):
        return inputs / 2


@pytest.fixture
def own_run(facade_folder, tmp_path):
    """A run whose model has a layer of the caller's."""
    run = shutil.copytree(facade_folder / "run", tmp_path / "own")
    inputs = keras.Input((None, None, 1))
    outputs = keras.layers.Conv2D(2, 1, activation="sigmoid")(Scaled()(inputs))
    RunFolder(run).save_model(keras.Model(inputs, outputs))
    record = json.loads((run / "run.json").read_text())
    record["custom"] = {"model": {"import_path": "somewhere.Net\x1b", "source_hash": "0" * 32}}
    (run / "run.json").write_text(json.dumps(record))
    return run


def test_a_model_with_own_layers_needs_them_from_the_caller(own_run):
    with pytest.raises(
        LiverSegError, match=r"needs .*Scaled, part of somewhere\.Net\\x1b"
    ) as error:
        ls.load_model(own_run)
    assert "\n" not in str(error.value)
    assert "custom_objects" in str(error.value)
    predictor = ls.load_model(own_run, custom_objects={"Scaled": Scaled})
    assert any(isinstance(layer, Scaled) for layer in predictor.model.layers)


def test_an_unfinished_run_names_the_code_that_finishes_it(own_run):
    record = json.loads((own_run / "run.json").read_text())
    del record["result"]
    (own_run / "run.json").write_text(json.dumps(record))
    with pytest.warns(UserWarning, match=r"Only Python can finish it.* model somewhere\.Net"):
        ls.load_model(own_run, custom_objects={"Scaled": Scaled})
    with pytest.raises(LiverSegError, match="a finished run"):
        ls.export_model(own_run, own_run.parent / "models")


def test_several_runs_are_averaged(facade_folder):
    run = facade_folder / "run"
    assert ls.load_model([run, run]).network == ls.load_model(run).network
