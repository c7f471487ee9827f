"""FROC curves, compared with a count in which the masks are thresholded lesion by lesion."""

import math

import numpy as np
import pytest
from scipy import ndimage

from liverseg_tf.evaluate.metrics.froc import PEAK, PROBABILITY, VOLUME, compute_froc, usable_scores
from liverseg_tf.evaluate.metrics.lesion_detection import find_lesions

SPACING = (3.0, 1.0, 1.0)


def random_case(seed):
    rng = np.random.default_rng(seed)
    fields = (ndimage.gaussian_filter(rng.normal(size=(8, 30, 30)), 1.2) for _ in range(2))
    truth, other = (field > 0.25 for field in fields)
    prediction = np.roll(truth, 2, 2) & ndimage.binary_erosion(truth, iterations=1) | other
    return truth, prediction, rng.random(truth.shape).astype(np.float32)


def froc_reference(cases, score_of):
    """Points (threshold, false positives per case, sensitivity)."""
    labelled = [(ndimage.label(truth), ndimage.label(mask), p) for truth, mask, p in cases]
    scored = [
        (truth, [(mask == n, score_of(mask == n, p)) for n in range(1, count + 1)])
        for truth, (mask, count), p in labelled
    ]
    points = []
    for threshold in sorted({score for _, lesions in scored for _, score in lesions}, reverse=True):
        found = false = total = 0
        for (truth, n_truths), lesions in scored:
            kept = [lesion for lesion, score in lesions if score >= threshold]
            false += sum(not truth[lesion].any() for lesion in kept)
            union = np.any(kept, axis=0) if kept else np.zeros(truth.shape, bool)
            found += len(set(truth[union].tolist()) - {0})
            total += n_truths
        points.append((threshold, false / len(cases), found / total))
    return points


@pytest.mark.parametrize("by_probability", [False, True])
def test_the_curve_agrees_with_a_direct_count(by_probability):
    cases = [random_case(seed) for seed in range(3)]
    lesions = [
        find_lesions(truth, mask, SPACING, p if by_probability else None)
        for truth, mask, p in cases
    ]
    curve = compute_froc(lesions)
    assert curve.score == (PROBABILITY if by_probability else VOLUME)
    expected = froc_reference(
        cases,
        (lambda lesion, p: p[lesion].astype(float).mean())
        if by_probability
        else (lambda lesion, p: lesion.sum() * math.prod(SPACING) / 1000),
    )
    assert len(expected) > 8
    points = zip(curve.thresholds, curve.fp_per_case, curve.sensitivity, strict=True)
    np.testing.assert_allclose(list(points), expected, rtol=1e-6)
    assert curve.sensitivity_at(math.inf) == curve.sensitivity[-1]
    assert curve.sensitivity_at(-1) == 0


def test_the_largest_probability_is_a_score_of_its_own():
    cases = [random_case(seed) for seed in range(3)]
    lesions = [find_lesions(truth, mask, SPACING, p) for truth, mask, p in cases]
    curve = compute_froc(lesions, PEAK)
    expected = froc_reference(cases, lambda lesion, p: p[lesion].max())
    points = zip(curve.thresholds, curve.fp_per_case, curve.sensitivity, strict=True)
    np.testing.assert_allclose(list(points), expected, rtol=1e-6)
    assert usable_scores(lesions) == (PROBABILITY, PEAK, VOLUME)


def test_one_case_without_probabilities_makes_the_score_the_volume():
    first, second = random_case(0), random_case(1)
    lesions = [find_lesions(*first[:2], SPACING, first[2]), find_lesions(*second[:2], SPACING)]
    assert compute_froc(lesions).score == VOLUME


def test_there_is_no_curve_without_lesions_and_one_without_points_if_nothing_is_predicted():
    nothing, truth = np.zeros((3, 5, 5), bool), np.zeros((3, 5, 5), bool)
    truth[1, 2, 2] = True
    assert compute_froc([find_lesions(nothing, truth, SPACING)]) is None
    assert compute_froc([find_lesions(truth, nothing, SPACING)]).sensitivity_at(4) == 0
