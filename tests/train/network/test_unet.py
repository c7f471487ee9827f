import functools
import itertools

import keras
import numpy as np
import pytest

from liverseg_tf.train.network.unet import UNetSpec, build_training_unet, build_unet

SPECS = {
    "plain": UNetSpec(3, ("liver", "tumour"), base_filters=4, depth=3),
    "instance": UNetSpec(3, ("liver", "tumour"), 4, 3, normalisation="instance"),
    "no normalisation": UNetSpec(3, ("liver", "tumour"), 4, 3, normalisation="none"),
    "residual": UNetSpec(3, ("liver", "tumour"), 4, 3, residual=True),
    "attention": UNetSpec(3, ("liver", "tumour"), 4, 3, attention=True),
    "patches": UNetSpec(3, ("liver", "tumour"), 4, 2, patch=2),
    "stem": UNetSpec(3, ("liver", "tumour"), 4, 2, patch=2, stem_filters=3),
    "all options": UNetSpec(
        3, ("liver", "tumour"), 4, 2, "instance", 0.2, residual=True, attention=True, patch=2
    ),
}


def _tiles(*shape, seed=0):
    return np.random.default_rng(seed).integers(0, 256, shape, np.uint8)


@functools.cache
def _model(name):
    return build_unet(SPECS[name])


def _predict(model, tiles):
    """The probabilities without tracing, which would take longer than these tiles do."""
    return np.asarray(model(tiles, training=False))


@pytest.mark.parametrize("name", SPECS)
def test_probabilities_have_the_size_of_the_tiles(name):
    for height, width in [(16, 16), (24, 40)]:
        probabilities = _predict(_model(name), _tiles(2, height, width, 3))
        assert probabilities.shape == (2, height, width, 2)
        assert probabilities.dtype == np.float32
        assert ((probabilities >= 0) & (probabilities <= 1)).all()
    assert SPECS[name].stride == 8


def test_the_number_of_parameters_is_the_sum_over_the_layers():
    # by hand: 3x3 convolutions without bias, batch normalisation with 4 numbers per channel, 2x2
    # transposed convolutions with bias, one 1x1 convolution with bias
    filters = [16, 32, 64, 128, 256]
    pairs = [(1, 16), *itertools.pairwise(filters)]
    down = sum(9 * a * b + 9 * b * b + 8 * b for a, b in pairs)
    up = sum(4 * 2 * b * b + b + 9 * 2 * b * b + 9 * b * b + 8 * b for b in reversed(filters[:-1]))
    assert build_unet(UNetSpec()).count_params() == down + up + 17


def test_the_number_of_filters_is_at_most_512():
    model = build_unet(UNetSpec(base_filters=128, depth=3))
    widths = [layer.filters for layer in model.layers if isinstance(layer, keras.layers.Conv2D)]
    assert max(widths) == 512


@pytest.mark.parametrize("name", SPECS)
def test_a_saved_model_loads_in_safe_mode_and_predicts_the_same(tmp_path, name):
    model = _model(name)
    model.save(tmp_path / "model.keras")
    loaded = keras.saving.load_model(tmp_path / "model.keras", compile=False, safe_mode=True)
    assert all(type(layer).__module__.startswith("keras.") for layer in loaded.layers)
    tiles = _tiles(1, 16, 16, 3, seed=1)
    np.testing.assert_array_equal(_predict(model, tiles), _predict(loaded, tiles))


def test_a_prediction_depends_on_neighbouring_pixels_but_not_on_other_tiles():
    keras.utils.set_random_seed(0)  # with some initial weights, the pixel has no effect
    model = build_unet(UNetSpec(base_filters=4, depth=2))
    tiles = _tiles(2, 32, 32, 1, seed=2)
    single = _predict(model, tiles[:1])
    np.testing.assert_allclose(_predict(model, tiles)[:1], single, atol=1e-5)
    changed = tiles[:1].copy()
    changed[0, 16, 16] = 255 - changed[0, 16, 16]
    difference = np.abs(_predict(model, changed) - single)[0, ..., 0]
    assert difference[16, 16] > 0
    assert (difference > 0).sum() > 9


def test_outputs_of_deep_supervision_have_the_size_of_their_level():
    spec = SPECS["patches"]
    outputs = build_training_unet(spec, deep_supervision=2)(_tiles(1, 32, 16, 3))
    assert [tuple(output.shape) for output in outputs] == [(1, 32, 16, 2), (1, 8, 4, 2)]
    outputs = build_training_unet(SPECS["plain"], deep_supervision=3)(_tiles(1, 32, 16, 3))
    assert [tuple(output.shape) for output in outputs] == [
        (1, 32, 16, 2),
        (1, 16, 8, 2),
        (1, 8, 4, 2),
    ]


def test_the_inference_network_is_the_sigmoid_of_the_training_network():
    spec = SPECS["residual"]
    keras.utils.set_random_seed(0)
    training_model = build_training_unet(spec)
    inference_model = build_unet(spec)
    inference_model.set_weights(training_model.get_weights())
    tiles = _tiles(1, 16, 16, 3)
    logits = training_model(tiles)
    np.testing.assert_allclose(
        inference_model(tiles), 1 / (1 + np.exp(-np.asarray(logits, np.float64))), atol=1e-6
    )


def test_conditional_probabilities_are_multiplied_by_those_of_the_outer_regions(tmp_path):
    plain = build_unet(UNetSpec(outputs=("a", "b", "c"), base_filters=4, depth=2))
    spec = UNetSpec(outputs=("a", "b", "c"), base_filters=4, depth=2, inside=((), (0,), (1, 0)))
    model = build_unet(spec)
    model.set_weights(plain.get_weights())
    tiles = np.random.default_rng(0).uniform(0, 255, (2, 16, 16, 1)).astype(np.float32)
    a, b, c = np.moveaxis(plain.predict(tiles, verbose=0), -1, 0)
    model.save(tmp_path / "model.keras")
    loaded = keras.models.load_model(tmp_path / "model.keras", safe_mode=True)
    expected = np.stack([a, a * b, a * b * c], axis=-1)
    np.testing.assert_allclose(loaded.predict(tiles, verbose=0), expected, atol=1e-6)


def test_a_residual_block_with_zero_weights_returns_its_input():
    model = build_unet(UNetSpec(4, base_filters=4, depth=1, residual=True, normalisation="none"))
    block = keras.Model(model.input, model.get_layer("down0_relu_b").output)
    for layer in block.layers:
        layer.set_weights([np.zeros_like(weight) for weight in layer.get_weights()])
    tiles = _tiles(1, 4, 4, 4)
    np.testing.assert_allclose(block(tiles), np.maximum(tiles / 127.5 - 1, 0), atol=1e-6)


def test_attention_gates_weight_the_skip_connections():
    model = build_unet(UNetSpec(1, base_filters=4, depth=1, attention=True))
    gate = model.get_layer("up0_gate_weight")
    kernel, bias = gate.get_weights()
    skip = keras.Model(
        model.input, [model.get_layer("down0_relu_b").output, model.get_layer("up0_gate").output]
    )
    tiles = _tiles(1, 4, 4, 1)
    for value, weight in ((-100, 0), (0, 0.5), (100, 1)):
        gate.set_weights([np.zeros_like(kernel), np.full_like(bias, value)])
        before, after = skip(tiles)
        np.testing.assert_allclose(after, np.asarray(before) * weight, atol=1e-6)


def test_the_representation_shows_the_size_and_what_differs_from_the_defaults():
    assert repr(UNetSpec()) == (
        "UNetSpec(channels=1, outputs=('liver',), base_filters=16, depth=4)"
    )
    spec = UNetSpec(3, ("liver", "tumour"), 8, 5, residual=True, encoder="MobileNetV3Small")
    assert repr(spec) == (
        "UNetSpec(channels=3, outputs=('liver', 'tumour'), base_filters=8, depth=5, "
        "residual=True, encoder='MobileNetV3Small')"
    )
    assert eval(repr(spec)) == spec
