import numpy as np

from liverseg_tf.train.network.conditional import product_of_outer


def test_each_region_gets_the_product_of_those_that_contain_it():
    a, b, c, d = np.random.default_rng(5).random((4, 2, 6, 6)).astype(np.float32)
    values = np.stack([a, b, c, d], axis=-1)
    # the last region is an auxiliary one, of which nothing is said
    found = np.asarray(product_of_outer(values, ((), (0,), (1, 0))))
    one = np.ones_like(a)
    np.testing.assert_allclose(found, np.stack([one, a, b * a, one], axis=-1), rtol=1e-6)


def test_inside_an_organ_the_ground_truth_gives_1_and_elsewhere_0():
    organ = np.random.default_rng(6).random((2, 6, 6)) < 0.5
    truth = np.stack([organ, organ & (organ.cumsum(axis=2) % 3 == 0)], axis=-1).astype(np.float32)
    found = np.asarray(product_of_outer(truth, ((), (0,))))
    np.testing.assert_array_equal(found[..., 0], 1)
    np.testing.assert_array_equal(found[..., 1], organ)
