import numpy as np
import pytest
from tensors import apply_to_arrays

from liverseg_tf.train.data.region_maps import GROUPS, draw_region_values
from liverseg_tf.train.data.region_transforms import (
    CURVE_SEGMENTS,
    MAX_REGION_SHIFT,
    apply_curves,
    draw_curves,
    draw_shifts,
    shift_regions,
)

SIZE = 64


def _groups():
    groups = np.zeros((1, SIZE, SIZE, 1), np.int32)
    groups[:, 16:48, 16:48] = 2
    return groups


def _first(values):
    """The values of the first of some tiles, as float32."""
    return type(values)(*(np.float32(array[:1]) for array in values))


def _only_group(values, group):
    table = np.zeros_like(values.table)
    table[:, group] = values.table[:, group]
    return values._replace(table=table)


@pytest.mark.parametrize("strength", [0.5, 1.0, 3.0])
def test_curves_increase_from_0_to_1(strength):
    values = draw_curves(np.random.default_rng(0), 50, strength)
    ends = np.zeros((50, GROUPS, 1))
    line = np.arange(CURVE_SEGMENTS + 1) / CURVE_SEGMENTS
    heights = line + np.concatenate([ends, values.table, ends], axis=2)
    assert np.diff(heights, axis=2).min() > 0
    ramp = np.linspace(0, 1, 101, dtype=np.float32)
    image = np.broadcast_to(ramp, (1, SIZE, 101))[..., None]
    groups = np.zeros(image.shape, np.int32)
    groups[:, :32] = 3
    changed = apply_to_arrays(apply_curves, image, _first(values), groups)[0, ..., 0]
    assert np.diff(changed[2], axis=0).min() > 0  # also where the curves of two groups are mixed
    np.testing.assert_allclose(changed[:, [0, -1]], np.tile([0, 1], (SIZE, 1)), atol=1e-6)
    inside = np.interp(ramp, line, heights[0, 3])
    np.testing.assert_allclose(changed[2], inside, atol=1e-3)


def test_a_curve_of_one_region_changes_the_tile_only_near_it():
    values = _only_group(_first(draw_curves(np.random.default_rng(1), 1, 1.0)), 2)
    values = values._replace(sigma=np.float32([3]))
    image = np.random.default_rng(0).random((1, SIZE, SIZE, 3)).astype(np.float32)
    difference = np.abs(apply_to_arrays(apply_curves, image, values, _groups()) - image)
    assert difference[:, 20:44, 20:44].mean() > 0.01
    assert difference[:, :2].max() < 1e-5
    assert difference[:, :, -2:].max() < 1e-5


def test_shifts_move_regions_but_neither_the_background_nor_air():
    values = draw_shifts(np.random.default_rng(0), 500, 1.0)
    assert not values.table[:, :2].any()
    assert np.abs(values.table).max() == pytest.approx(MAX_REGION_SHIFT, rel=0.01)
    image = np.full((1, SIZE, SIZE, 1), 0.5, np.float32)
    image[:, :, 32] = 0
    first = _first(values)._replace(sigma=np.float32([3]))
    shifted = apply_to_arrays(shift_regions, image, first, _groups())[0, ..., 0]
    expected = 0.5 + values.table[0, 2, 0]
    np.testing.assert_allclose(shifted[30, 26:31], expected, atol=2e-3)
    assert not shifted[:, 32].any()
    np.testing.assert_allclose(shifted[:3, 2], 0.5, atol=1e-5)


def test_strength_0_changes_nothing():
    image = np.random.default_rng(0).random((1, SIZE, SIZE, 2)).astype(np.float32)
    rng = np.random.default_rng(0)
    curves, shifts = (_first(draw(rng, 1, 0.0)) for draw in (draw_curves, draw_shifts))
    curved = apply_to_arrays(apply_curves, image, curves, _groups())
    np.testing.assert_allclose(curved, image, atol=1e-6)
    shifted = apply_to_arrays(shift_regions, image, shifts, _groups())
    np.testing.assert_allclose(shifted, image, atol=1e-6)
    assert draw_region_values(rng, curves.table).table is curves.table
