import numpy as np
import pytest
from scipy import ndimage

from liverseg_tf.train.data import warp
from liverseg_tf.train.data.draws import BatchDraws
from liverseg_tf.train.data.smoothing import CONTROL_POINTS, spline_matrix
from liverseg_tf.train.settings import TrainSettings

SIZE = 64
SHAPE = (SIZE, SIZE)
IDENTITY = np.array([[[1, 0, 0], [0, 1, 0]]], np.float32)
NO_DEFORMATION = np.zeros((1, 2, CONTROL_POINTS, CONTROL_POINTS), np.float32)


def _draw(seed, count, strength, mirror=False):
    return BatchDraws(TrainSettings(seed=seed, augment=strength, mirror=mirror), count, SHAPE).draw(
        0
    )


def _picture(channels=1):
    rng = np.random.default_rng(0)
    smooth = ndimage.gaussian_filter(rng.random((SIZE, SIZE, channels)), (3, 3, 0))
    return ((smooth - smooth.min()) / np.ptp(smooth) * 255)[None].astype(np.float32)


@pytest.mark.parametrize("strength", [1.0, 2.0])
def test_an_affine_transform_equals_that_of_scipy(strength):
    image = _picture()
    matrix = _draw(1, 1, strength, mirror=True).matrix
    mask = (image > 128).astype(np.uint8)
    warped, moved = warp.warp_tiles(image, mask, matrix, NO_DEFORMATION)
    (a, b, x), (c, d, y) = matrix[0]
    options = {"matrix": [[d, c], [b, a]], "offset": (y, x), "mode": "grid-constant"}
    expected = ndimage.affine_transform(image[0, ..., 0], order=1, **options)
    np.testing.assert_allclose(np.asarray(warped)[0, ..., 0], expected, atol=0.02)
    nearest = ndimage.affine_transform(mask[0, ..., 0], order=0, **options)
    # where two pixels are equally near, either is right
    assert (np.asarray(moved)[0, ..., 0] != nearest).mean() < 0.002


def test_a_deformation_equals_that_of_scipy():
    image = _picture(2)
    points = np.random.default_rng(1).normal(0, 4, NO_DEFORMATION.shape).astype(np.float32)
    deformed, _ = warp.warp_tiles(image, image[..., :1] > 128, IDENTITY, points)
    x, y = spline_matrix(SIZE) @ points[0] @ spline_matrix(SIZE).T
    rows, cols = np.mgrid[:SIZE, :SIZE]
    for channel in range(2):
        expected = ndimage.map_coordinates(
            image[0, ..., channel], [rows + y, cols + x], order=1, mode="grid-constant"
        )
        np.testing.assert_allclose(np.asarray(deformed)[0, ..., channel], expected, atol=0.01)


@pytest.mark.parametrize("size", [5, 40, 64])
def test_control_points_are_interpolated_as_by_a_bicubic_resize(size):
    points = np.random.default_rng(0).normal(size=(1, CONTROL_POINTS, CONTROL_POINTS, 1))
    tf = pytest.importorskip("tensorflow")  # other backends have no such operation
    expected = tf.image.resize(points.astype(np.float32), (size, size), "bicubic")[0, ..., 0]
    found = spline_matrix(size) @ points[0, ..., 0] @ spline_matrix(size).T
    np.testing.assert_allclose(found, expected, atol=1e-5)


def test_displacements_are_smooth():
    points = _draw(1, 200, 1.0).control_points
    displacements = spline_matrix(SIZE) @ points @ spline_matrix(SIZE).T
    assert np.abs(np.diff(displacements, axis=2)).max() < 1  # no folding


def test_tiles_are_moved_independently_and_outside_is_0():
    image = np.full((64, SIZE, SIZE, 1), 100, np.uint8)
    mask = np.ones((64, SIZE, SIZE, 1), np.uint8)
    mask[:, : SIZE // 2, : SIZE // 2] = 0
    drawn = _draw(1, 64, 1.0)
    moved, labels = warp.warp_tiles(image, mask, drawn.matrix, drawn.control_points)
    moved, labels = np.asarray(moved), np.asarray(labels)
    assert moved.dtype == np.float32
    assert labels.dtype == np.uint8
    assert set(np.unique(labels)) == {0, 1}
    assert len({tile.tobytes() for tile in labels}) == 64
    assert moved.max() < 100.1
    far = _draw(1, 64, 0.0).matrix
    far[:, 0, 2] = 3 * SIZE
    assert not np.asarray(warp.warp_tiles(image, mask, far, drawn.control_points * 0)[0]).any()
