import numpy as np
import pytest
from scipy.special import expit, logit

from liverseg_tf.predict.trust.temperature import (
    calibrate_cases,
    count_logits,
    fit_temperature,
    log_loss,
    reliability,
)


def _voxels(temperature, n=200_000, seed=0):
    """Probabilities whose logits are too large by a factor, and their ground truth."""
    rng = np.random.default_rng(seed)
    logits = rng.normal(-1, 2, n)
    return expit(logits * temperature).astype(np.float32), rng.random(n) < expit(logits)


@pytest.mark.parametrize("temperature", [0.5, 1.0, 1.7, 3.0])
def test_the_temperature_of_simulated_voxels_is_found(temperature):
    assert fit_temperature(count_logits(*_voxels(temperature))) == pytest.approx(
        temperature, rel=0.02
    )


def test_two_logits_have_a_closed_form():
    """If a of the voxels with the logits z and -z are right, it is z / logit(a)."""
    probabilities = np.repeat(expit(np.array([3.0, -3.0])), 1000).astype(np.float32)
    is_region = np.tile(np.arange(1000) < 800, 2)
    is_region[1000:] = ~is_region[1000:]
    expected = 3 / logit(0.8)
    assert fit_temperature(count_logits(probabilities, is_region)) == pytest.approx(expected, 5e-3)


def test_it_is_that_of_a_logistic_regression():
    linear_model = pytest.importorskip("sklearn.linear_model")
    probabilities, truth = _voxels(2.2, 20_000)
    fitted = linear_model.LogisticRegression(C=1e9, fit_intercept=False, tol=1e-8)
    fitted.fit(logit(probabilities.astype(float))[:, None], truth)
    found = fit_temperature(count_logits(probabilities, truth))
    assert found == pytest.approx(1 / fitted.coef_.item(), rel=5e-3)


def test_the_log_loss_is_the_mean_over_the_voxels():
    probabilities, truth = _voxels(1.5, 5000)
    right = np.where(truth, probabilities, 1 - probabilities).astype(float)
    counts = count_logits(probabilities, truth)
    assert log_loss(counts) == pytest.approx(-np.log(right).mean(), rel=1e-3)
    assert counts.sum() == 5000


def test_certain_probabilities_are_counted_at_the_ends():
    counts = count_logits(np.array([0, 1, 1e-30], np.float32), np.array([False, True, True]))
    assert counts[0, 0] == counts[1, 0] == counts[1, -1] == 1


def test_voxels_without_errors_have_no_temperature():
    probabilities = np.array([0.1, 0.9] * 50, np.float32)
    assert fit_temperature(count_logits(probabilities, probabilities > 0.5)) is None
    assert fit_temperature(np.zeros((2, 2049), int)) is None


def test_the_reliability_is_that_of_the_uncertain_voxels():
    probabilities, truth = _voxels(2.0, 50_000)
    curve = reliability([(count_logits(probabilities, truth), 1.0)])
    chosen = (probabilities > 0.01) & (probabilities < 0.99)
    p, y = probabilities[chosen], truth[chosen]
    error = 0
    for low in np.arange(10) / 10:
        inside = (p >= low) & (p < low + 0.1)
        error += inside.sum() * abs(p[inside].mean() - y[inside].mean())
    assert sum(curve.counts) == pytest.approx(chosen.sum(), rel=0.01)
    assert curve.calibration_error == pytest.approx(error / chosen.sum(), abs=2e-3)


def test_scaling_calibrates_held_out_cases():
    cases = [count_logits(*_voxels(2.0, 20_000, seed)) for seed in range(6)]
    found = calibrate_cases(cases, [0] * 6)
    assert found.temperature == pytest.approx(2, rel=0.03)
    assert found.note == ""
    assert found.after.calibration_error < found.before.calibration_error / 3
    by_fold = calibrate_cases(cases, [1, 1, 2, 2, 3, 3])
    assert by_fold.temperature == found.temperature
    assert by_fold.after != found.after


def test_scaling_that_does_not_help_new_cases_is_not_used():
    """One case with many voxels is unlike the others."""
    cases = [count_logits(*_voxels(1.0, 2000, seed)) for seed in range(6)]
    cases.append(100 * count_logits(*_voxels(6.0, 2000, 9)))
    groups = [1] * 6 + [2]
    found = calibrate_cases(cases, groups)
    if found.temperature is not None:
        pytest.fail(f"{found.temperature}")
    assert "does not lower the log loss" in found.note


def test_few_cases_have_no_temperature():
    found = calibrate_cases([count_logits(*_voxels(2.0, 2000))] * 4, [0] * 4)
    assert found.temperature is None
    assert found.note == "fewer than 5 cases"
    assert found.before is not None
