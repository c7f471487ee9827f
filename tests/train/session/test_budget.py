import time

import pytest

from liverseg_tf.train.session.budget import ClockBudget, StepBudget, learning_rate


def test_a_step_budget_validates_every_epoch_on_all_slices():
    budget = StepBudget(200)
    assert budget.completed_fraction(50, reserved_seconds=10) == 0.25
    assert budget.completed_fraction(300, reserved_seconds=10) == 1
    assert budget.may_validate(spent_seconds=1e9, cost_seconds=1e9)
    assert budget.validation_subsampling(1e9) == 1


def test_a_clock_budget_reserves_time_for_the_last_validation():
    budget = ClockBudget(100, started=time.monotonic() - 45)
    assert budget.completed_fraction(0, reserved_seconds=10) == pytest.approx(0.5, abs=0.01)
    assert budget.completed_fraction(0, reserved_seconds=60) == 1
    assert budget.completed_fraction(0, reserved_seconds=1e9) == 1


def test_a_clock_budget_limits_the_time_of_validation():
    budget = ClockBudget(100, started=time.monotonic() - 50, validation_fraction=0.2)
    assert budget.may_validate(spent_seconds=4, cost_seconds=5)
    assert not budget.may_validate(spent_seconds=6, cost_seconds=5)
    assert budget.validation_subsampling(5) == 1
    assert budget.validation_subsampling(95) == 5


def test_the_learning_rate_warms_up_and_decays_to_almost_0():
    rates = [learning_rate(1.0, step / 1000) for step in range(1001)]
    warm_up = rates.index(max(rates))
    assert 20 < warm_up < 40
    assert max(rates) == pytest.approx(1, rel=0.01)
    assert all(
        later <= earlier
        for earlier, later in zip(rates[warm_up:], rates[warm_up + 1 :], strict=False)
    )
    assert 0 < rates[-1] < 0.002
    assert rates[0] > 0
