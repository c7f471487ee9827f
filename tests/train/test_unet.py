import itertools

import keras
import numpy as np
import pytest

from liverseg_tf.train.unet import UNetSpec, build_unet


@pytest.mark.parametrize("normalisation", ["batch", "instance", "none"])
def test_probabilities_have_the_shape_of_the_tiles_for_any_size(normalisation):
    spec = UNetSpec(3, ("liver", "tumour"), base_filters=4, depth=3, normalisation=normalisation)
    model = build_unet(spec)
    for height, width in [(16, 16), (24, 40)]:
        tiles = np.random.default_rng(0).integers(0, 256, (2, height, width, 3), np.uint8)
        found = np.asarray(model(tiles))
        assert found.shape == (2, height, width, 2)
        assert found.dtype == np.float32
        assert ((found >= 0) & (found <= 1)).all()
    assert spec.stride == 8


def test_the_default_network_has_the_parameters_that_its_layers_add_up_to():
    # worked by hand: 3x3 convolutions without bias, 4 numbers a channel of batch normalisation,
    # 2x2 transposed convolutions with bias, 1x1 convolution with bias
    filters = [16, 32, 64, 128, 256]
    pairs = [(1, 16), *itertools.pairwise(filters)]
    down = sum(9 * a * b + 9 * b * b + 8 * b for a, b in pairs)
    up = sum(4 * 2 * b * b + b + 9 * 2 * b * b + 9 * b * b + 8 * b for b in reversed(filters[:-1]))
    assert build_unet(UNetSpec()).count_params() == down + up + 17


def test_filters_stop_at_512():
    model = build_unet(UNetSpec(base_filters=128, depth=3))
    widths = [layer.filters for layer in model.layers if isinstance(layer, keras.layers.Conv2D)]
    assert max(widths) == 512


def test_a_saved_model_loads_in_safe_mode_without_our_code_and_answers_the_same(tmp_path):
    model = build_unet(UNetSpec(base_filters=4, depth=2, dropout=0.2))
    model.save(tmp_path / "model.keras")
    loaded = keras.saving.load_model(tmp_path / "model.keras", compile=False, safe_mode=True)
    tiles = np.random.default_rng(1).integers(0, 256, (1, 16, 16, 1), np.uint8)
    np.testing.assert_array_equal(model.predict_on_batch(tiles), loaded.predict_on_batch(tiles))


def test_an_output_depends_on_its_surroundings_but_not_on_the_rest_of_the_batch():
    model = build_unet(UNetSpec(base_filters=4, depth=2))
    rng = np.random.default_rng(2)
    tiles = rng.integers(0, 256, (2, 32, 32, 1), np.uint8)
    alone = model.predict_on_batch(tiles[:1])
    np.testing.assert_allclose(model.predict_on_batch(tiles)[:1], alone, atol=1e-5)
    changed = tiles[:1].copy()
    changed[0, 16, 16] = 255 - changed[0, 16, 16]
    difference = np.abs(model.predict_on_batch(changed) - alone)[0, ..., 0]
    assert difference[16, 16] > 0
    assert (difference > 0).sum() > 9
