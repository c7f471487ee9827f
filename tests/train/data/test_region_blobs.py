import numpy as np
import pytest
from tensors import apply_to_arrays

from liverseg_tf.train.data.region_blobs import AMPLITUDE_RANGE, add_blobs, draw_blobs

SIZE = 64


def _groups():
    groups = np.zeros((1, SIZE, SIZE, 1), np.int32)
    groups[:, 8:56, 8:30] = 2
    groups[:, 8:56, 34:56] = 3
    return groups


def _change(seed, strength=1.0, groups=None):
    blobs = draw_blobs(np.random.default_rng(seed), 1, strength)
    blobs = type(blobs)(*(np.float32(array) for array in blobs))
    image = np.full((1, SIZE, SIZE, 3), 0.5, np.float32)
    changed = apply_to_arrays(add_blobs, image, blobs, _groups() if groups is None else groups)
    return blobs, changed - image


def test_blobs_lie_inside_the_regions_and_all_channels_have_the_same():
    found = 0
    for seed in range(40):
        blobs, change = _change(seed)
        assert not change[_groups()[..., 0] == 0].any()
        np.testing.assert_array_equal(change[..., 0], change[..., 2])
        found += bool(change.any())
        assert np.abs(change).max() <= np.abs(blobs.amplitude).sum() + 1e-6
    assert found > 30  # all but 0.4 ** 4 of the draws have a blob


def test_a_blob_stays_in_its_organ():
    for seed in range(200):
        blobs, change = _change(seed)
        if np.count_nonzero(blobs.amplitude) == 1:
            organs = {int(g) for g in np.unique(_groups()[change[..., :1] != 0])}
            assert len(organs) == 1


def test_most_blobs_are_dark_and_their_contrast_is_in_its_range():
    amplitude = draw_blobs(np.random.default_rng(0), 4000, 1.0).amplitude
    contrast = np.abs(amplitude[amplitude != 0])
    assert contrast.min() >= AMPLITUDE_RANGE[0]
    assert contrast.max() <= AMPLITUDE_RANGE[1]
    assert (amplitude < 0).sum() / len(contrast) == pytest.approx(0.75, abs=0.02)


def test_tiles_without_a_region_and_strength_0_are_unchanged():
    assert not _change(0, groups=np.zeros((1, SIZE, SIZE, 1), np.int32))[1].any()
    assert not _change(0, strength=0.0)[1].any()
