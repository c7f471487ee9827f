import json
import shutil
import zipfile
from pathlib import Path

import keras
import numpy as np
import pytest

from liverseg_tf.errors import LiverSegError, SettingsError
from liverseg_tf.model.postprocessing import PostProcessing
from liverseg_tf.model.run_record import RunRecord, compute_model_checksum
from liverseg_tf.predict.models.load import check_precision, load_predictor
from liverseg_tf.predict.models.run import RunPredictor
from liverseg_tf.train.network.unet import UNetSpec, build_unet


def test_a_run_predicts_what_its_model_predicts(untrained_run):
    predictor = RunPredictor(untrained_run)
    assert predictor.network.context == 3
    tiles = np.random.default_rng(0).integers(0, 256, (2, 24, 16, 3), np.uint8)
    model = keras.saving.load_model(untrained_run / "model.keras")
    np.testing.assert_array_equal(predictor.probabilities(tiles), model.predict_on_batch(tiles))


def test_the_record_holds_the_split(untrained_run):
    assert RunRecord.read(untrained_run).split["test"] == ["c"]


def test_folders_without_a_valid_run_are_refused(tmp_path, untrained_run):
    with pytest.raises(LiverSegError, match=r"Expected a run .* does not exist"):
        RunPredictor(tmp_path / "nowhere")
    with pytest.raises(LiverSegError, match=r"Expected a run .* has no run\.json"):
        RunPredictor(tmp_path)
    record = untrained_run / "run.json"
    value = json.loads(record.read_text())
    for broken in (
        "{",
        "[]",
        json.dumps(value | {"format": 99}),
        json.dumps({"format": 1}),
        json.dumps(value | {"settings": None}),
    ):
        record.write_text(broken)
        with pytest.raises(LiverSegError, match="Expected") as caught:
            RunPredictor(untrained_run)
        assert "\n" not in str(caught.value)


def test_a_missing_or_truncated_model_is_refused(untrained_run):
    model = untrained_run / "model.keras"
    content = model.read_bytes()
    for cut in (content[: len(content) // 2], b"", b"not a model"):
        model.write_bytes(cut)
        with pytest.raises(LiverSegError, match="Expected a Keras model at") as caught:
            RunPredictor(untrained_run)
        assert "Received: a truncated file, or one of another format" in str(caught.value)
    model.unlink()
    with pytest.raises(LiverSegError, match=r"Expected a Keras model .* Received: no such file"):
        RunPredictor(untrained_run)


def test_the_model_of_another_run_is_refused(untrained_run):
    record = untrained_run / "run.json"
    value, checksum = json.loads(record.read_text()), compute_model_checksum(untrained_run)
    record.write_text(json.dumps(value | {"result": {"checksum": checksum}}))
    assert RunPredictor(untrained_run).fingerprint.startswith(checksum)
    record.write_text(json.dumps(value | {"result": {"checksum": "0" * 32}}))
    with pytest.raises(LiverSegError, match=r"model\.keras is not the one .* run\.json describes"):
        RunPredictor(untrained_run)


def test_a_run_that_has_not_finished_warns(untrained_run):
    record = untrained_run / "run.json"
    value = json.loads(record.read_text())
    record.write_text(json.dumps(value | {"result": {}}))
    finished = load_predictor([untrained_run])
    assert finished.warnings == ()
    del value["result"]
    record.write_text(json.dumps(value))
    (line,) = load_predictor([untrained_run] * 2).warnings[:1]
    assert line.startswith(f"The run {untrained_run} has not finished: its model is the best so")
    # masks are predicted again when the run has finished
    assert load_predictor([untrained_run]).fingerprint != finished.fingerprint


def test_a_model_with_other_channels_is_refused(untrained_run):
    build_unet(UNetSpec(1, ("liver",), 4, 3)).save(untrained_run / "model.keras")
    with pytest.raises(LiverSegError, match="Expected a model with 3 input and 2 output channels"):
        RunPredictor(untrained_run)


def test_models_of_other_inputs_and_outputs_are_refused(untrained_run):
    image, vector = keras.Input((None, None, 3)), keras.Input((3,))
    strided = keras.layers.Conv2D(2, 3, strides=2)(image)
    for model in (
        keras.Sequential([keras.layers.Conv2D(2, 1)]),
        keras.Model(vector, keras.layers.Dense(2)(vector)),
        keras.Model(image, keras.layers.GlobalAveragePooling2D()(strided)),
        keras.Model([image, vector], strided),
    ):
        model.save(untrained_run / "model.keras")
        with pytest.raises(LiverSegError, match="Expected a model with 3 input and 2 output"):
            RunPredictor(untrained_run)


def test_weights_that_are_not_finite_are_refused(untrained_run):
    model = keras.saving.load_model(untrained_run / "model.keras")
    weights = model.get_weights()
    weights[-1][0] = np.nan
    model.set_weights(weights)
    model.save(untrained_run / "model.keras")
    with pytest.raises(LiverSegError, match="Expected finite weights"):
        RunPredictor(untrained_run)


def test_code_in_a_model_file_is_not_run(untrained_run, tmp_path):
    inputs = keras.Input((None, None, 3))
    outputs = keras.layers.Lambda(lambda x: x[..., :2])(inputs)
    keras.Model(inputs, outputs).save(untrained_run / "model.keras")
    with pytest.raises(LiverSegError, match="Expected a Keras model"):
        RunPredictor(untrained_run)
    with zipfile.ZipFile(untrained_run / "model.keras") as archive:
        assert "config.json" in archive.namelist()


def test_volumes_of_many_shapes_need_one_trace(untrained_run, monkeypatch):
    predictor = RunPredictor(untrained_run)
    traces = []
    call = type(predictor._model).call
    monkeypatch.setattr(
        type(predictor._model), "call", lambda *a, **k: (traces.append(1), call(*a, **k))[1]
    )
    for count, rows, cols in [(2, 16, 16), (2, 16, 24), (2, 32, 40), (1, 40, 16), (8, 48, 48)]:
        probabilities = predictor.probabilities(np.zeros((count, rows, cols, 3), np.uint8))
        assert probabilities.shape == (count, rows, cols, 2)
    assert len(traces) == 1


def test_another_version_of_a_model_file_is_refused_in_one_line(untrained_run):
    path = untrained_run / "model.keras"
    with zipfile.ZipFile(path) as archive:
        parts = {name: archive.read(name) for name in archive.namelist()}
    config = json.loads(parts["config.json"])
    config["config"]["layers"][1]["class_name"] = "LayerOfTomorrow"
    with zipfile.ZipFile(path, "w") as archive:
        for name, part in (parts | {"config.json": json.dumps(config)}).items():
            archive.writestr(name, part)
    with pytest.raises(LiverSegError, match="Expected a Keras model at") as caught:
        RunPredictor(untrained_run)
    assert "\n" not in str(caught.value)


@pytest.mark.slow
@pytest.mark.parametrize("precision", ["float16", "bfloat16"])
def test_mixed_precision_predicts_about_the_same(untrained_run, precision):
    tiles = np.random.default_rng(0).integers(0, 256, (2, 24, 16, 3), np.uint8)
    full = RunPredictor(untrained_run, "float32").probabilities(tiles)
    mixed = RunPredictor(untrained_run, precision)
    policies = {layer.name: layer.compute_dtype for layer in mixed._model.layers}
    assert policies["down0_conv_a"] == precision
    assert policies["logits"] == policies["probabilities"] == "float32"
    probabilities = mixed.probabilities(tiles)
    assert probabilities.dtype == np.float32
    assert not np.array_equal(probabilities, full)
    np.testing.assert_allclose(probabilities, full, atol=0.02)


def test_a_cpu_predicts_in_bfloat16_only_if_asked_to(untrained_run):
    path = untrained_run / "run.json"
    record = json.loads(path.read_text()) | {"hardware": {"precision": "bfloat16"}}
    path.write_text(json.dumps(record))
    assert RunPredictor(untrained_run).precision == "float32"
    predictor = RunPredictor(untrained_run, "bfloat16")
    assert predictor.precision == "bfloat16"
    assert predictor._model.get_layer("down0_conv_a").compute_dtype == "bfloat16"


def test_half_precision_that_overflows_is_refused(untrained_run):
    predictor = RunPredictor(untrained_run, "float16")
    predictor._predict = lambda tiles: np.full((*tiles.shape[:3], 2), np.nan, np.float32)
    with pytest.raises(LiverSegError, match=r"from the run \S+ in float16\. Received nan to nan"):
        predictor.probabilities(np.zeros((1, 16, 16, 3), np.uint8))


def test_only_runs_have_a_precision():
    check_precision([Path("model.onnx")], None)
    with pytest.raises(SettingsError, match=r"Expected runs .* Received model\.onnx"):
        check_precision([Path("model.onnx")], "float32")
    with pytest.raises(SettingsError, match="Received float8"):
        check_precision([], "float8")


def test_a_run_has_the_postprocessing_of_its_record(untrained_run):
    assert RunRecord.read(untrained_run).postprocessing == PostProcessing()
    path = untrained_run / "run.json"
    record = json.loads(path.read_text())
    path.write_text(json.dumps(record | {"postprocessing": {"largest": ["liver"]}}))
    assert RunPredictor(untrained_run).postprocessing == PostProcessing(largest=("liver",))
    path.write_text(json.dumps(record | {"postprocessing": {"largest": ["lung"]}}))
    with pytest.raises(SettingsError, match="Received 'lung'"):
        RunRecord.read(untrained_run)


@pytest.mark.slow
def test_several_runs_are_averaged_and_have_distinct_fingerprints(untrained_run, tmp_path):
    other = shutil.copytree(untrained_run, tmp_path / "other")
    model = build_unet(UNetSpec(3, ("liver", "tumour"), 2, 2))
    model.save(other / "model.keras")
    tiles = np.random.default_rng(0).integers(0, 256, (2, 24, 16, 3), np.uint8)
    one, two = RunPredictor(untrained_run), RunPredictor(other)
    both = load_predictor([untrained_run, other])
    mean = (one.probabilities(tiles) + two.probabilities(tiles)) / 2
    np.testing.assert_allclose(both.probabilities(tiles), mean, atol=1e-6)
    path = untrained_run / "run.json"
    with pytest.raises(SettingsError, match="Expected a run that was trained with --mirror"):
        load_predictor([untrained_run], mirror=True)
    path.write_text(json.dumps(json.loads(path.read_text()) | {"settings": {"mirror": True}}))
    mirrored = load_predictor([untrained_run], mirror=True)
    assert len({p.fingerprint for p in (one, two, both, mirrored)}) == 4
    assert RunPredictor(untrained_run).fingerprint == one.fingerprint
