from dataclasses import replace

import numpy as np
import pytest

from liverseg_tf.ct.regions import LIVER_REGIONS
from liverseg_tf.ct.volume import Volume
from liverseg_tf.model.region_masks import RegionMasks
from liverseg_tf.model.trust_record import RegionTrust, TrustRecord
from liverseg_tf.predict.models.ensemble import Ensemble, MirroredPredictor
from liverseg_tf.predict.trust.judge import judge_masks

SINGLE = RegionTrust("confidence", "test", 0.9, good=20, bad=4, flagged_good=2, flagged_bad=3)
MIRRORED = replace(SINGLE, score="agreement", threshold=0.8)
RECORD = TrustRecord({"single": {"liver": SINGLE}, "mirrored": {"liver": MIRRORED}})


@pytest.fixture
def model(bright_is_liver):
    model = bright_is_liver()
    model.trust = RECORD
    return model


def _judge(model, confidence, agreement=None, thresholds=(0.5, 0.5), only=()):
    masks = RegionMasks.empty(Volume(np.zeros((1, 2, 2)), np.eye(4)), LIVER_REGIONS)
    scores = {"confidence": {"liver": confidence}, "agreement": {"liver": agreement}}
    return judge_masks(replace(masks, **scores), model, thresholds, only)


def test_a_mask_below_the_threshold_is_flagged_in_one_line(model):
    judged = _judge(model, 0.71)
    assert judged.warnings == (
        "liver: confidence 0.710 below 0.900: check this mask (when this was measured, it found 3 "
        "of 4 masks with a Dice below 0.85, with 2 false alarms among 20 others)",
    )
    (check,) = judged.checks
    assert (check.region, check.score, check.value, check.flagged) == (
        *("liver", "confidence", 0.71, True),
    )
    (check,) = _judge(model, 0.9).checks
    assert not check.flagged
    assert _judge(model, 0.9).warnings == ()


def test_the_score_is_that_of_the_passes(model):
    assert _judge(MirroredPredictor(model), 0.1, 0.85).warnings == ()
    assert "agreement 0.750 below 0.800" in _judge(MirroredPredictor(model), 0.99, 0.75).warnings[0]
    # the agreement of an ensemble was not measured: it is not that of mirrored passes
    ensemble = Ensemble([model, model])
    assert _judge(ensemble, 0.95, 0.1).warnings == ()
    assert "confidence" in _judge(ensemble, 0.8, 1.0).warnings[0]
    assert "confidence" in _judge(MirroredPredictor(ensemble), 0.8, 1.0).warnings[0]


def test_models_of_which_different_things_are_known_are_not_judged(model, bright_is_liver):
    ensemble = Ensemble([model, bright_is_liver()])
    assert _judge(ensemble, 0.1, 0.1).checks == ()
    assert ensemble.warnings == (
        "No mask is judged, since the models differ in what `liverseg trust` measured for them: "
        "measure the cross-validation to which they belong again.",
    )
    assert Ensemble([model, model]).warnings == Ensemble([bright_is_liver()] * 2).warnings == ()
    assert _judge(bright_is_liver(), 0.1).checks == ()


def test_an_empty_mask_is_flagged_if_every_case_had_the_region(model):
    assert _judge(model, None).checks == ()
    present = replace(SINGLE, always_present=True)
    model.trust = TrustRecord({"single": {"liver": present}})
    judged = _judge(model, None)
    assert judged.checks[0].flagged
    assert judged.warnings[0].startswith("liver: nothing was found, although every case")


def test_masks_of_another_threshold_are_not_compared(model):
    judged = _judge(model, 0.1, thresholds=(0.3, 0.5))
    assert judged.checks == ()
    assert "its mask was not judged, since its threshold is 0.3" in judged.warnings[0]


def test_only_the_written_regions_are_judged(model):
    assert _judge(model, 0.1, only=("tumour",)).warnings == ()


def test_without_bad_masks_nothing_is_claimed(model):
    few = replace(SINGLE, bad=0, flagged_bad=0)
    model.trust = TrustRecord({"single": {"liver": few}})
    assert (
        _judge(model, 0.1)
        .warnings[0]
        .endswith("(measured on 20 masks, none of them with a Dice below 0.85)")
    )
