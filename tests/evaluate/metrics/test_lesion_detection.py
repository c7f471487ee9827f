"""Lesions that were found, compared with a direct count on random masks."""

import math

import numpy as np
import pytest
from scipy import ndimage

from liverseg_tf.evaluate.metrics.lesion_detection import (
    find_lesions,
    sphere_diameter_mm,
    summarise_lesions,
)
from liverseg_tf.evaluate.metrics.lesions import label_lesions, merge_lesions

SPACING = (2.5, 1.0, 1.0)


def random_masks(seed, share=0.08):
    rng = np.random.default_rng(seed)
    truth = rng.random((6, 20, 20)) < share
    return truth, np.roll(truth, rng.integers(0, 2), 2) ^ (rng.random(truth.shape) < share / 4)


def merge_reference(overlaps):
    """The rule of the public scorer on a complete matrix: (true lesions, predictions) by group."""
    common, truths = overlaps.astype(int).copy(), [[n] for n in range(overlaps.shape[1])]
    for row in range(len(common)):
        covered = [c for c in np.flatnonzero(common[row]) if common[:, c].argmax() == row]
        if len(covered) > 1:
            common[:, covered[0]] = common[:, covered].sum(axis=1)
            truths[covered[0]] = [index for column in covered for index in truths[column]]
            common = np.delete(common, covered[1:], axis=1)
            truths = [one for c, one in enumerate(truths) if c not in covered[1:]]
    match = [row.argmax() if row.any() else None for row in common]
    return [
        (tuple(one), tuple(row for row, column in enumerate(match) if column == index))
        for index, one in enumerate(truths)
    ]


@pytest.mark.parametrize("seed", range(5))
def test_merging_agrees_with_the_rule_on_a_complete_matrix(seed):
    overlaps = label_lesions(*random_masks(seed, 0.2)).overlaps
    groups = [(group.truths, group.predictions) for group in merge_lesions(overlaps)]
    assert groups == merge_reference(overlaps.toarray())


@pytest.mark.parametrize("seed", range(5))
def test_overlapped_lesions_and_sizes_agree_with_a_direct_count(seed):
    truth, prediction = random_masks(seed)
    found = find_lesions(truth, prediction, SPACING)
    summary = summarise_lesions([found], 0.0)
    by_size = {name: [0, 0] for name in summary.by_size}
    labels, n = ndimage.label(truth)
    for number in range(1, n + 1):
        volume = (labels == number).sum() * math.prod(SPACING)
        diameter = 2 * (3 * volume / (4 * math.pi)) ** (1 / 3)
        size = "10_to_20_mm" if diameter <= 20 else "above_20_mm"
        size = "below_10_mm" if diameter < 10 else size
        by_size[size][0] += int(prediction[labels == number].any())
        by_size[size][1] += 1
    assert summary.by_size == {name: tuple(counts) for name, counts in by_size.items()}
    labels, n = ndimage.label(prediction)
    assert summary.fp == sum(not truth[labels == number].any() for number in range(1, n + 1))


def test_sums_over_cases_by_hand():
    nothing = np.zeros((12, 30, 30), bool)
    large, small = nothing.copy(), nothing.copy()
    large[1:11, 2:24, 2:24] = True  # 4.84 ml x 2.5: a sphere of 28 mm
    small[5, 27:29, 27:29] = True
    cases = [
        find_lesions(large | small, large, SPACING),
        find_lesions(nothing, small, SPACING),
        find_lesions(nothing, nothing, SPACING),
    ]
    for threshold in (0.5, 0.0):
        summary = summarise_lesions(cases, threshold)
        assert (summary.tp, summary.fp, summary.fn) == (1, 1, 1)
        assert (summary.precision, summary.recall) == (0.5, 0.5)
        assert summary.fp_per_case == pytest.approx(1 / 3)
        assert list(summary.by_size.values()) == [(0, 1), (0, 0), (1, 1)]
        assert list(summary.cases_by_size.values()) == [(0, 1), (0, 0), (1, 1)]
        assert (summary.cases_with_lesions, summary.cases_found) == (1, 1)
        assert (summary.cases_without_lesions, summary.cases_clear) == (2, 1)
    assert math.isnan(summarise_lesions(cases[2:], 0.5).recall)


def test_a_diameter_of_exactly_10_mm_is_in_the_middle_class():
    assert sphere_diameter_mm(math.pi / 6) == pytest.approx(10)


def test_masks_of_noise_take_little_time_and_memory():
    rng = np.random.default_rng(0)
    truth, prediction = (rng.random((12, 80, 80)) < 0.12 for _ in range(2))
    found = find_lesions(truth, prediction, SPACING)  # in a complete matrix, merging takes minutes
    assert min(len(found.truths), len(found.predictions)) > 4_000
