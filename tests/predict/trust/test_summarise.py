import numpy as np
import pytest

from liverseg_tf.predict.trust.measure_cases import MeasuredRegion
from liverseg_tf.predict.trust.summarise import TrustSettings, summarise
from liverseg_tf.predict.trust.temperature import LOGIT_BINS

COUNTS = np.zeros((2, LOGIT_BINS), np.int64)


def _cases(values, present=True):
    """Cases of pairs of score and Dice."""
    return [
        MeasuredRegion("liver", "confidence", value, dice, present, COUNTS, f"case_{number}")
        for number, (value, dice) in enumerate(values)
    ]


GOOD = [(0.9 + 0.005 * number, 0.95) for number in range(19)]


def _summarise(values, present=True, **settings):
    return summarise(_cases(values, present), 0.5, "cross-validation", TrustSettings(**settings))


def test_bad_masks_below_the_threshold_are_found():
    bad = [(0.5, 0.3), (0.7, 0.6), (0.8, 0.84), (0.93, 0.7), (0.6, 0.1)]
    trust, notes = _summarise([*GOOD, *bad])
    assert trust.threshold == 0.905  # below it lies 1 of 19 good masks, of a new one 2 / 20
    assert (trust.good, trust.bad, trust.flagged_good, trust.flagged_bad) == (19, 5, 1, 4)
    assert trust.always_present
    assert not any("sensitivity" in note for note in notes)
    assert any(note.startswith("no temperature") for note in notes)


def test_too_few_bad_masks_are_said_to_show_little():
    trust, notes = _summarise([*GOOD, (0.5, 0.3), (0.99, 0.3)])
    assert trust.flagged_bad == 1
    assert (
        "only 2 masks with a Dice below 0.85: the sensitivity may be anything from 1% to 99%."
        in (notes)
    )
    _, notes = _summarise(GOOD)
    assert (
        "no mask with a Dice below 0.85: whether the score finds such masks is not known." in notes
    )


def test_few_good_masks_cannot_show_the_rate_or_have_no_threshold():
    trust, notes = _summarise(GOOD[:6])
    assert trust.threshold == 0.9
    assert "6 good masks cannot show a false-alarm rate of 10%" in notes[0]
    assert "at most 14%" in notes[0]
    trust, notes = _summarise([*GOOD[:4], (0.2, 0.1), (None, 0)])
    assert trust.threshold is None
    assert (trust.flagged_good, trust.flagged_bad, trust.bad) == (0, 0, 2)
    assert notes[0] == (
        "no threshold: it needs 5 masks with a Dice of at least 0.85, and there are 4."
    )


def test_empty_masks_are_flagged_if_every_case_has_the_region():
    values = [*GOOD, (None, 0.0)]
    trust, _ = _summarise(values)
    assert (trust.bad, trust.flagged_bad) == (1, 1)
    trust, notes = summarise(
        [*_cases(values), *_cases([(None, float("nan"))], present=False)],
        0.5,
        "test",
        TrustSettings(),
    )
    assert (trust.bad, trust.always_present) == (0, False)
    assert any("1 mask with a Dice below 0.85 is empty" in note for note in notes)


def test_the_dice_of_a_region_can_be_another():
    trust, _ = _summarise(GOOD, min_dice_of={"liver": 0.96})
    assert (trust.good, trust.bad, trust.threshold, trust.min_dice) == (0, 19, None, 0.96)
    trust, _ = _summarise(GOOD, false_alarm_rate=0.3)
    assert trust.threshold == pytest.approx(0.925)
