"""Scores compared with independent libraries that use the same definitions.

MedPy and MONAI belong to the extra `peers` (MONAI needs PyTorch), surface-distance to `test`.
"""

import numpy as np
import pytest

from liverseg_tf.evaluate.metrics import distances
from liverseg_tf.evaluate.metrics.overlap import count_overlap
from liverseg_tf.evaluate.metrics.surface_distances import compute_surface_distances
from liverseg_tf.evaluate.metrics.surfels import surfel_areas

SPACING = (5.0, 0.7, 0.8)
REASON = "needs the extra `peers`"
TOLERANCES_MM = (0.5, 1.0, 3.0, 7.0)
same = pytest.approx


def assd_of_means(surfaces):
    """Mean of the two directed averages, as in MedPy before 0.5."""
    return (
        np.average(surfaces.truth_to_prediction_mm, weights=surfaces.truth_weights) / 2
        + np.average(surfaces.prediction_to_truth_mm, weights=surfaces.prediction_weights) / 2
    )


def compare_with_medpy(truth, prediction, spacing):
    metric = pytest.importorskip("medpy.metric.binary", reason=REASON)
    surfaces = compute_surface_distances(truth, prediction, spacing)
    overlap = count_overlap(truth, prediction)
    assert overlap.dice == same(metric.dc(prediction, truth))
    assert overlap.jaccard == same(metric.jc(prediction, truth))
    assert overlap.difference_percent / 100 == same(metric.ravd(prediction, truth))
    assert distances.assd_mm(surfaces) == same(metric.assd(prediction, truth, spacing), rel=1e-9)
    directed = (metric.asd(*pair, spacing) for pair in ((truth, prediction), (prediction, truth)))
    assert assd_of_means(surfaces) == same(sum(directed) / 2, rel=1e-9)
    assert distances.hausdorff_mm(surfaces) == same(metric.hd(prediction, truth, spacing), rel=1e-9)
    assert distances.hd95_pooled_mm(surfaces) == same(
        metric.hd95(prediction, truth, spacing), rel=1e-9
    )
    edges = compute_surface_distances(truth, prediction, spacing, "edges")
    peer = metric.assd(prediction, truth, spacing, connectivity=2)
    assert distances.assd_mm(edges) == same(peer, rel=1e-9)


def compare_with_monai(truth, prediction, spacing):
    monai = pytest.importorskip("monai.metrics", reason=REASON)
    torch = pytest.importorskip("torch", reason=REASON)
    t, p = (torch.from_numpy(mask[None, None].copy()) for mask in (truth, prediction))
    surfaces = compute_surface_distances(truth, prediction, spacing)
    options = {"include_background": True, "spacing": spacing}
    # MONAI keeps distances as float32
    hd95 = monai.compute_hausdorff_distance(p, t, percentile=95, **options)
    assert distances.hd95_mm(surfaces) == same(float(hd95), rel=1e-6)
    maximum = monai.compute_hausdorff_distance(p, t, **options)
    assert distances.hausdorff_mm(surfaces) == same(float(maximum), rel=1e-6)
    assd = monai.compute_average_surface_distance(p, t, symmetric=True, **options)
    assert distances.assd_mm(surfaces) == same(float(assd), rel=1e-6)
    for tolerance in TOLERANCES_MM:
        peer = monai.compute_surface_dice(p, t, [tolerance], **options)
        assert distances.nsd(surfaces, tolerance) == same(float(peer), rel=1e-6)


def compare_with_surface_distance(truth, prediction, spacing):
    peer = pytest.importorskip("surface_distance.metrics", reason=REASON)
    surfaces = compute_surface_distances(truth, prediction, spacing, "surfels")
    peer_surfaces = peer.compute_surface_distances(truth, prediction, spacing)
    assert surfaces.truth_weights.sum() == same(peer_surfaces["surfel_areas_gt"].sum(), rel=1e-9)
    means = peer.compute_average_surface_distance(peer_surfaces)
    assert assd_of_means(surfaces) == same(sum(means) / 2, rel=1e-9)
    hd95 = peer.compute_robust_hausdorff(peer_surfaces, 95)
    assert distances.hd95_by_area_mm(surfaces) == same(hd95, rel=1e-9)
    for tolerance in TOLERANCES_MM:
        surface_dice = peer.compute_surface_dice_at_tolerance(peer_surfaces, tolerance)
        assert distances.nsd(surfaces, tolerance) == same(surface_dice, rel=1e-9)


COMPARISONS = (compare_with_medpy, compare_with_monai, compare_with_surface_distance)


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
@pytest.mark.parametrize("compare_with_peer", COMPARISONS)
def test_small_masks(mask_pair, compare_with_peer):
    compare_with_peer(*mask_pair, SPACING)
    compare_with_peer(*reversed(mask_pair), (1.5, 1.0, 0.5))


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore::DeprecationWarning")
@pytest.mark.parametrize("compare_with_peer", COMPARISONS)
def test_a_real_liver(real_masks, compare_with_peer):
    compare_with_peer(*real_masks)


@pytest.mark.parametrize("spacing", [(1.0, 1.0, 1.0), (5.0, 0.7, 0.8)])
def test_every_pattern_of_eight_voxels(spacing):
    tables = pytest.importorskip("surface_distance.lookup_tables", reason=REASON)
    areas = tables.create_table_neighbour_code_to_surface_area(spacing)
    ours = surfel_areas(spacing)
    for pattern in range(256):
        voxels = pattern >> np.arange(8) & 1  # in the order of np.ndindex
        code = int((voxels * tables.ENCODE_NEIGHBOURHOOD_3D_KERNEL.ravel()).sum())
        assert ours[pattern] == same(areas[code])
