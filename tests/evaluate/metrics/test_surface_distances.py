import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from scipy import ndimage

from liverseg_tf.ct.bounding_box import bounding_box
from liverseg_tf.errors import LiverSegError, SettingsError
from liverseg_tf.evaluate.metrics import distances, surface_distances
from liverseg_tf.evaluate.metrics.surface_distances import SURFACES, compute_surface_distances
from liverseg_tf.evaluate.metrics.surfels import surfel_areas

SPACING = (5.0, 0.7, 0.8)


def by_definition(truth, prediction, connectivity):
    """Distances in both directions, by distance transforms of the complete, padded volume."""
    structure = ndimage.generate_binary_structure(3, connectivity)
    edges = []
    for mask in (np.pad(truth, 2), np.pad(prediction, 2)):
        edges.append(mask ^ ndimage.binary_erosion(mask, structure))
    maps = [ndimage.distance_transform_edt(~edge, sampling=SPACING) for edge in edges]
    return maps[1][edges[0]], maps[0][edges[1]]


@pytest.mark.parametrize(("kind", "connectivity"), [("faces", 1), ("edges", 2)])
def test_distances_equal_those_of_distance_transforms(mask_pair, kind, connectivity):
    surfaces = compute_surface_distances(*mask_pair, SPACING, kind)
    expected = by_definition(*mask_pair, connectivity)
    # 7 steps of 0.8 mm and 8 steps of 0.7 mm are equally long but differ in the last bit
    np.testing.assert_allclose(surfaces.truth_to_prediction_mm, expected[0], rtol=1e-15)
    np.testing.assert_allclose(surfaces.prediction_to_truth_mm, expected[1], rtol=1e-15)
    assert set(surfaces.truth_weights) == {1.0}


@settings(max_examples=60, deadline=None)
@given(st.data(), hnp.array_shapes(min_dims=3, max_dims=3, max_side=5))
def test_random_masks(data, shape):
    truth, prediction = (data.draw(hnp.arrays(bool, shape)) for _ in range(2))
    surfaces = compute_surface_distances(truth, prediction, SPACING)
    if truth.any() and prediction.any():
        expected = by_definition(truth, prediction, 1)
        np.testing.assert_allclose(surfaces.truth_to_prediction_mm, expected[0], rtol=1e-15)
        assert distances.assd_mm(surfaces) == pytest.approx(np.concatenate(expected).mean())
        assert distances.hd95_mm(surfaces) == pytest.approx(
            max(np.percentile(directed, 95) for directed in expected)
        )
        assert distances.hausdorff_mm(surfaces) == pytest.approx(max(map(np.max, expected)))
    swapped = compute_surface_distances(prediction, truth, SPACING)
    for score in (
        distances.assd_mm,
        distances.rmsd_mm,
        distances.hd95_mm,
        distances.hd95_pooled_mm,
    ):
        assert score(surfaces) == pytest.approx(score(swapped), nan_ok=True)


def test_search_tree_and_distance_transform_agree(mask_pair, monkeypatch):
    surfaces = compute_surface_distances(*mask_pair, SPACING)
    monkeypatch.setattr(surface_distances, "_SEARCH_RADIUS_MM", 1.0)
    for cost in (0, 10**9):
        monkeypatch.setattr(surface_distances, "_TRANSFORM_COST", cost)
        other = compute_surface_distances(*mask_pair, SPACING)
        np.testing.assert_allclose(
            other.truth_to_prediction_mm, surfaces.truth_to_prediction_mm, rtol=1e-15
        )
        np.testing.assert_allclose(
            other.prediction_to_truth_mm, surfaces.prediction_to_truth_mm, rtol=1e-15
        )


def test_scores_by_hand():
    """Two rods of 1 and 3 voxels along a column axis of 2 mm: distances 0 | 0, 2 and 4 mm."""
    truth, prediction = np.zeros((2, 1, 1, 5), bool)
    truth[0, 0, 0] = prediction[0, 0, :3] = True
    surfaces = compute_surface_distances(truth, prediction, (5.0, 1.0, 2.0))
    assert surfaces.truth_to_prediction_mm.tolist() == [0]
    assert surfaces.prediction_to_truth_mm.tolist() == [0, 2, 4]
    assert distances.assd_mm(surfaces) == (0 + 0 + 2 + 4) / (1 + 3)
    assert distances.rmsd_mm(surfaces) == pytest.approx(math.sqrt((0 + 0 + 4 + 16) / 4))
    assert distances.hausdorff_mm(surfaces) == 4
    # 95 % of the way through 0, 2, 4 is index 1.9; through 0, 0, 2, 4 it is index 2.85
    assert distances.hd95_mm(surfaces) == pytest.approx(3.8)
    assert distances.hd95_pooled_mm(surfaces) == pytest.approx(3.7)
    assert distances.nsd(surfaces, 1.9) == 2 / 4
    assert distances.nsd(surfaces, 2.0) == 3 / 4
    # centroids at column 0 and column 1
    assert distances.centroid_shift_mm(truth, prediction, (5.0, 1.0, 2.0)) == 2


def test_surfels_are_weighted_by_their_area():
    """One voxel: eight corners, each cut by a triangle through three edge midpoints."""
    mask = np.ones((1, 1, 1), bool)
    surfaces = compute_surface_distances(mask, mask, (1.0, 1.0, 1.0), "surfels")
    triangle = math.sqrt(3) / 4 * 0.5  # side sqrt(1/2): sqrt(3) / 4 * 1/2 mm²
    assert surfaces.truth_weights == pytest.approx([triangle] * 8)
    # a wall between two half-spaces: one rectangle of row by column spacing
    assert surfel_areas((5.0, 0.7, 0.8))[0b00001111] == pytest.approx(0.7 * 0.8)


@pytest.mark.parametrize("kind", SURFACES)
def test_empty_masks(kind):
    mask, empty = np.ones((2, 3, 4), bool), np.zeros((2, 3, 4), bool)
    scores = (
        distances.assd_mm, distances.rmsd_mm, distances.hausdorff_mm,
        distances.hd95_mm, distances.hd95_pooled_mm, distances.hd95_by_area_mm,
    )  # fmt: skip
    for pair, surface_dice in (((empty, empty), 1.0), ((mask, empty), 0.0), ((empty, mask), 0.0)):
        surfaces = compute_surface_distances(*pair, SPACING, kind)
        assert surfaces.any_empty
        assert all(math.isnan(score(surfaces)) for score in scores)
        assert distances.nsd(surfaces, 5.0) == surface_dice
        assert math.isnan(distances.centroid_shift_mm(*pair, SPACING))


def test_equal_masks_have_distance_0(mask_pair):
    for kind in SURFACES:
        surfaces = compute_surface_distances(mask_pair[0], mask_pair[0], SPACING, kind)
        assert distances.hausdorff_mm(surfaces) == 0
        assert distances.nsd(surfaces, 0.0) == 1


def test_invalid_masks_and_surfaces_are_refused():
    mask = np.zeros((2, 3, 4), bool)
    for other in (mask[:1], mask.astype(np.uint8), mask[0]):
        with pytest.raises(LiverSegError, match="two boolean masks"):
            compute_surface_distances(mask, other, SPACING)
    with pytest.raises(SettingsError, match="faces, edges, surfels"):
        compute_surface_distances(mask, mask, SPACING, "corners")


@pytest.mark.slow
def test_real_liver_equals_distance_transform(real_masks):
    liver, other, spacing = real_masks
    box = bounding_box(liver, other)
    surfaces = compute_surface_distances(liver, other, spacing)
    edges = [
        mask ^ ndimage.binary_erosion(mask) for mask in (np.pad(m[box], 1) for m in (liver, other))
    ]
    expected = ndimage.distance_transform_edt(~edges[1], sampling=spacing)[edges[0]]
    np.testing.assert_array_equal(surfaces.truth_to_prediction_mm, expected)
