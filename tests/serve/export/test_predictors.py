"""Exports predict the same as their run, and invalid exports are refused."""

import json
from dataclasses import replace

import numpy as np
import pytest

from liverseg_tf.dataset.cases import find_cases
from liverseg_tf.dataset.split import SplitRule
from liverseg_tf.errors import LiverSegError, SettingsError
from liverseg_tf.model.export_record import compute_checksum, latest_version, record_path
from liverseg_tf.model.postprocessing import PostProcessing
from liverseg_tf.model.run_record import read_record
from liverseg_tf.predict.models.ensemble import Ensemble
from liverseg_tf.predict.models.load import load_predictor
from liverseg_tf.predict.models.run import RunPredictor
from liverseg_tf.serve.export.convert import calibration_tiles, to_litert
from liverseg_tf.serve.export.quantize import quantize_weights
from liverseg_tf.tiles.preprocess import PreprocessJob, preprocess
from liverseg_tf.tiles.store import TileStore

FILES = {"saved model": "liver", "litert": "liver-1-float16.tflite", "onnx": "liver-1.onnx"}
TOLERANCES = {"saved model": 1e-5, "litert": 5e-3, "onnx": 1e-4}


def _tiles(shape, seed=0):
    return np.random.default_rng(seed).integers(0, 256, shape, np.uint8)


@pytest.mark.parametrize("kind", FILES)
def test_an_export_predicts_the_same_as_its_run(liver_exports, kind):
    run, exported = liver_exports
    path = exported.parents[1] / FILES[kind]
    predictor, local = load_predictor([path]), RunPredictor(run, "float32")
    assert predictor.network == local.network
    assert predictor.postprocessing == PostProcessing(largest=("liver",))
    for shape in ((2, 16, 24, 1), (3, 32, 16, 1), (2, 16, 24, 1)):
        tiles = _tiles(shape, shape[0])
        probabilities = predictor.probabilities(tiles)
        assert probabilities.dtype == np.float32
        np.testing.assert_allclose(probabilities, local.probabilities(tiles), atol=TOLERANCES[kind])


def test_exports_and_runs_can_be_averaged_and_have_distinct_fingerprints(liver_exports):
    run, exported = liver_exports
    out = exported.parents[1]
    paths = [run, *(out / name for name in FILES.values())]
    predictor = load_predictor(paths)
    assert isinstance(predictor, Ensemble)
    assert len(set(predictor.fingerprint.split("+"))) == 4
    assert read_record(out / "liver").path == exported
    with pytest.raises(SettingsError, match="does not know the split"):
        read_record(out / "liver").split  # noqa: B018


@pytest.mark.parametrize("kind", FILES)
def test_modified_files_are_refused(liver_copy, kind):
    path = liver_copy / FILES[kind]
    model = path / "1" / "variables" / "variables.data-00000-of-00001" if path.is_dir() else path
    content = model.read_bytes()
    for broken in (content[: len(content) // 2], b"", content[:-1] + b"?"):
        model.write_bytes(broken)
        with pytest.raises(LiverSegError, match="as it was exported") as caught:
            load_predictor([path])
        assert "\n" not in str(caught.value)
    model.write_bytes(content)
    record = record_path(latest_version(path))
    value = json.loads(record.read_text())
    for other in (
        {"export": value["export"] | {"format": 99}},
        {"export": value["export"] | {"kind": "pickle"}},
        {"network": {}},
        {"export": {}},
    ):
        record.write_text(json.dumps(value | other))
        with pytest.raises(LiverSegError, match="Expected") as caught:
            load_predictor([path])
        assert "\n" not in str(caught.value)
    record.write_text("{")
    with pytest.raises(LiverSegError, match="Expected a JSON record"):
        load_predictor([path])
    record.unlink()
    with pytest.raises(LiverSegError, match="but there is no such file"):
        load_predictor([path])


@pytest.mark.parametrize("kind", FILES)
def test_a_foreign_file_is_refused_even_if_its_checksum_matches(liver_copy, kind):
    path = latest_version(liver_copy / FILES[kind])
    (path / "saved_model.pb" if path.is_dir() else path).write_bytes(b"another program's file")
    record = record_path(path)
    value = json.loads(record.read_text())
    value["export"]["digest"] = compute_checksum(path)
    record.write_text(json.dumps(value))
    with pytest.raises(LiverSegError, match="Expected a") as caught:
        load_predictor([path])
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("kind", FILES)
def test_a_model_of_other_channels_is_refused(liver_copy, kind):
    path = latest_version(liver_copy / FILES[kind])
    record = record_path(path)
    value = json.loads(record.read_text())
    value["network"]["context"] = 3
    record.write_text(json.dumps(value))
    with pytest.raises(LiverSegError, match="Expected a model with 3 input"):
        load_predictor([path])


@pytest.mark.parametrize(("weights", "atol"), [("float16", 5e-3), ("int8", 0.1)])
def test_quantized_weights_predict_about_the_same(liver_exports, weights, atol):
    local = RunPredictor(liver_exports[0], "float32")
    tiles = _tiles((2, 16, 16, 1))
    probabilities = np.asarray(quantize_weights(local.model, weights)(tiles.astype(np.float32)))
    assert not np.array_equal(probabilities, local.probabilities(tiles))
    np.testing.assert_allclose(probabilities, local.probabilities(tiles), atol=atol)


@pytest.mark.slow
def test_int8_is_calibrated_with_the_tiles_of_a_store(liver_exports, tmp_path, make_dataset):
    cases = find_cases(make_dataset(tmp_path / "set", shape=(6, 40, 44)))
    local = RunPredictor(liver_exports[0], "float32")
    store = TileStore(tmp_path / "store", local.network.tiles)
    preprocess(PreprocessJob(cases, SplitRule(validation=0.3, test=0)), store)
    tiles = list(calibration_tiles(store.folder, local.network))
    assert len(tiles) == 64
    assert tiles[0].shape == (1, 256, 256, 1)
    assert to_litert(local.model, iter(tiles[:2]))[4:8] == b"TFL3"
    other = replace(local.network, tiles=replace(local.network.tiles, spacing_mm=1.0))
    with pytest.raises(LiverSegError, match="Expected a store of the network's tiles"):
        next(calibration_tiles(store.folder, other))
