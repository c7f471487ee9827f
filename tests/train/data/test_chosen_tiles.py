import numpy as np

from liverseg_tf.train.data.chosen_tiles import ChosenTiles, transform_chosen


def test_only_the_chosen_tiles_are_transformed():
    image = np.random.default_rng(0).random((6, 4, 4, 1)).astype(np.float32)
    chosen = ChosenTiles(
        np.array([2, 5], np.int32),
        np.array([10, 20], np.float32),
        np.array([0, 0, 0, 0, 1, 1], np.int32),
        np.array([False, False, True, False, False, False]),
    )
    found = np.asarray(
        transform_chosen(image, chosen, lambda tiles, value: tiles + value[:, None, None, None])
    )
    np.testing.assert_allclose(found[2], image[2] + 10)
    np.testing.assert_array_equal(np.delete(found, 2, 0), np.delete(image, 2, 0))
