import numpy as np
import pytest

from liverseg_tf.errors import SettingsError
from liverseg_tf.train.data.custom_augmentation import augment_tiles


def _batch():
    rng = np.random.default_rng(0)
    return rng.integers(0, 256, (4, 6, 5, 2), np.uint8), rng.integers(0, 3, (4, 6, 5, 1), np.uint8)


def _shift(image, mask, generator):
    return image.astype(np.float32) + 300 * generator.random(), mask[::-1]


def test_each_tile_has_its_own_numbers_whatever_the_shard():
    image, mask = _batch()
    before = image.copy()
    images, masks = augment_tiles(_shift, image, mask, (7, 3), 0)
    assert images.dtype == np.float32
    assert images.min() >= 0
    assert images.max() <= 255
    np.testing.assert_array_equal(masks, mask[:, ::-1])
    np.testing.assert_array_equal(image, before)
    second = augment_tiles(_shift, image[2:], mask[2:], (7, 3), 2)
    np.testing.assert_array_equal(second[0], images[2:])
    other = augment_tiles(_shift, image, mask, (7, 4), 0)
    assert (other[0] != images).any()


@pytest.mark.parametrize(
    ("function", "reason"),
    [
        (lambda i, m, g: i, "a pair of image and mask"),
        (lambda i, m, g: (i[1:], m), r"an image \(6, 5, 2\)"),
        (lambda i, m, g: (i * np.nan, m), "NaN"),
        (lambda i, m, g: (i, m / 2), "integers"),
        (lambda i, m, g: (i, m + 3), "values of the tile"),
        (lambda i, m, g: (i, m.astype(int) - 9), "values of the tile"),
    ],
)
def test_what_is_no_tile_is_refused(function, reason):
    with pytest.raises(SettingsError, match=reason):
        augment_tiles(function, *_batch(), (0, 0), 0)
