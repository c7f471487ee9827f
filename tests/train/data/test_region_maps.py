import numpy as np
import pytest
from tensors import apply_to_arrays

from liverseg_tf.ct.regions import LIVER_REGIONS, Regions
from liverseg_tf.train.data.mask_codes import MaskCodes
from liverseg_tf.train.data.region_maps import (
    FEATHER_RANGE,
    GROUPS,
    RegionValues,
    draw_region_values,
    make_region_maps,
    region_groups,
)
from liverseg_tf.train.data.smoothing import CONTROL_POINTS


def _maps(groups, table, sigma=3.0, border=None):
    if border is None:
        border = np.full((CONTROL_POINTS, CONTROL_POINTS), -1)
    values = RegionValues(np.float32(table)[None], np.float32(border)[None], np.float32([sigma]))
    return apply_to_arrays(make_region_maps, np.int32(groups)[None], values)[0]


def test_a_nested_region_stays_in_the_group_of_the_organ_and_other_labels_have_their_own():
    groups = region_groups(MaskCodes(LIVER_REGIONS).table)
    assert groups.shape == (256,)
    assert groups[0] == 0
    assert groups[1] == groups[2]
    assert len(set(groups[[1, *range(3, 14)]])) == 12
    assert set(groups[1:]) == set(range(2, GROUPS))
    both = region_groups(MaskCodes(Regions({"kidney": (4, 5), "liver": (1,)})).table)
    assert both[4] == both[5] != both[1]


def test_values_that_are_no_labels_are_background_unless_they_belong_to_a_region():
    table = np.full((256, 2), -1, np.int8)
    table[1:4] = [[0, -1], [1, -1], [1, 1]]
    groups = region_groups(table, has_labels=False)
    assert not groups[[0, 1, 4, 255]].any()
    assert groups[2] == groups[3] == 2


def test_a_map_has_the_values_of_the_groups_with_soft_transitions():
    groups = np.zeros((64, 80), int)
    groups[:, 40:] = 5
    table = np.zeros((GROUPS, 2))
    table[0], table[5] = (1, -1), (3, 2)
    maps = _maps(groups, table, sigma=4.0)
    assert maps.shape == (2, 64, 80)
    np.testing.assert_allclose(maps[:, :, :20], np.full((2, 64, 20), [[[1]], [[-1]]]), atol=1e-3)
    np.testing.assert_allclose(maps[:, :, 60:], np.full((2, 64, 20), [[[3]], [[2]]]), atol=1e-3)
    assert (np.diff(maps, axis=2) >= -1e-5).all()
    assert np.diff(maps[0], axis=1).max() < 0.3  # of a step of 2
    assert 36 < np.abs(maps[0, 32] - 2).argmin() < 44


def test_the_background_is_divided_by_a_line_and_regions_are_not():
    border = np.ones((CONTROL_POINTS, CONTROL_POINTS))
    border[:, :2] = -1
    groups = np.zeros((64, 64), int)
    groups[16:48, 48:] = 2
    table = np.zeros((GROUPS, 1))
    table[1], table[2] = 1, 7
    maps = _maps(groups, table, border=border)[0]
    assert maps[32, 4] == pytest.approx(0, abs=1e-3)
    assert maps[4, 60] == pytest.approx(1, abs=1e-3)
    assert maps[32, 60] == pytest.approx(7, abs=0.05)


@pytest.mark.parametrize("shape", [(1, 1), (3, 17), (40, 56)])
def test_every_shape_has_maps_and_equal_values_stay_equal(shape):
    groups = np.random.default_rng(0).integers(0, GROUPS, shape)
    maps = _maps(groups, np.full((GROUPS, 1), 0.25))
    np.testing.assert_allclose(maps, np.full((1, *shape), 0.25), atol=1e-6)


def test_transitions_are_drawn_from_their_range():
    values = draw_region_values(np.random.default_rng(0), np.zeros((1000, GROUPS, 1)))
    low, high = FEATHER_RANGE
    assert low <= values.sigma.min() < low * 1.02
    assert high * 0.98 < values.sigma.max() <= high
