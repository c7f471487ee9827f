import dataclasses
import math

from liverseg_tf.train.session.notes import advise_on_missed_regions
from liverseg_tf.train.settings import TrainSettings

ROWS = [
    {"dice_liver": 0.8, "dice_tumour": 0.0},
    {"loss": 0.5},  # an epoch without validation
    {"dice_liver": 0.0, "dice_tumour": math.nan},
]


def test_a_region_that_stayed_at_zero_gets_advice_once():
    (advice,) = advise_on_missed_regions(ROWS, (), TrainSettings())
    assert advice.startswith("The Dice of tumour stayed at 0. Next: train longer (--minutes), ")
    assert "--foreground-fraction 0.67 or liverseg --preset fast train" in advice


def test_what_was_done_is_not_proposed():
    settings = dataclasses.replace(TrainSettings(), patch=2, foreground_fraction=0.67)
    (advice,) = advise_on_missed_regions(ROWS, (), settings)
    assert advice == "The Dice of tumour stayed at 0. Next: train longer (--minutes)."


def test_regions_that_are_found_unknown_or_absent_get_none():
    settings = TrainSettings()
    assert advise_on_missed_regions(ROWS, ("tumour",), settings) == []
    assert advise_on_missed_regions([{"dice_tumour": math.nan}], (), settings) == []
    assert advise_on_missed_regions([*ROWS, {"dice_tumour": 0.01}], (), settings) == []
