import keras
import numpy as np
import pytest

from liverseg_tf.predict.models.half_precision import to_half_precision
from liverseg_tf.train.network.unet import UNetSpec, build_unet


def _randomise(model):
    rng = np.random.default_rng(0)
    for layer in model.layers:
        weights = layer.get_weights()
        if isinstance(layer, keras.layers.BatchNormalization):
            layer.set_weights([rng.uniform(0.5, 2, weight.shape) for weight in weights])
    return model


@pytest.mark.parametrize(
    "spec",
    [
        UNetSpec(1, ("a", "b"), 4, 1, residual=True),
        UNetSpec(1, ("a", "b"), 4, 1, "none", patch=2, stem_filters=2),
    ],
)
def test_the_copy_includes_batch_normalisation_in_its_convolutions(spec):
    keras.utils.set_random_seed(0)
    model = _randomise(build_unet(spec))
    copy = to_half_precision(model, "float16")
    assert [layer.name for layer in copy.layers] == [layer.name for layer in model.layers]
    assert not any(isinstance(x, keras.layers.BatchNormalization) for x in copy.layers)
    assert copy.get_layer("logits").compute_dtype == "float32"
    assert copy.get_layer("down0_conv_a").compute_dtype == "float16"
    tiles = np.random.default_rng(1).integers(0, 256, (1, 8, 12, 1), np.uint8)
    expected, found = (np.asarray(one(tiles, training=False)) for one in (model, copy))
    assert expected.std() > 0.01
    np.testing.assert_allclose(found, expected, atol=0.01)


def test_normalisation_of_a_convolution_with_two_uses_or_an_activation_is_kept():
    inputs = keras.Input((None, None, 1))
    shared = keras.layers.Conv2D(2, 3, padding="same")(inputs)
    active = keras.layers.Conv2D(2, 3, padding="same", activation="relu")(inputs)
    norms = [keras.layers.BatchNormalization()(x) for x in (shared, active)]
    outputs = keras.layers.Conv2D(1, 1, activation="sigmoid")(
        keras.layers.Concatenate()([shared, *norms])
    )
    model = _randomise(keras.Model(inputs, outputs))
    copy = to_half_precision(model, "float16")
    assert sum(isinstance(x, keras.layers.BatchNormalization) for x in copy.layers) == 2
    assert copy.layers[-1].compute_dtype == "float32"
    tiles = np.random.default_rng(1).integers(0, 256, (1, 8, 8, 1)) / 255
    expected, found = (np.asarray(one(tiles, training=False)) for one in (model, copy))
    np.testing.assert_allclose(found, expected, atol=0.01)
