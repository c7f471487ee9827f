import numpy as np
import pytest
from scipy import ndimage

from liverseg_tf.ct.nifti import read_labels

PAIRS = ("blobs", "far", "one voxel", "border", "full", "inside")


@pytest.fixture(params=PAIRS)
def mask_pair(request):
    """Two masks (z, row, col), neither of which is empty."""
    z, row, col = np.ogrid[:14, :24, :26]
    ball = (z - 7) ** 2 * 6 + (row - 12) ** 2 + (col - 11) ** 2 < 70
    point = np.zeros(ball.shape, bool)
    point[2, 20, 3] = True
    noise = np.random.default_rng(0).normal(size=(2, *ball.shape))
    blobs = [ndimage.gaussian_filter(values, 1.5) > 0.05 for values in noise]
    return {
        "blobs": (blobs[0], blobs[1]),
        "far": (ball, point),
        "one voxel": (point, np.roll(point, (3, -2), (0, 1))),
        "border": (np.roll(ball, -9, 0), np.roll(ball, 14, 2)),
        "full": (np.ones_like(ball), ball),
        "inside": (ball, ndimage.binary_erosion(ball)),
    }[request.param]


@pytest.fixture
def real_masks(shared_data):
    """A liver; the same liver shifted, eroded and with a false positive; their spacing in mm."""
    labels = read_labels(shared_data / "Task03_Liver/labelsTr/liver_0.nii.gz")
    liver = labels.array > 0
    other = ndimage.binary_erosion(np.roll(liver, (1, 3, -2), (0, 1, 2)), iterations=2)
    other[:3, 40:60, 300:330] = True
    return liver, other, labels.spacing_mm
