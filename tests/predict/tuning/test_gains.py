import numpy as np
import pytest

from liverseg_tf.bootstrap import bootstrap_interval
from liverseg_tf.predict.tuning.gains import Gain, paired_gains

NAN = float("nan")


def test_a_gain_has_the_seeded_interval_of_its_mean():
    gains = [0.01, 0.02, -0.005, NAN, 0.0, 0.03]
    gain = Gain.of(gains)
    assert (gain.cases, gain.mean, gain.lowest) == (5, pytest.approx(0.011), -0.005)
    assert (gain.low, gain.high) == bootstrap_interval(gains) == bootstrap_interval(gains)
    assert str(gain) == f"0.0110 (95 % interval {gain.low:.4f} to {gain.high:.4f}, 5 cases)"
    assert np.isnan([*vars(Gain.of([NAN])).values()][1:]).all()


@pytest.mark.parametrize(
    ("gains", "certain"),
    [
        ([], False),
        ([0.5], False),  # one case is never enough
        ([0.02, 0.002], True),
        ([0.009, 0.009], False),  # too small
        ([0.1, 0.1, 0.1, 0.0], False),  # not in every case
        ([0.1, 0.1, 0.1, NAN, -0.001], False),
        ([0.002] * 5, True),
        ([0.002, 0.003, 0.001, 0.002, 0.004, -0.0001], True),
        ([0.1, 0, 0, 0, 0, 0], False),  # a single patient
        ([0.01, 0.01, 0.01, 0.01, -0.05], False),
    ],
)
def test_few_cases_need_a_gain_beyond_doubt_and_more_an_interval_above_zero(gains, certain):
    assert Gain.of(gains).is_certain is certain


def test_an_empty_region_counts_as_found_where_it_is_empty_on_one_side():
    before = np.array([[0.5, NAN], [0.0, NAN], [NAN, 0.75]])
    after = np.array([[0.75, NAN], [NAN, 0.0], [NAN, 0.5]])
    expected = [[0.25, NAN], [1.0, -1.0], [NAN, -0.25]]
    np.testing.assert_array_equal(paired_gains(before, after), expected)
