import numpy as np
import pytest
from scipy import ndimage

from liverseg_tf.train.data import warp
from liverseg_tf.train.data.random import BatchRandom, BatchSlice

SIZE = 64


def _random(count, seed=(1, 2)):
    return BatchRandom(np.array(seed, np.int32), BatchSlice(0, count, count))


def _matrix(*numbers):
    return np.array([[*numbers, 0, 0]], np.float32)


def _picture(channels=1):
    rng = np.random.default_rng(0)
    smooth = ndimage.gaussian_filter(rng.random((SIZE, SIZE, channels)), (3, 3, 0))
    return ((smooth - smooth.min()) / np.ptp(smooth) * 255)[None].astype(np.float32)


@pytest.mark.parametrize("strength", [1.0, 2.0])
def test_an_affine_transform_equals_that_of_scipy(strength):
    image = _picture()
    matrix = np.asarray(warp._draw_matrices(_random(1), (SIZE, SIZE), strength, True))
    warped = np.asarray(warp._apply_affine(image, matrix, "BILINEAR"))[0, ..., 0]
    a, b, x, c, d, y = matrix[0, :6]
    expected = ndimage.affine_transform(
        image[0, ..., 0], [[d, c], [b, a]], (y, x), order=1, mode="constant"
    )
    # at the border of the input, the two fade to 0 in different ways
    ones = np.ones((SIZE, SIZE))
    inside = ndimage.affine_transform(ones, [[d, c], [b, a]], (y, x), order=1, mode="constant") == 1
    assert inside.mean() > 0.5
    np.testing.assert_allclose(warped[inside], expected[inside], atol=0.02)


def test_random_matrices_cover_their_ranges_and_stay_inside():
    random = _random(4000)
    matrix = np.asarray(warp._draw_matrices(random, (SIZE, SIZE), 1.0, False))
    a, b, _, c, d = (matrix[:, n] for n in range(5))
    determinant = a * d - b * c
    scale = determinant**-0.5
    assert scale.min() == pytest.approx(warp.SCALE_RANGE[0], rel=0.01)
    assert scale.max() == pytest.approx(warp.SCALE_RANGE[1], rel=0.01)
    angle = np.degrees(np.arctan2(c, a))
    assert np.abs(angle).max() == pytest.approx(warp.MAX_ROTATION_DEGREES, rel=0.01)
    # without shear, the columns (a, c) and (b, d) are orthogonal
    shear = (a * b + c * d) / (a**2 + c**2)
    assert np.abs(shear).max() == pytest.approx(warp.MAX_SHEAR, rel=0.02)
    centre = (SIZE - 1) / 2
    for row in (0, 1):
        shift = matrix[:, 3 * row : 3 * row + 3] @ [centre, centre, 1] - centre
        assert np.abs(shift).max() == pytest.approx(warp.MAX_SHIFT * SIZE, rel=0.02)
    assert (determinant > 0).all()
    mirrored = np.asarray(warp._draw_matrices(random, (SIZE, SIZE), 1.0, True))
    is_mirrored = mirrored[:, 0] * mirrored[:, 4] - mirrored[:, 1] * mirrored[:, 3] < 0
    assert is_mirrored.mean() == pytest.approx(0.5, abs=0.05)


def test_a_deformation_of_zero_equals_the_affine_transform():
    image, mask = _picture(2), (_picture() > 128).astype(np.uint8)
    matrix = np.asarray(warp._draw_matrices(_random(1), (SIZE, SIZE), 1.0, False))
    deformed, deformed_mask = warp._apply_deformation(
        image, mask, matrix, np.zeros((1, SIZE, SIZE, 2), np.float32)
    )
    np.testing.assert_allclose(deformed, warp._apply_affine(image, matrix, "BILINEAR"), atol=0.02)
    nearest = np.asarray(warp._apply_affine(mask, matrix, "NEAREST"))
    assert (
        np.asarray(deformed_mask) != nearest
    ).mean() < 0.002  # where two pixels are equally near


def test_a_deformation_equals_that_of_scipy():
    image = _picture()
    rng = np.random.default_rng(1)
    displacements = ndimage.gaussian_filter(
        rng.normal(0, 40, (1, SIZE, SIZE, 2)), (0, 8, 8, 0)
    ).astype(np.float32)
    identity = _matrix(1, 0, 0, 0, 1, 0)
    deformed, _ = warp._apply_deformation(image, image > 128, identity, displacements)
    rows, cols = np.mgrid[:SIZE, :SIZE]
    expected = ndimage.map_coordinates(
        image[0, ..., 0],
        [rows + displacements[0, ..., 1], cols + displacements[0, ..., 0]],
        order=1,
        mode="grid-constant",
    )
    np.testing.assert_allclose(np.asarray(deformed)[0, ..., 0], expected, atol=0.01)


def test_displacements_are_smooth_and_have_the_stated_standard_deviation():
    image = np.zeros((200, SIZE, SIZE, 1), np.float32)
    displacements = np.asarray(warp._draw_displacements(_random(200), image, 1.0))
    assert displacements.shape == (200, SIZE, SIZE, 2)
    assert displacements.std() == pytest.approx(warp.ELASTIC_STD * SIZE, rel=0.35)
    assert np.abs(np.diff(displacements, axis=1)).max() < 1  # no folding


def test_tiles_are_moved_independently_and_outside_is_0():
    image = np.full((64, SIZE, SIZE, 1), 100, np.uint8)
    mask = np.ones((64, SIZE, SIZE, 1), np.uint8)
    mask[:, : SIZE // 2, : SIZE // 2] = 0
    moved, labels = warp.warp_tiles(image, mask, _random(64), 1.0, False)
    assert moved.dtype == np.float32
    assert labels.dtype == np.uint8
    assert set(np.unique(labels)) == {0, 1}
    assert len({tile.tobytes() for tile in np.asarray(labels)}) == 64
    assert float(np.abs(np.asarray(moved)[np.asarray(labels) == 0]).max()) < 100.1
