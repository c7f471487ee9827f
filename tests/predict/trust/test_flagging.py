import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from liverseg_tf.predict.trust.flagging import (
    area_under_risk_coverage,
    choose_threshold,
    exact_interval,
    rank_correlation,
    reached_rate,
    risk_coverage,
)


@pytest.mark.parametrize(("n", "rate"), [(9, 0.1), (24, 0.1), (30, 0.05), (7, 0.1), (40, 0.25)])
def test_the_rate_of_false_alarms_holds_for_new_cases(n, rate):
    """Whatever the distribution of the scores: here, of squared normal values."""
    draws = np.random.default_rng(0).normal(size=(4000, n + 1)) ** 2
    alarms = [draw[-1] < choose_threshold(draw[:-1], rate) for draw in draws]
    expected = reached_rate(n, rate)
    assert np.mean(alarms) <= expected + 3 * np.sqrt(expected / 4000)
    # and no more than one case is given away
    assert np.mean(alarms) >= expected - 1 / (n + 1) - 3 * np.sqrt(expected / 4000)


def test_the_threshold_is_a_score_of_which_few_are_below():
    scores = np.arange(19) / 20
    assert choose_threshold(scores, 0.1) == scores[1]  # 2 / 20
    assert choose_threshold(scores, 0.01) == scores[0]
    assert choose_threshold(scores[:4], 0.5) is None
    assert choose_threshold([0.9] * 10, 0.3) == 0.9  # and no score is below it


@pytest.mark.parametrize(("found", "total"), [(0, 4), (4, 4), (3, 4), (17, 30)])
def test_the_interval_is_that_of_clopper_and_pearson(found, total):
    low = stats.beta.ppf(0.025, found, total - found + 1) if found else 0
    high = stats.beta.ppf(0.975, found + 1, total - found) if found < total else 1
    assert exact_interval(found, total) == pytest.approx((low, high))
    if found in (0, total):  # the closed form
        assert exact_interval(found, total)[0 if found else 1] == pytest.approx(
            0.025 ** (1 / total) if found else 1 - 0.025 ** (1 / total)
        )


def test_nothing_is_known_without_trials():
    assert exact_interval(0, 0) == (0, 1)


CASES = st.lists(st.tuples(st.sampled_from([0.1, 0.5, 0.7, 0.9]), st.floats(0, 1)), min_size=1)


@given(CASES)
def test_the_risk_is_that_of_the_kept_masks(cases):
    scores, dice = map(np.array, zip(*cases, strict=True))
    coverage, risk = risk_coverage(scores, dice)
    assert coverage[-1] == 1
    assert risk[-1] == pytest.approx(1 - dice.mean())
    for threshold in set(scores):  # where no tie is cut, by brute force
        kept = scores >= threshold
        assert risk[kept.sum() - 1] == pytest.approx(1 - dice[kept].mean())


def test_a_perfect_score_has_the_smallest_area_and_a_constant_one_the_mean_risk():
    dice = np.random.default_rng(0).random(50)
    perfect, useless, wrong = (
        area_under_risk_coverage(scores, dice) for scores in (dice, np.ones(50), -dice)
    )
    assert useless == pytest.approx(1 - dice.mean())
    assert perfect < useless < wrong


def test_spearman():
    assert rank_correlation([1, 2, 3, 4], [0.1, 0.2, 0.4, 0.3]) == pytest.approx(0.8)
    assert rank_correlation([1, 1, 1], [0.1, 0.2, 0.3]) is None
    assert rank_correlation([1, 2], [0.1, 0.2]) is None
