import numpy as np
import pytest

from liverseg_tf.ct.volume import Volume
from liverseg_tf.evaluate.viewer.crop import (
    body_box,
    crop,
    downsample_image,
    downsample_labels,
    labels_box,
)

AFFINE = np.array([[-1.0, 0, 0, 40], [0, -1, 0, 50], [0, 0, 5, -7], [0, 0, 0, 1]])


def position_of(volume, z, row, col):
    return tuple(volume.affine @ (col, row, z, 1))[:3]


def test_body_box_excludes_the_table():
    array = np.full((6, 80, 80), -1000, np.int16)
    array[1:6, 20:52, 24:64] = 30
    array[:, 72:73, :] = 200
    z, row, col = body_box(Volume(array, AFFINE))
    assert (z.start, z.stop) == (0, 6)  # 10 mm of margin are 2 slices
    assert (row.start, row.stop) == (10, 62)
    assert (col.start, col.stop) == (14, 74)


def test_body_box_excludes_voxels_below_the_threshold():
    array = np.full((6, 80, 80), -1000, np.int16)
    array[1:6, 20:52, 24:64] = -299
    array[1:6, 52:60, :] = -300  # foam of the table, which touches the body
    _, row, col = body_box(Volume(array, AFFINE))
    assert (row.start, row.stop) == (10, 62)
    assert (col.start, col.stop) == (14, 74)
    _, row, _ = body_box(Volume(array, AFFINE), threshold=-500)
    assert (row.start, row.stop) == (10, 70)


def test_body_box_without_a_body():
    air = Volume(np.full((2, 9, 9), -1000, np.int16), AFFINE)
    assert body_box(air) == (slice(0, 2), slice(0, 9), slice(0, 9))


def test_labels_box():
    array = np.zeros((6, 40, 40), np.uint8)
    array[3, 20, 30] = 1
    other = np.zeros_like(array)
    other[2, 10, 5] = 9
    masks = [Volume(mask, AFFINE) for mask in (array, other, np.zeros_like(array))]
    assert labels_box(masks, 5) == (slice(1, 5), slice(5, 26), slice(0, 36))
    assert labels_box(masks[2:]) is None
    assert labels_box(masks[:1], 0) == (slice(3, 4), slice(20, 21), slice(30, 31))


def test_cropped_voxels_keep_their_position():
    volume = Volume(np.arange(6 * 7 * 8).reshape(6, 7, 8), AFFINE)
    cropped = crop(volume, np.s_[2:5, 3:6, 1:7])
    assert cropped.array[1, 2, 3] == volume.array[3, 5, 4]
    assert position_of(cropped, 1, 2, 3) == position_of(volume, 3, 5, 4)


@pytest.mark.parametrize("factor", [2, 3])
def test_downsampled_voxels_keep_their_position(factor):
    z, row, col = np.ogrid[:2, :13, :14]
    ramp = Volume((z + 10.0 * row + 100 * col).astype(np.float32), AFFINE)
    small = downsample_image(ramp, factor)
    assert small.array.shape == (2, 13 // factor, 14 // factor)
    x, y, _ = position_of(small, 1, 2, 1)
    assert small.array[1, 2, 1] == pytest.approx(1 + 10 * (50 - y) + 100 * (40 - x))
    assert small.spacing_mm == (5, factor, factor)


def test_labels_need_half_of_a_block():
    array = np.zeros((1, 2, 6), np.uint8)
    array[0, :, 0] = 1
    array[0, 0, 2] = 1
    array[0, :, 4:] = [[2, 2], [2, 1]]
    assert downsample_labels(Volume(array, AFFINE), 2).array.tolist() == [[[1, 0, 2]]]
