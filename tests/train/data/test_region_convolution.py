import numpy as np
import pytest
from scipy import ndimage
from tensors import apply_to_arrays

from liverseg_tf.train.data.chosen_tiles import ChosenTiles
from liverseg_tf.train.data.region_convolution import (
    FEATURES,
    HIDDEN,
    MAX_SHARE,
    RegionConvolution,
    convolve_regions,
    draw_kernels,
    draw_shares,
)
from liverseg_tf.train.data.region_maps import GROUPS

SHAPE = (40, 48)


def _network(strength=1.0, seed=0):
    rng = np.random.default_rng(seed)
    kernels, shares = draw_kernels(rng), draw_shares(rng, 1, strength)
    shares = type(shares)(*map(np.float32, shares))
    tile = np.zeros(1, np.int32)
    return RegionConvolution(*kernels, ChosenTiles(tile, shares, tile, np.ones(1, bool)))


def _convolve(image, network, groups):
    return apply_to_arrays(convolve_regions, image, network, network.chosen.value, groups)


def _image(channels=2):
    rng = np.random.default_rng(5)
    return (0.2 + 0.6 * rng.random((1, *SHAPE, channels))).astype(np.float32)


def test_one_group_equals_two_convolutions_of_scipy():
    network = _network()
    table = np.broadcast_to(network.chosen.value.table[:, 3:4], (1, GROUPS, FEATURES + 1))
    shares = network.chosen.value._replace(table=np.ascontiguousarray(table))
    network = network._replace(chosen=network.chosen._replace(value=shares))
    image = _image(1)
    plane = image[0, ..., 0]

    def filtered(channels, kernels):
        return [
            sum(
                ndimage.correlate(channel, kernels[..., n, m], mode="constant")
                for n, channel in enumerate(channels)
            )
            for m in range(kernels.shape[3])
        ]

    hidden = [h + b for h, b in zip(filtered([plane], network.first), network.bias, strict=True)]
    hidden = [np.where(h > 0, h, 0.1 * h) for h in hidden]
    features = [(f - f.mean()) / f.std() for f in filtered(hidden, network.second)]
    weights = table[0, 0]
    output = sum(w * f for w, f in zip(weights[:FEATURES], features, strict=True))
    share = weights[FEATURES]
    expected = plane + plane.std() * output + share * (plane.mean() - plane)
    found = _convolve(image, network, np.zeros((1, *SHAPE, 1), np.int32))
    np.testing.assert_allclose(found[0, ..., 0], expected, atol=1e-3)


def test_the_parameters_cover_their_ranges():
    first, bias, second = draw_kernels(np.random.default_rng(0))
    assert (first.shape, bias.shape, second.shape) == (
        (3, 3, 1, HIDDEN),
        (HIDDEN,),
        (3, 3, HIDDEN, FEATURES),
    )
    table = draw_shares(np.random.default_rng(0), 200, 1.0).table
    share = table[..., FEATURES]
    assert share.min() < 0.01
    assert share.max() == pytest.approx(MAX_SHARE, rel=0.01)
    np.testing.assert_allclose(np.linalg.norm(table[..., :FEATURES], axis=2), share)
    assert draw_shares(np.random.default_rng(0), 50, 3.0).table[..., FEATURES].max() <= 1


def test_air_stays_air_and_only_the_region_with_a_share_changes():
    network = _network()
    table = np.zeros_like(network.chosen.value.table)
    table[:, 2] = network.chosen.value.table[:, 2]
    shares = network.chosen.value._replace(table=table, sigma=np.float32([3]))
    network = network._replace(chosen=network.chosen._replace(value=shares))
    image = _image()
    image[:, 30:] = 0
    groups = np.zeros((1, *SHAPE, 1), np.int32)
    groups[:, :, 24:] = 2
    difference = np.abs(_convolve(image, network, groups) - image)
    assert not difference[:, 30:].any()
    assert difference[:, :, :8].max() < 1e-4
    assert difference[:, :30, 30:].mean() > 0.01


def test_strength_0_changes_nothing():
    image = _image()
    found = _convolve(image, _network(0.0), np.zeros((1, *SHAPE, 1), np.int32))
    np.testing.assert_allclose(found, image, atol=1e-6)
