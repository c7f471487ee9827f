"""Masks that must be checked, and calibrated probabilities, in the outputs of a prediction."""

import csv
import json
from dataclasses import replace

import numpy as np
import pytest

from liverseg_tf.ct.nifti import read_labels, read_volume, write_volume
from liverseg_tf.ct.regions import Regions
from liverseg_tf.ct.volume import Volume
from liverseg_tf.dataset.provenance import MaskRecords
from liverseg_tf.errors import SettingsError
from liverseg_tf.model.postprocessing import PostProcessing
from liverseg_tf.model.spec import NetworkSpec
from liverseg_tf.model.training_range import RegionRange, TrainingRange
from liverseg_tf.model.trust_record import RegionTrust, TrustRecord, calibrate
from liverseg_tf.predict.batch.predict_cases import predict_cases
from liverseg_tf.predict.batch.prediction_job import PredictionJob
from liverseg_tf.predict.outputs.case_outputs import OutputFormats
from liverseg_tf.predict.outputs.measurement_table import (
    describe_volumes,
    write_measurement_table,
)
from liverseg_tf.tiles.spec import TileSpec

LIVER = RegionTrust(
    "confidence", "cross-validation", 0.85, good=20, bad=4, flagged_good=2, flagged_bad=3,
    mask_threshold=0.4, temperature=2.0,
)  # fmt: skip


class Greys:
    """Predicts the grey value as the probability."""

    def __init__(self, trust=TrustRecord({"single": {"liver": LIVER}})):  # noqa: B008
        tiles = TileSpec(spacing_mm=None, tile_shape=(256, 256))
        self.network = NetworkSpec(tiles, Regions({"liver": (1,), "vein": (2,)}), 1, 16)
        self.postprocessing = PostProcessing(threshold=(("liver", 0.4), ("vein", 0.99)))
        self.fingerprint = "greys"
        self.trust = trust

    def probabilities(self, tiles):
        values = tiles[..., :1].astype(np.float32) / 255
        return np.concatenate([values, values], axis=-1)


@pytest.fixture
def images(tmp_path):
    """A clear and a blurred liver."""
    found = {}
    for name, (inside, around) in {"clear": (180, -230), "vague": (40, -90)}.items():
        array = np.full((4, 20, 20), -600, np.int16)
        array[1:3, 3:17, 3:17] = around
        array[1:3, 5:12, 5:12] = inside
        array += np.random.default_rng(0).integers(0, 60, array.shape, np.int16)
        found[name] = tmp_path / f"{name}.nii.gz"
        write_volume(found[name], Volume(array, np.diag([-1.0, -1.0, 3.0, 1.0])))
    return found


def _predict(tmp_path, images, model, **settings):
    result = predict_cases(images, model, PredictionJob(tmp_path / "out", **settings))
    assert not result.failures
    return result


def test_a_mask_below_the_threshold_is_named_wherever_results_are(tmp_path, images):
    outputs = OutputFormats(("nifti",), measure=True)
    result = _predict(tmp_path, images, Greys(), outputs=outputs)
    assert set(result.warnings) == {"vague"}
    (line,) = result.warnings["vague"]
    assert line.startswith("liver: confidence 0.")
    assert "below 0.850: check this mask" in line
    measured = {name: json.loads((tmp_path / f"out/{name}.json").read_text()) for name in images}
    vague, clear = (measured[name]["regions"]["liver"] for name in ("vague", "clear"))
    assert (vague["check"], vague["score"], vague["threshold"]) == (True, "confidence", 0.85)
    assert clear["check"] is False
    assert vague["confidence"] < 0.85 < clear["confidence"]
    assert measured["vague"]["warnings"] == [line]
    assert "check" not in measured["vague"]["regions"]["vein"]
    with open(write_measurement_table(tmp_path / "out"), newline="") as stream:
        rows = {(row["case"], row["region"]): row for row in csv.DictReader(stream)}
    assert [rows[name, "liver"]["check"] for name in images] == ["no", "yes"]
    assert rows["vague", "liver"]["threshold"] == "0.85"
    assert (rows["vague", "vein"]["check"], rows["vague", "vein"]["score"]) == ("", "")
    assert describe_volumes(tmp_path / "out", "vague").startswith("liver 0.3 ml (check this mask)")
    (check,) = MaskRecords(tmp_path / "out").read("vague").checks
    assert check.flagged
    assert check.line in line


def test_masks_are_judged_again_when_the_model_knows_more(tmp_path, images):
    first = _predict(tmp_path, images, Greys(TrustRecord()))
    assert first.warnings == {}
    again = _predict(tmp_path, images, Greys())
    assert again.written == ["clear", "vague"]
    assert set(again.warnings) == {"vague"}
    kept = _predict(tmp_path, images, Greys())
    assert kept.kept == ["clear", "vague"]
    assert kept.warnings == again.warnings


def test_a_case_unlike_the_training_is_named_wherever_results_are(tmp_path, images):
    known = TrainingRange(
        20, (3.0, 5.0), (0.4, 0.4), {"liver": RegionRange(20, 20, 0, (900, 2000))}
    )
    model, old = Greys(TrustRecord()), Greys(TrustRecord())
    assert _predict(tmp_path, images, old).warnings == {}
    model.training_range = known
    outputs = OutputFormats(("nifti",), measure=True)
    result = _predict(tmp_path, images, model, outputs=outputs)
    assert result.written == ["clear", "vague"]  # they had not been compared
    spacing, body = result.warnings["clear"]
    assert spacing.startswith("pixel size of 1 mm, far from that of the training cases (0.4 mm)")
    assert body.startswith("Does the image show the part of the body that the model knows?")
    measured = json.loads((tmp_path / "out/clear.json").read_text())
    assert measured["warnings"] == [spacing, body]
    record = MaskRecords(tmp_path / "out").read("clear")
    assert record.warnings == record.unlike == (spacing, body)
    assert record.regions == {"liver": [1], "vein": [2]}
    kept = _predict(tmp_path, images, model, outputs=outputs)
    assert kept.kept == ["clear", "vague"]
    assert kept.warnings == result.warnings


def test_calibrated_probabilities_leave_the_masks_as_they_are(tmp_path, images):
    steps = {"overrides": PostProcessing(min_mean_probability=(("liver", 0.55),))}
    masks, values = {}, {}
    for kind in ("probabilities", "calibrated"):
        result = _predict(tmp_path, images, Greys(), force=True, **{kind: True}, **steps)
        masks[kind] = read_labels(tmp_path / "out/vague.nii.gz").array
        path = tmp_path / "out/probabilities/liver/vague.nii.gz"
        values[kind] = read_volume(path).array
    assert (
        "The probabilities are calibrated (liver: temperature 2, the mask is above 0.449"
        in (result.warnings["clear"][0])
    )
    assert masks["probabilities"].any()
    np.testing.assert_array_equal(masks["probabilities"], masks["calibrated"])
    inside = values["probabilities"] > 0.05
    expected = calibrate(values["probabilities"][inside], 2.0)
    np.testing.assert_allclose(values["calibrated"][inside], expected, atol=0.01)
    moved = calibrate(np.array(0.4), 2.0)
    raw = values["probabilities"]
    clear = np.abs(raw - 0.4) > 0.01
    np.testing.assert_array_equal((raw > 0.4)[clear], (values["calibrated"] > moved)[clear])


def test_a_model_without_a_temperature_has_no_calibrated_probabilities(tmp_path, images):
    cold = TrustRecord({"single": {"liver": replace(LIVER, temperature=None)}})
    for trust in (TrustRecord(), cold):
        with pytest.raises(SettingsError, match="Expected a model with a temperature"):
            _predict(tmp_path, images, Greys(trust), calibrated=True)
    assert not list((tmp_path / "out").glob("*.nii.gz"))
