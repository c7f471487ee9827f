"""Which parts of the body show that an image is flipped, and which do not."""

import numpy as np
import pytest

from liverseg_tf.ct.volume import Volume
from liverseg_tf.dataset.check.rules import CheckSettings, judge_volumes

MM = 4.0


def ellipse(shape, centre, radii):
    """(row, col) bool; centre and radii in mm from the middle: (posterior, left)."""
    rows, cols = (np.arange(n) * MM - n * MM / 2 for n in shape)
    return ((rows[:, None] - centre[0]) / radii[0]) ** 2 + ((cols - centre[1]) / radii[1]) ** 2 <= 1


def head(shape=(60, 64, 64)):
    """A head that looks to the front: the face and the jaw have more bone than the back."""
    array = np.full(shape, -1000.0)
    for z, plane in enumerate(array):
        plane[ellipse(shape[1:], (0, 0), (95, 75))] = 35
        if z >= 15:  # the skull, with sinuses in front
            ring = ellipse(shape[1:], (0, 0), (92, 72)) & ~ellipse(shape[1:], (0, 0), (85, 65))
            plane[ring] = 900
        if 15 <= z < 30:
            plane[ellipse(shape[1:], (-60, 0), (14, 20))] = -800
        if z < 25:  # jaw and teeth
            jaw = ellipse(shape[1:], (-60, 0), (25, 40)) & ~ellipse(shape[1:], (-45, 0), (25, 30))
            plane[jaw] = 1500
            plane[ellipse(shape[1:], (60, 0), (12, 12))] = 400
    return array


def neck_and_shoulders():
    array = np.concatenate([np.full((25, 64, 128), -1000.0), np.pad(
        head(), ((0, 0), (0, 0), (32, 32)), constant_values=-1000)])  # fmt: skip
    for plane in array[:25]:
        plane[ellipse((64, 128), (0, 0), (90, 220))] = 45
        plane[ellipse((64, 128), (60, 0), (18, 18))] = 400
        for side in (-80, 80):
            plane[ellipse((64, 128), (0, side), (40, 45))] = -850  # apices of the lungs
    return array


def pelvis(shape=(40, 64, 110)):
    array = np.full(shape, -1000.0)
    for z, plane in enumerate(array):
        plane[ellipse(shape[1:], (0, 0), (110, 190))] = 45 if z % 2 else -90
        if z < 15:  # pubic bone
            plane[ellipse(shape[1:], (-60, 0), (15, 30))] = 700
    return array


def chest(shape=(40, 64, 110)):
    array = np.full(shape, -1000.0)
    for plane in array:
        plane[ellipse(shape[1:], (0, 0), (110, 190))] = 45
        plane[ellipse(shape[1:], (70, 0), (22, 22))] = 400
    for plane in array[20:]:
        for side in (-90, 90):
            plane[ellipse(shape[1:], (0, side), (70, 60))] = -850
    return array


def judge(array):
    """Kinds and texts of what the rules find in an image of this canonical array."""
    noise = np.random.default_rng(0).normal(0, 8, array.shape)
    affine = np.diag([-MM, -MM, MM, 1])  # LPS order of rows and columns
    affine[:3, 3] = 7, 7, 7
    volume = Volume((array + noise).astype(np.int16), affine)
    issues = judge_volumes("x", (volume, None), False, CheckSettings())
    return {issue.kind: issue.text for issue in issues}


@pytest.mark.parametrize("make", [head, neck_and_shoulders, pelvis, chest])
def test_images_in_their_true_orientation(make):
    assert "orientation" not in judge(make())


def test_a_chest_that_is_flipped():
    assert "spine in front" in judge(chest()[:, ::-1])["orientation"]
    assert "lungs below" in judge(chest()[::-1])["orientation"]
