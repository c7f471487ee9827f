import numpy as np
import pytest
from skimage import measure

from liverseg_tf.ct.regions import LIVER_REGIONS, Regions
from liverseg_tf.errors import SettingsError
from liverseg_tf.predict.postprocess import keep_largest


def test_smaller_components_go_with_what_is_in_them():
    labels = np.zeros((4, 20, 20), np.uint8)
    labels[1:3, 2:12, 2:12] = 1
    labels[1, 5:7, 5:7] = 2
    labels[1, 3, 3] = 2
    labels[1, 15:18, 15:18] = 1
    labels[1, 16, 16] = 2
    expected = labels.copy()
    expected[:, 14:] = 0
    found = keep_largest(labels, LIVER_REGIONS, ("liver",))
    np.testing.assert_array_equal(found, expected)


def test_a_removed_tumour_leaves_liver():
    labels = np.ones((1, 6, 12), np.uint8)
    labels[0, 1:4, 1:4] = 2
    labels[0, 2, 8] = 2
    found = keep_largest(labels, LIVER_REGIONS, ("tumour",))
    assert found[0, 2, 8] == 1
    assert (found == 2).sum() == 9


def test_corners_connect_and_empty_stays_empty():
    labels = np.zeros((3, 3, 3), np.uint8)
    np.testing.assert_array_equal(keep_largest(labels, LIVER_REGIONS, ("liver",)), labels)
    labels[0, 0, 0] = labels[1, 1, 1] = labels[2, 2, 2] = 1
    np.testing.assert_array_equal(keep_largest(labels, LIVER_REGIONS, ("liver",)), labels)


def test_it_agrees_with_scikit_image_on_noise():
    rng = np.random.default_rng(0)
    labels = (rng.random((8, 16, 16)) < 0.15).astype(np.uint8)
    components = measure.label(labels, connectivity=3)
    sizes = np.bincount(components.ravel())[1:]
    expected = components == sizes.argmax() + 1
    found = keep_largest(labels, Regions({"organ": (1,)}), ("organ",))
    assert found.sum() == sizes.max()
    np.testing.assert_array_equal(found.astype(bool), expected)


def test_unknown_regions_are_named():
    with pytest.raises(SettingsError, match=r"Expected a region of liver, tumour. Received 'lung'"):
        keep_largest(np.zeros((1, 2, 2), np.uint8), LIVER_REGIONS, ("lung",))
