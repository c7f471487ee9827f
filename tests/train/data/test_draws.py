import itertools

import numpy as np
import pytest

from liverseg_tf.choices import DEFAULT_TRANSFORMS, TRANSFORMS
from liverseg_tf.ct.regions import Regions
from liverseg_tf.train.data import draws
from liverseg_tf.train.data.draws import BatchDraws
from liverseg_tf.train.settings import TrainSettings

SIZE = 64
LIVER = Regions({"liver": [1]})
_BY_TILE = ("matrix", "control_points", "contrast", "brightness", "gamma")


def _draw(count, step=0, seed=1, strength=1.0, mirror=False):
    settings = TrainSettings(seed=seed, augment=strength, mirror=mirror)
    return BatchDraws(settings, count, (SIZE, SIZE)).draw(step)


def _arrays(drawn):
    return [*drawn.blur, *drawn.resolution, *(v for v in drawn if isinstance(v, np.ndarray))]


def _absent(drawn):
    """Names of the fields that are ()."""
    return [
        name for name, value in drawn._asdict().items() if isinstance(value, tuple) and not value
    ]


def test_random_matrices_cover_their_ranges_and_stay_inside():
    matrix = _draw(4000).matrix
    (a, b, _), (c, d, _) = matrix[:, 0].T, matrix[:, 1].T
    determinant = a * d - b * c
    scale = determinant**-0.5
    assert scale.min() == pytest.approx(draws.SCALE_RANGE[0], rel=0.01)
    assert scale.max() == pytest.approx(draws.SCALE_RANGE[1], rel=0.01)
    angle = np.degrees(np.arctan2(c, a))
    assert np.abs(angle).max() == pytest.approx(draws.MAX_ROTATION_DEGREES, rel=0.01)
    # without shear, the columns (a, c) and (b, d) are orthogonal
    shear = (a * b + c * d) / (a**2 + c**2)
    assert np.abs(shear).max() == pytest.approx(draws.MAX_SHEAR, rel=0.02)
    centre = (SIZE - 1) / 2
    shift = matrix @ [centre, centre, 1] - centre
    assert np.abs(shift).max(axis=0) == pytest.approx([draws.MAX_SHIFT * SIZE] * 2, rel=0.02)
    assert (determinant > 0).all()


def test_half_of_the_tiles_are_mirrored():
    matrix = _draw(4000, mirror=True).matrix
    assert (np.linalg.det(matrix[:, :, :2]) < 0).mean() == pytest.approx(0.5, abs=0.05)


def test_control_points_have_the_stated_standard_deviation_in_their_fraction_of_the_tiles():
    points = _draw(4000).control_points
    deformed = points.any(axis=(1, 2, 3))
    assert deformed.mean() == pytest.approx(draws.ELASTIC_PROBABILITY, abs=0.03)
    assert points[deformed].std() == pytest.approx(draws.ELASTIC_STD * SIZE, rel=0.03)


@pytest.mark.parametrize("count", [1, 3, 8, 14])
def test_chosen_tiles_are_the_stated_fraction_with_equal_probability(count):
    applies = np.array([_draw(count, step).blur.applies for step in range(3000)])
    fraction = applies.mean(axis=0)
    assert fraction == pytest.approx([draws.BLUR_PROBABILITY] * count, abs=0.035)
    sigma = np.concatenate([_draw(count, step).blur.value for step in range(300)])
    low, high = draws.BLUR_SIGMA_RANGE
    assert low <= sigma.min() < sigma.max() <= high


def test_factors_cover_their_ranges_in_their_fraction_of_the_tiles():
    drawn = _draw(4000)
    for values, (low, high), neutral, fraction in (
        (drawn.contrast, draws.CONTRAST_RANGE, None, 1),
        (drawn.brightness, (-draws.MAX_BRIGHTNESS, draws.MAX_BRIGHTNESS), None, 1),
        (drawn.gamma, draws.GAMMA_RANGE, 1, draws.GAMMA_PROBABILITY),
        (drawn.noise_std, (0, draws.MAX_NOISE_STD), 0, draws.NOISE_PROBABILITY),
    ):
        changed = values[values != neutral]
        assert len(changed) / len(values) == pytest.approx(fraction, abs=0.03)
        assert changed.min() == pytest.approx(low, abs=0.01)
        assert changed.max() == pytest.approx(high, abs=0.01)


def test_strength_0_draws_no_change():
    drawn = _draw(64, strength=0.0)
    np.testing.assert_allclose(drawn.matrix, np.broadcast_to(np.eye(3)[:2], (64, 2, 3)), atol=1e-6)
    assert not drawn.control_points.any()
    assert not drawn.blur.value.any()
    assert (drawn.resolution.value == 1).all()
    assert (drawn.contrast == 1).all()
    assert (drawn.gamma == 1).all()
    assert not drawn.brightness.any()
    assert not drawn.noise_std.any()


def test_equal_seeds_and_steps_draw_equal_numbers_and_others_do_not():
    for left, right in zip(_arrays(_draw(8)), _arrays(_draw(8)), strict=True):
        np.testing.assert_array_equal(left, right)
    for other in (_draw(8, step=1), _draw(8, seed=2)):
        assert (other.matrix != _draw(8).matrix).all(axis=(1, 2)).any()
        assert (other.noise_key != _draw(8).noise_key).all()


def test_a_transform_that_is_left_out_does_not_change_the_numbers_of_the_others():
    def draw(*names):
        settings = TrainSettings(seed=1, context=3, transforms=names, regions=LIVER)
        return BatchDraws(settings, 8, (SIZE, SIZE)).draw(2)

    default, every = draw(*DEFAULT_TRANSFORMS), draw(*TRANSFORMS)
    for left, right in zip(_arrays(default), _arrays(every)[: len(_arrays(default))], strict=True):
        np.testing.assert_array_equal(left, right)
    new = TRANSFORMS[len(DEFAULT_TRANSFORMS) :]
    fields = _absent(default)
    assert len(fields) == len(new)
    without = [_absent(draw(*(n for n in TRANSFORMS if n != name))) for name in new]
    assert sorted(field for (field,) in without) == sorted(fields)
    few = draw("gamma", "region-curves")
    np.testing.assert_array_equal(few.gamma, default.gamma)
    np.testing.assert_array_equal(few.region_curves.value.table, every.region_curves.value.table)
    np.testing.assert_allclose(few.matrix, np.broadcast_to(np.eye(3)[:2], (8, 2, 3)), atol=1e-6)
    assert not few.control_points.any()
    assert (few.contrast == 1).all()
    assert not few.brightness.any()
    assert {"blur", "noise_key", "limits"} < set(_absent(few))


@pytest.mark.parametrize("bounds", [(0, 4, 8), (0, 2, 4, 6, 8), (0, 3, 8), (0, 1, 7, 8)])
def test_parts_of_a_batch_get_the_numbers_of_the_whole_batch(bounds):
    batch = BatchDraws(
        TrainSettings(seed=1, mirror=True, context=3, transforms=TRANSFORMS, regions=LIVER),
        8,
        (SIZE, SIZE),
    )
    for step in range(20):
        whole = batch.draw(step)
        pairs = list(itertools.pairwise(bounds))
        parts = [batch.draw(step, slice(*pair)) for pair in pairs]
        for name in (*_BY_TILE, "noise_std", "noise_key", "bias_field"):
            joined = np.concatenate([getattr(part, name) for part in parts])
            np.testing.assert_array_equal(joined, getattr(whole, name))
        limits = np.concatenate([part.limits for part in parts], axis=1)
        np.testing.assert_array_equal(limits, whole.limits)
        for (first, _), part in zip(pairs, parts, strict=True):
            for tile in np.flatnonzero(part.blur.applies):
                block = part.blur.block[tile]
                assert part.blur.tile[block] == tile
                assert whole.blur.applies[first + tile]
                expected = whole.blur.value[whole.blur.block[first + tile]]
                assert part.blur.value[block] == expected
        for name in ("blur", "grain", "thick_slices", "table_and_arms", "region_curves"):
            applies = np.concatenate([getattr(part, name).applies for part in parts])
            np.testing.assert_array_equal(applies, getattr(whole, name).applies)
        for (first, _), part in zip(pairs, parts, strict=True):
            for tile in np.flatnonzero(part.grain.applies):
                found = [array[part.grain.block[tile]] for array in part.grain.value]
                block = whole.grain.block[first + tile]
                assert found == [array[block] for array in whole.grain.value]
            np.testing.assert_array_equal(
                part.region_convolution.first, whole.region_convolution.first
            )
