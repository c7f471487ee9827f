"""Scores of the LiTS challenge, compared with results computed by hand on rows of voxels.

Every case is one row of voxels of 1 mm³: '.' background, 'l' liver (label 1), 't' tumour (label 2).
"""

import math

import numpy as np
import pytest

from liverseg_tf.evaluate.metrics.lesions import (
    detect_lesions,
    detect_lesions_compat,
    label_lesions,
    merge_lesions,
)
from liverseg_tf.evaluate.protocols.lits import UNDEFINED_COMPAT, score_lits_case, summarise_lits

SPACING = (1.0, 1.0, 1.0)


def row(text):
    return np.array([[[".lt".index(letter) for letter in text]]], np.uint8)


def score(truth, prediction, compat=False):
    mask = None if prediction is None else row(prediction)
    return score_lits_case("case", row(truth), mask, SPACING, compat)


def counts(case, min_iou=0.5):
    detection = case.detections[min_iou]
    return detection.tp, detection.fp, detection.fn


def test_detected_lesion():
    case = score("lllttttll.", "llltttlll.")
    # liver: 9 voxels in both. Tumour: truth 4, prediction 3, both 3.
    assert case.liver.dice == 1
    assert case.lesion_dice == 2 * 3 / (4 + 3)
    # intersection over union 3 / 4 > 0.5
    assert counts(case) == (1, 0, 0)
    (lesion,) = case.lesion_scores
    assert lesion["voe"] == 1 - 3 / 4
    assert lesion["rvd"] == (4 - 3) / 3
    # a row of voxels is all surface; only the fourth voxel is 1 mm off: (0+0+0+1 + 0+0+0) / 7
    assert lesion["assd"] == pytest.approx(1 / 7)
    assert lesion["rmsd"] == pytest.approx(math.sqrt(1 / 7))
    assert lesion["msd"] == 1
    assert (case.burden_truth, case.burden_prediction) == (4 / 9, 3 / 9)
    summary = summarise_lits([case])
    assert summary["RMSE_Tumorburden"] == pytest.approx(1 / 9)
    assert (summary["lesion_precision"], summary["lesion_recall"]) == (1, 1)
    assert summary["liver_assd"] == 0


def test_one_prediction_of_two_lesions():
    truth, prediction = "lttlltttl", "ltttttttl"
    # merged truths 2 + 3, one prediction of 7, both 5: 5 / 7 > 0.5, one group is detected
    assert counts(score(truth, prediction)) == (1, 0, 0)
    # the scorer takes FN from the two lesions before merging: 2 - 1
    assert counts(score(truth, prediction, compat=True)) == (1, 0, 1)
    (lesion,) = score(truth, prediction).lesion_scores
    assert lesion["dice"] == 2 * 5 / (5 + 7)


def test_two_predictions_of_one_lesion():
    truth, prediction = "lttttttll", "lttltttll"
    # one truth of 6, predictions 2 + 3, both 5: 5 / 6 > 0.5; merged, there is no false positive
    assert counts(score(truth, prediction)) == (1, 0, 0)
    # the scorer takes FP from the two predictions before merging: 2 - 1
    assert counts(score(truth, prediction, compat=True)) == (1, 1, 0)


def test_merged_lesions_that_are_missed():
    truth, prediction = "tllllllt", "tttttttt"
    # merged truths 1 + 1, a prediction of 8, both 2: 2 / 8, not detected
    assert counts(score(truth, prediction)) == (0, 1, 1)
    # the scorer subtracts both from one match: TP 1 - 2 = -1, FP 1 + 1, FN 2 + 1
    assert counts(score(truth, prediction, compat=True)) == (-1, 2, 3)
    # with overlap > 0 it is detected
    assert counts(score(truth, prediction), min_iou=0.0) == (1, 0, 0)


def test_missed_and_false_positive_lesions():
    case = score("lttllltllll", "llllltttltt")
    # truths 2 and 1, predictions 3 and 2; the second truth lies in the first prediction: 1 / 3
    assert counts(case) == (0, 2, 2)
    assert counts(case, min_iou=0.0) == (1, 1, 1)
    assert case.lesion_scores == ()
    summary = summarise_lits([case])
    assert (summary["lesion_dice"], summary["lesion_voe"]) == (0, 1)
    assert math.isnan(summary["lesion_assd"])
    assert summary["lesion_precision"] == summary["lesion_recall"] == 0
    assert summary["lesion_precision_greater_zero"] == 1 / 2
    assert summarise_lits([case], compat=True)["lesion_assd"] == UNDEFINED_COMPAT


def test_false_positive_changes_the_union_of_the_public_scorer():
    truth, prediction = "llltttlltttl", "tlltttllttll"
    # predictions are numbered 1 (false), 2 and 3; truths 1 and 2. Corrected: 3/3 and 2/3.
    assert counts(score(truth, prediction)) == (2, 1, 0)
    # The scorer's union for truth 1 and prediction 2 takes what is assigned to truth 2, which is
    # prediction 3: 3 / (3 + 2) = 0.6; for truth 2 and prediction 3 nothing: 2 / 3. Both are
    # detected,
    assert counts(score(truth, prediction, compat=True)) == (2, 1, 0)
    # but with a larger second lesion, the first one is missed: 3 / (3 + 4) = 0.43.
    truth, prediction = "llltttllttttl", "tlltttllttttl"
    assert counts(score(truth, prediction)) == (2, 1, 0)
    assert counts(score(truth, prediction, compat=True)) == (1, 2, 1)


def test_without_tumour():
    right, wrong = score("lllll", "lllll"), score("lllll", "lltll")
    assert (right.lesion_dice, wrong.lesion_dice) == (1, 0)
    assert counts(right) == (0, 0, 0)
    # the public scorer fails on a truth without lesions; here, the predicted lesion is an FP
    for compat in (False, True):
        assert counts(score("lllll", "lltll", compat)) == (0, 1, 0)
    assert (wrong.burden_truth, wrong.burden_prediction) == (0, 1 / 5)
    summary = summarise_lits([right, wrong])
    assert summary["lesion_dice_per_case"] == 1 / 2
    assert summary["lesion_dice_global"] == 0
    assert (summary["lesion_precision"], summary["lesion_recall"]) == (0, 0)
    assert summary["RMSE_Tumorburden"] == pytest.approx(math.sqrt((0 + 0.04) / 2))
    assert summary["MAXERROR_Tumorburden"] == pytest.approx(0.2)


@pytest.mark.parametrize("prediction", [".....", "..tt."])
def test_prediction_without_label_1_has_no_liver(prediction):
    case = score("llttl", prediction)
    assert (case.liver.dice, case.liver_scores["dice"], case.liver_scores["voe"]) == (0, 0, 1)
    assert case.lesion_dice == (1 if "t" in prediction else 0)
    assert math.isnan(case.burden_prediction)
    summary = summarise_lits([case, score("lltll", "lltll")])
    assert summary["liver_dice_per_case"] == 1 / 2
    assert summary["liver_assd"] == 0  # of the only case in which it is defined
    assert summary["liver_dice_global"] == 2 * 5 / (5 + 10)
    assert summary["MAXERROR_Tumorburden"] == 0
    compat = summarise_lits([case, score("lltll", "lltll")], compat=True)
    assert compat["liver_assd"] == UNDEFINED_COMPAT / 2
    assert compat["MAXERROR_Tumorburden"] == pytest.approx(UNDEFINED_COMPAT - 2 / 5)


def test_missing_prediction_has_score_0():
    for truth in ("lltll", "lllll"):
        case = score(truth, None)
        assert (case.missing, case.liver.dice, case.lesion_dice) == (True, 0, 0)
        assert counts(case) == (0, 0, truth.count("t"))


def test_global_dice_pools_voxels():
    summary = summarise_lits([score("tttttttl", "ttttttll"), score("tl......", "lt......")])
    # cases: 2 * 6 / 13 and 0; global: 2 * 6 / (13 + 2)
    assert summary["lesion_dice_per_case"] == pytest.approx(6 / 13)
    assert summary["lesion_dice_global"] == pytest.approx(12 / 15)


def test_lesions_are_connected_by_faces_only():
    truth = np.zeros((1, 2, 2), bool)
    truth[0, 0, 0] = truth[0, 1, 1] = True
    assert label_lesions(truth, truth).overlaps.toarray().tolist() == [[1, 0], [0, 1]]


def test_lesion_is_assigned_to_the_prediction_with_the_larger_overlap():
    """Truths of 2, 5 and 3 voxels; each of two predictions covers two of them."""
    lesions = label_lesions(row(".tt.ttttt.ttt.") == 2, row(".ttttt.tttttt.") == 2)
    assert lesions.overlaps.toarray().tolist() == [[2, 2, 0], [0, 2, 3]]
    # truth 1 is a tie: it goes to the first prediction, which merges truths 0 and 1
    groups = merge_lesions(lesions.overlaps)
    assert [(group.truths, group.predictions) for group in groups] == [
        ((0, 1), (0,)),
        ((2,), (1,)),
    ]


def test_compat_counts_agree_without_merges_and_false_positives():
    rng = np.random.default_rng(0)
    for _ in range(50):
        truth = np.zeros((3, 20, 20), bool)
        for start in range(0, 20, 4):
            truth[1, start : start + 3, rng.integers(17)] = True
        lesions = label_lesions(truth, truth)
        for iou in (0.0, 0.5):
            assert detect_lesions(lesions, iou) == detect_lesions_compat(lesions, iou)
