import json
import zipfile

import keras
import numpy as np
import pytest

from liverseg_tf.errors import LiverSegError
from liverseg_tf.predict.run import RunPredictor, RunRecord
from liverseg_tf.train.unet import UNetSpec, build_unet


def test_a_run_predicts_what_its_model_predicts(untrained_run):
    predictor = RunPredictor(untrained_run)
    assert predictor.network.context == 3
    tiles = np.random.default_rng(0).integers(0, 256, (2, 24, 16, 3), np.uint8)
    model = keras.saving.load_model(untrained_run / "model.keras")
    np.testing.assert_array_equal(predictor.probabilities(tiles), model.predict_on_batch(tiles))


def test_its_record_tells_the_split(untrained_run):
    assert RunRecord.read(untrained_run).split["test"] == ["c"]


def test_what_is_no_run_is_refused(tmp_path, untrained_run):
    with pytest.raises(LiverSegError, match=r"Expected a run .* Received no such folder"):
        RunPredictor(tmp_path / "nowhere")
    with pytest.raises(LiverSegError, match="Received a folder without one"):
        RunPredictor(tmp_path)
    record = untrained_run / "run.json"
    value = json.loads(record.read_text())
    for broken in ("{", "[]", json.dumps(value | {"format": 99}), json.dumps({"format": 1})):
        record.write_text(broken)
        with pytest.raises(LiverSegError, match="Expected") as caught:
            RunPredictor(untrained_run)
        assert "\n" not in str(caught.value)


def test_a_missing_or_truncated_model_is_refused(untrained_run):
    model = untrained_run / "model.keras"
    whole = model.read_bytes()
    for cut in (whole[: len(whole) // 2], b"", b"not a model"):
        model.write_bytes(cut)
        with pytest.raises(LiverSegError, match="Expected a Keras model at") as caught:
            RunPredictor(untrained_run)
        assert "\n" not in str(caught.value)
    model.unlink()
    with pytest.raises(LiverSegError, match="Received: no such file"):
        RunPredictor(untrained_run)


def test_a_model_of_other_channels_is_refused(untrained_run):
    build_unet(UNetSpec(1, ("liver",), 4, 3)).save(untrained_run / "model.keras")
    with pytest.raises(LiverSegError, match=r"Expected a model of 3 input channels and 2 regions"):
        RunPredictor(untrained_run)


def test_code_in_a_model_file_is_not_run(untrained_run, tmp_path):
    inputs = keras.Input((None, None, 3))
    outputs = keras.layers.Lambda(lambda x: x[..., :2])(inputs)
    keras.Model(inputs, outputs).save(untrained_run / "model.keras")
    with pytest.raises(LiverSegError, match="Expected a Keras model"):
        RunPredictor(untrained_run)
    with zipfile.ZipFile(untrained_run / "model.keras") as archive:
        assert "config.json" in archive.namelist()
