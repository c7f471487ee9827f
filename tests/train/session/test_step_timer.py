import math

from liverseg_tf.train.session import step_timer
from liverseg_tf.train.session.step_timer import StepTimer


def test_the_speed_is_known_after_two_seconds_of_steps(monkeypatch):
    times = iter([0.0, 0.5, 1.0, 101.0, 102.5])  # a validation lasts from 1 to 101
    monkeypatch.setattr(step_timer.time, "monotonic", lambda: next(times))
    timer = StepTimer()
    assert math.isnan(timer.steps_per_second(is_last=True))
    for _ in range(3):
        timer.record_step()
    assert math.isnan(timer.steps_per_second())
    assert timer.steps_per_second(is_last=True) == 2
    timer.restart()
    for _ in range(2):
        timer.record_step()
    assert timer.steps_per_second() == 3 / 2.5
