import time

import pytest

from liverseg_tf.train.session.budget import ClockBudget, StepBudget, learning_rate


def test_steps_are_counted_and_every_epoch_is_validated_whole():
    budget = StepBudget(200)
    assert budget.progress(50, reserved=10) == 0.25
    assert budget.progress(300, reserved=10) == 1
    assert budget.may_validate(spent=1e9, cost=1e9)
    assert budget.thinning(1e9) == 1


def test_the_clock_keeps_time_for_the_last_validation():
    budget = ClockBudget(100, started=time.monotonic() - 45)
    assert budget.progress(0, reserved=10) == pytest.approx(0.5, abs=0.01)
    assert budget.progress(0, reserved=60) == 1
    assert budget.progress(0, reserved=1e9) == 1


def test_the_clock_limits_validation_to_its_share():
    budget = ClockBudget(100, started=time.monotonic() - 50, validation=0.2)
    assert budget.may_validate(spent=4, cost=5)
    assert not budget.may_validate(spent=6, cost=5)
    assert budget.thinning(5) == 1
    assert budget.thinning(95) == 5


def test_the_rate_warms_up_and_falls_to_nearly_nothing():
    rates = [learning_rate(1.0, step / 1000) for step in range(1001)]
    top = rates.index(max(rates))
    assert 20 < top < 40
    assert max(rates) == pytest.approx(1, rel=0.01)
    assert all(
        later <= earlier for earlier, later in zip(rates[top:], rates[top + 1 :], strict=False)
    )
    assert 0 < rates[-1] < 0.002
    assert rates[0] > 0
