import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from scipy.spatial import distance

from liverseg_tf.errors import LiverSegError
from liverseg_tf.evaluate.metrics.overlap import DEFINITIONS, Overlap, count_overlap, score_overlap

EMPTY = np.zeros((2, 3), bool)


def test_scores_by_hand():
    truth = np.array([[1, 1, 1], [1, 0, 0]], bool)
    prediction = np.array([[0, 1, 1], [0, 1, 0]], bool)
    overlap = count_overlap(truth, prediction)
    assert overlap == Overlap(truth_voxels=4, prediction_voxels=3, both_voxels=2)
    scores = score_overlap(overlap, voxel_volume_ml=0.5)
    assert scores == {
        "dice": pytest.approx(4 / 7),
        "jaccard": pytest.approx(2 / 5),
        "truth_ml": 2.0,
        "prediction_ml": 1.5,
        "difference_ml": -0.5,
        "difference_percent": -25.0,
    }
    assert scores.keys() == DEFINITIONS.keys()


def test_both_masks_empty():
    overlap = count_overlap(EMPTY, EMPTY)
    scores = score_overlap(overlap, voxel_volume_ml=1.0)
    assert overlap.both_empty
    assert (scores["dice"], scores["jaccard"], scores["difference_ml"]) == (1.0, 1.0, 0.0)
    assert math.isnan(scores["difference_percent"])


@pytest.mark.parametrize(
    ("truth", "prediction", "percent"), [(~EMPTY, EMPTY, -100.0), (EMPTY, ~EMPTY, math.nan)]
)
def test_one_mask_empty(truth, prediction, percent):
    overlap = count_overlap(truth, prediction)
    scores = score_overlap(overlap, voxel_volume_ml=1.0)
    assert not overlap.both_empty
    assert (scores["dice"], scores["jaccard"]) == (0.0, 0.0)
    assert scores["difference_percent"] == pytest.approx(percent, nan_ok=True)


@given(st.data(), hnp.array_shapes(min_dims=1, max_dims=3, max_side=6))
def test_against_scipy(data, shape):
    truth, prediction = (data.draw(hnp.arrays(bool, shape)) for _ in range(2))
    overlap = count_overlap(truth, prediction)
    if not overlap.both_empty:
        flat = truth.ravel(), prediction.ravel()
        assert overlap.dice == pytest.approx(1 - distance.dice(*flat))
        assert overlap.jaccard == pytest.approx(1 - distance.jaccard(*flat))
    assert overlap.dice == pytest.approx(2 * overlap.jaccard / (1 + overlap.jaccard))
    assert count_overlap(truth, truth).dice == 1.0


def test_counts_beyond_32_bits():
    many = 3 * 2**32
    overlap = Overlap(many, many, many)
    assert (overlap.dice, overlap.jaccard, overlap.difference_percent) == (1.0, 1.0, 0.0)


@pytest.mark.parametrize("other", [np.zeros((3, 2), bool), np.zeros((2, 3), np.uint8)])
def test_invalid_masks_are_refused(other):
    with pytest.raises(LiverSegError, match="two boolean masks of one shape"):
        count_overlap(EMPTY, other)
