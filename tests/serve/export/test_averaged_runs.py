"""A cross-validation is exported as one model that averages its runs."""

import importlib.util
import json

import keras
import numpy as np
import pytest

from liverseg_tf.ct.regions import LIVER_REGIONS
from liverseg_tf.model.export_record import ExportRecord
from liverseg_tf.model.spec import NetworkSpec
from liverseg_tf.predict.models.load import load_predictor
from liverseg_tf.serve.export.averaged_runs import AveragedRuns, load_run
from liverseg_tf.serve.export.export_run import ExportSettings, export_run
from liverseg_tf.serve.export.quantize import quantize_weights
from liverseg_tf.tiles.spec import TileSpec
from liverseg_tf.train.network.unet import UNetSpec, build_unet
from liverseg_tf.train.session.run_folder import RunFolder

NETWORK = NetworkSpec(TileSpec(spacing_mm=3.0), LIVER_REGIONS, 1, 4)


@pytest.fixture(scope="module")
def folds(tmp_path_factory):
    """The folder of a cross-validation of three untrained runs, with different weights."""
    folder = tmp_path_factory.mktemp("folds")
    names = ["fold1", "fold2", "fold3"]
    for seed, name in enumerate(names):
        keras.utils.set_random_seed(seed)
        run = RunFolder.create(folder / name)
        split = {"train": ["patient_a"], "val": [], "test": []}
        run.write_record(NETWORK, store={"split": split}, result={})
        model = build_unet(UNetSpec(1, NETWORK.regions.names, base_filters=4, depth=2))
        logits = model.get_layer("logits")
        kernel, bias = logits.get_weights()
        logits.set_weights([kernel * 20, bias])  # probabilities on both sides of 0.5
        run.save_model(model)
    (folder / "crossval.json").write_text(json.dumps({"runs": names}))
    return folder


@pytest.fixture(scope="module")
def exported(folds, tmp_path_factory):
    """The export of the cross-validation: SavedModel, LiteRT and, where it is possible, ONNX."""
    has_onnx = importlib.util.find_spec("tf2onnx") is not None
    settings = ExportSettings("model", 1, litert=("float16",), onnx=has_onnx)
    return export_run(folds, tmp_path_factory.mktemp("averaged"), settings)


def _tiles():
    return np.random.default_rng(0).integers(0, 256, (2, 16, 24, 1)).astype(np.uint8)


def _local(folds):
    return load_predictor([folds / f"fold{number}" for number in (1, 2, 3)], precision="float32")


@pytest.mark.slow
def test_the_saved_model_predicts_what_all_runs_predict_together(folds, exported):
    expected = _local(folds).probabilities(_tiles())
    found = load_predictor([exported.folder]).probabilities(_tiles())
    np.testing.assert_allclose(found, expected, atol=1e-6)
    np.testing.assert_array_equal(found > 0.5, expected > 0.5)
    assert 0 < (found > 0.5).mean() < 1
    record = json.loads((exported.folder / "assets.extra" / "run.json").read_text())
    assert record["averaged_runs"] == 3
    assert "patient_a" not in json.dumps(record)
    assert ExportRecord.read(exported.folder).network == _local(folds).network


def test_int8_weights_are_those_of_each_run(folds):
    tiles = _tiles().astype(np.float32)
    predictor = load_run(folds)
    assert isinstance(predictor, AveragedRuns)
    found = np.asarray(quantize_weights(predictor.model, "int8")(tiles))
    each = [
        np.asarray(quantize_weights(load_run(folds / f"fold{number}").model, "int8")(tiles))
        for number in (1, 2, 3)
    ]
    np.testing.assert_allclose(found, np.mean(each, axis=0), atol=1e-6)


@pytest.mark.slow
def test_litert_and_onnx_predict_the_same(folds, exported):
    pytest.importorskip("tf2onnx")
    pytest.importorskip("onnxruntime")
    expected = _local(folds).probabilities(_tiles())
    for file in exported.files:
        tolerance = 1e-5 if file.suffix == ".onnx" else 0.02  # weights of 16 bits
        found = load_predictor([file]).probabilities(_tiles())
        np.testing.assert_allclose(found, expected, atol=tolerance)
