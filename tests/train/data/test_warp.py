import numpy as np
import pytest
from scipy import ndimage

from liverseg_tf.train.data import warp
from liverseg_tf.train.data.random import BatchRandom, BatchSlice

SIZE = 64


def _draws(count, seed=(1, 2)):
    return BatchRandom(np.array(seed, np.int32), BatchSlice(0, count, count))


def _matrix(*numbers):
    return np.array([[*numbers, 0, 0]], np.float32)


def _picture(channels=1):
    rng = np.random.default_rng(0)
    smooth = ndimage.gaussian_filter(rng.random((SIZE, SIZE, channels)), (3, 3, 0))
    return ((smooth - smooth.min()) / np.ptp(smooth) * 255)[None].astype(np.float32)


@pytest.mark.parametrize("strength", [1.0, 2.0])
def test_matrices_map_outputs_to_inputs_as_scipy_does(strength):
    image = _picture()
    matrix = np.asarray(warp._matrices(_draws(1), (SIZE, SIZE), strength, True))
    found = np.asarray(warp._affine(image, matrix, "BILINEAR"))[0, ..., 0]
    a, b, x, c, d, y = matrix[0, :6]
    expected = ndimage.affine_transform(
        image[0, ..., 0], [[d, c], [b, a]], (y, x), order=1, mode="constant"
    )
    # along the source's rim the two fade to 0 in different ways
    ones = np.ones((SIZE, SIZE))
    inside = ndimage.affine_transform(ones, [[d, c], [b, a]], (y, x), order=1, mode="constant") == 1
    assert inside.mean() > 0.5
    np.testing.assert_allclose(found[inside], expected[inside], atol=0.02)


def test_the_ranges_are_reached_and_kept():
    draws = _draws(4000)
    matrix = np.asarray(warp._matrices(draws, (SIZE, SIZE), 1.0, False))
    a, b, _, c, d = (matrix[:, n] for n in range(5))
    determinant = a * d - b * c
    scale = determinant**-0.5
    assert scale.min() == pytest.approx(warp.SCALES[0], rel=0.01)
    assert scale.max() == pytest.approx(warp.SCALES[1], rel=0.01)
    angle = np.degrees(np.arctan2(c, a))
    assert np.abs(angle).max() == pytest.approx(warp.MOST_DEGREES, rel=0.01)
    # columns against rows: (a, c) and (b, d) are at right angles without shear
    shear = (a * b + c * d) / (a**2 + c**2)
    assert np.abs(shear).max() == pytest.approx(warp.MOST_SHEAR, rel=0.02)
    middle = (SIZE - 1) / 2
    for row in (0, 1):
        shift = matrix[:, 3 * row : 3 * row + 3] @ [middle, middle, 1] - middle
        assert np.abs(shift).max() == pytest.approx(warp.MOST_SHIFT * SIZE, rel=0.02)
    assert (determinant > 0).all()
    mirrored = np.asarray(warp._matrices(draws, (SIZE, SIZE), 1.0, True))
    turned = mirrored[:, 0] * mirrored[:, 4] - mirrored[:, 1] * mirrored[:, 3] < 0
    assert turned.mean() == pytest.approx(0.5, abs=0.05)


def test_bending_by_nothing_is_the_matrix_alone():
    image, mask = _picture(2), (_picture() > 128).astype(np.uint8)
    matrix = np.asarray(warp._matrices(_draws(1), (SIZE, SIZE), 1.0, False))
    bent, bent_mask = warp._bent(image, mask, matrix, np.zeros((1, SIZE, SIZE, 2), np.float32))
    np.testing.assert_allclose(bent, warp._affine(image, matrix, "BILINEAR"), atol=0.02)
    nearest = np.asarray(warp._affine(mask, matrix, "NEAREST"))
    assert (np.asarray(bent_mask) != nearest).mean() < 0.002  # at ties


def test_bending_samples_where_it_says_as_scipy_does():
    image = _picture()
    rng = np.random.default_rng(1)
    by = ndimage.gaussian_filter(rng.normal(0, 40, (1, SIZE, SIZE, 2)), (0, 8, 8, 0))
    by = by.astype(np.float32)
    bent, _ = warp._bent(image, image > 128, _matrix(1, 0, 0, 0, 1, 0), by)
    rows, cols = np.mgrid[:SIZE, :SIZE]
    expected = ndimage.map_coordinates(
        image[0, ..., 0],
        [rows + by[0, ..., 1], cols + by[0, ..., 0]],
        order=1,
        mode="grid-constant",
    )
    np.testing.assert_allclose(np.asarray(bent)[0, ..., 0], expected, atol=0.01)


def test_displacements_are_smooth_and_as_large_as_they_say():
    image = np.zeros((200, SIZE, SIZE, 1), np.float32)
    by = np.asarray(warp._displacements(_draws(200), image, 1.0))
    assert by.shape == (200, SIZE, SIZE, 2)
    assert by.std() == pytest.approx(warp.MOST_BEND * SIZE, rel=0.35)
    assert np.abs(np.diff(by, axis=1)).max() < 1  # no folds


def test_tiles_are_moved_one_by_one_and_outside_is_0():
    image = np.full((64, SIZE, SIZE, 1), 100, np.uint8)
    mask = np.ones((64, SIZE, SIZE, 1), np.uint8)
    mask[:, : SIZE // 2, : SIZE // 2] = 0
    moved, labels = warp.warp_tiles(image, mask, _draws(64), 1.0, False)
    assert moved.dtype == np.float32
    assert labels.dtype == np.uint8
    assert set(np.unique(labels)) == {0, 1}
    assert len({tile.tobytes() for tile in np.asarray(labels)}) == 64
    assert float(np.abs(np.asarray(moved)[np.asarray(labels) == 0]).max()) < 100.1
