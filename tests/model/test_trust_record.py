import json

import numpy as np
import pytest

from liverseg_tf.ct.regions import LIVER_REGIONS
from liverseg_tf.errors import LiverSegError
from liverseg_tf.model.trust_record import (
    RegionTrust,
    Reliability,
    TrustRecord,
    calibrate,
    common_trust,
)

BINS = Reliability((10, *[0] * 8, 30), (0.05, *[None] * 8, 0.9), (0.1, *[None] * 8, 0.8))
LIVER = RegionTrust(
    "confidence", "cross-validation", 0.9, good=20, bad=4, flagged_good=2, flagged_bad=3,
    always_present=True, rank_correlation=0.7, temperature=1.5, before=BINS,
)  # fmt: skip
RECORD = TrustRecord({"single": {"liver": LIVER}})


def test_a_record_survives_json():
    value = json.loads(json.dumps(RECORD.to_json()))
    assert TrustRecord.from_json(value) == RECORD
    assert RECORD.digest == TrustRecord.from_json(value).digest
    assert TrustRecord().to_json() == {}
    assert not TrustRecord.from_json({})
    assert TrustRecord().digest == ""


def test_the_calibration_error_is_the_mean_over_the_voxels():
    assert BINS.calibration_error == pytest.approx((10 * 0.05 + 30 * 0.1) / 40)


@pytest.mark.parametrize(
    ("entry", "value"),
    [
        ("threshold", 1.5),
        ("threshold", "0.5"),
        ("score", "<script>"),
        ("source", "a hospital"),
        ("good", -1),
        ("good", 10**30),
        ("flagged_bad", 5),
        ("temperature", 0),
        ("temperature", -2.0),
        ("temperature", 1e300),
        ("rank_correlation", 2),
        ("before", {"counts": [1] * 9, "probability": [0.5] * 9, "frequency": [0.5] * 9}),
        ("before", {"counts": [1] * 10, "probability": [7] * 10, "frequency": [0.5] * 10}),
    ],
)
def test_hostile_values_are_refused_in_one_line(entry, value):
    content = json.loads(json.dumps(RECORD.to_json()))
    content["passes"]["single"]["liver"][entry] = value
    with pytest.raises(LiverSegError) as error:
        TrustRecord.from_json(content)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("value", [[], "x", {"passes": []}, {"passes": {"other": {}}}])
def test_other_types_are_refused(value):
    with pytest.raises(LiverSegError, match="the section trust"):
        TrustRecord.from_json(value)


def test_a_single_pass_has_no_agreement():
    content = json.loads(json.dumps(RECORD.to_json()))
    content["passes"]["single"]["liver"]["score"] = "agreement"
    with pytest.raises(LiverSegError, match="Expected the confidence as the score of a single"):
        TrustRecord.from_json(content)


def test_names_of_other_regions_are_refused():
    with pytest.raises(LiverSegError, match="Expected a region of liver, tumour"):
        TrustRecord({"single": {"spleen": LIVER}}).check(LIVER_REGIONS)


def test_calibration_is_monotone_and_keeps_the_masks():
    values = np.random.default_rng(0).random(2000).astype(np.float32)
    values[:2] = 0, 1
    for temperature in (0.3, 1.0, 2.5, 10.0):
        scaled = calibrate(values, temperature)
        assert scaled.dtype == np.float32
        assert scaled[0] == 0
        assert scaled[1] == 1
        for threshold in (0.3, 0.5, 0.7):
            moved = calibrate(np.array(threshold), temperature)
            np.testing.assert_array_equal(scaled > moved, values > threshold)
    np.testing.assert_allclose(calibrate(values, 1.0), values, atol=1e-6)


def test_several_models_have_what_is_the_same_for_all():
    assert common_trust([RECORD, RECORD]) == RECORD
    assert common_trust([RECORD, TrustRecord()]) == TrustRecord()
