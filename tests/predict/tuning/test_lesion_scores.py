import zlib

import numpy as np
import pytest

from liverseg_tf.ct.regions import LIVER_REGIONS
from liverseg_tf.ct.volume import Volume
from liverseg_tf.model.postprocessing import PostProcessing
from liverseg_tf.predict.tuning.lesion_scores import CaseLesions, choose_lesion_threshold
from liverseg_tf.predict.tuning.selection import select_postprocessing
from liverseg_tf.predict.tuning.validation_masks import THRESHOLDS, ValidationMasks, _pack

SHAPE = (3, 12, 60)
GRID = Volume(np.broadcast_to(np.uint8(0), SHAPE), np.diag([-1.0, -1.0, 1.0, 1.0]))


def _case(number, lesions, missed=0):
    """A liver with lesions of 2 x 2 pixels: (probability, whether it is true), and missed ones."""
    values, references = np.zeros((2, *SHAPE)), np.zeros((2, *SHAPE), bool)
    values[0], references[0] = 0.9, True
    for place, (probability, is_true) in enumerate([*lesions, *[(0.1, True)] * missed]):
        part = (1, slice(4, 6), slice(4 * place, 4 * place + 2))
        values[(1, *part)] = probability
        values[(1, 1, 4, 4 * place)] = min(probability + 0.04, 1)
        references[(1, *part)] = is_true
    return ValidationMasks(
        f"case_{number}",
        LIVER_REGIONS,
        GRID,
        tuple(tuple(_pack(region > p) for region in values) for p in THRESHOLDS),
        tuple(map(_pack, references)),
        None,
        (None, _compressed(values[1])),
    )


def _compressed(values):
    scores = np.rint(np.where(values > 0.3, values, 0) * 255)
    return zlib.compress(scores.astype(np.uint8).tobytes())


SURE = [(0.95, True), (0.9, True), (0.72, False), (0.73, False)]


def test_false_lesions_with_a_low_score_are_removed():
    cases = [_case(number, SURE, missed=1) for number in range(6)]
    result = select_postprocessing(cases, LIVER_REGIONS)
    steps = result.postprocessing
    (named,) = [*steps.min_mean_probability, *steps.min_peak_probability]
    assert named[0] == "tumour"
    assert 0.74 < named[1] < 0.94
    (note,) = (note for note in result.notes if "probability" in note)
    assert "removes 12 of 12 false lesions and 0 of 12 that were found." in note
    after = steps.apply(cases[0].masks_above(steps.thresholds(LIVER_REGIONS), True))
    assert (after.bits >> 1 & 1).sum() == 8  # two lesions of 4 voxels
    assert all(dice["tumour"] == pytest.approx(0.8) for dice in result.dice_after.values())


@pytest.mark.parametrize(
    ("lesions", "cases", "word"),
    [
        (SURE, 4, None),  # too few cases for a choice
        ([(0.72, False), (0.95, True)], 6, "at least 10 in 5"),
        # true and false lesions have the same scores
        ([(0.8, True), (0.8, True), (0.8, False)], 6, "no threshold"),
        ([(0.95, True), (0.9, True)], 6, None),  # nothing to remove
    ],
)
def test_nothing_is_removed_without_evidence(lesions, cases, word):
    result = select_postprocessing([_case(n, lesions) for n in range(cases)], LIVER_REGIONS)
    steps = result.postprocessing
    assert not steps.min_mean_probability
    assert not steps.min_peak_probability
    assert (word is None) or any(word in note for note in result.notes)


def test_a_threshold_that_loses_lesions_of_other_cases_is_within_noise():
    rng = np.random.default_rng(0)
    lesions = [
        CaseLesions(
            np.repeat(rng.uniform(0.55, 0.9, (1, 1)), 2, axis=1),
            np.repeat(rng.uniform(0.55, 0.9, (2, 1)), 2, axis=1),
        )
        for _ in range(8)
    ]
    chosen = choose_lesion_threshold(lesions, np.arange(8), "tumour", PostProcessing())
    assert chosen.steps == PostProcessing()
    assert "not used" in chosen.remark or "no threshold" in chosen.remark


def test_cases_of_one_fold_show_nothing_about_others():
    lesions = [CaseLesions.of(_case(n, SURE), 1, PostProcessing()) for n in range(6)]
    chosen = choose_lesion_threshold(lesions, np.zeros(6), "tumour", PostProcessing())
    assert chosen.steps == PostProcessing()
    assert chosen.remark.endswith("is chosen, since all cases that label it are in one fold.")


def test_scores_and_overlaps_of_a_case():
    case = _case(0, SURE, missed=1)
    lesions = CaseLesions.of(case, 1, PostProcessing())
    assert lesions.best_scores.shape == (3, 2)
    np.testing.assert_allclose(lesions.best_scores[0], [0.96, 0.99], atol=0.003)
    np.testing.assert_array_equal(lesions.best_scores[2], [0, 0])
    np.testing.assert_allclose(np.sort(lesions.false_scores[:, 1]), [0.76, 0.77], atol=0.003)
