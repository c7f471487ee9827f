import keras
import numpy as np
import pytest

from liverseg_tf.errors import SettingsError
from liverseg_tf.train.network.custom_model import (
    check_outputs,
    copy_model,
    find_stride,
    logits_of,
    with_probabilities,
)


def _network(shape=(None, None, 1), channels=2, activation="sigmoid", dtype=None):
    inputs = keras.Input(shape)
    pooled = keras.layers.MaxPooling2D(dtype=dtype)(inputs)
    x = keras.layers.UpSampling2D(dtype=dtype)(pooled)
    x = keras.layers.Concatenate(dtype=dtype)([x, inputs])
    return keras.Model(inputs, keras.layers.Conv2D(channels, 1, activation=activation)(x))


class Subclass(keras.Model):
    """Its layers are known to `call` only."""

    def __init__(self, **options):
        super().__init__(**options)
        self.convolution = keras.layers.Conv2D(2, 1, activation="sigmoid")

    def call(self, inputs):
        return self.convolution(inputs)


class Named(keras.Model):
    """A subclass that is made from inputs and outputs, as those of keras_hub."""

    def __init__(self, classes):
        inputs = keras.Input((32, 32, 1))
        super().__init__(inputs, keras.layers.Conv2D(classes, 1, activation="sigmoid")(inputs))
        self.classes = classes

    def get_config(self):
        return {"classes": self.classes}


@pytest.mark.parametrize(
    "make",
    [
        _network,
        lambda: _network((32, 32, 1)),
        lambda: _network(dtype="mixed_bfloat16"),
        lambda: Named(2),
        lambda: keras.Sequential(
            [keras.Input((32, 32, 1)), keras.layers.Conv2D(2, 1, activation="sigmoid")]
        ),
        Subclass,
    ],
    ids=["functional", "fixed size", "mixed", "named", "sequential", "subclass"],
)
def test_a_copy_takes_any_size_and_computes_the_same(make):
    model = make()
    tiles = np.random.default_rng(0).integers(0, 256, (1, 32, 32, 1)).astype(np.float32)
    expected = np.asarray(model(tiles), np.float32)
    copy = copy_model(model, 1, 2)
    np.testing.assert_allclose(np.asarray(copy(tiles)), expected, atol=1e-6)
    assert np.asarray(copy(np.zeros((2, 16, 48, 1)))).shape == (2, 16, 48, 2)
    assert copy.compute_dtype == "float32"
    assert copy.weights[0] is not model.weights[0]


def test_a_model_of_other_channels_is_refused():
    with pytest.raises(SettingsError, match=r"one input .*3 channels.* Received \? x \? x \? x 1"):
        copy_model(_network(), 3, 2)
    with pytest.raises(SettingsError, match=r"one output .*1 channel"):
        copy_model(_network(), 1, 1)
    with pytest.raises(SettingsError, match=r"a Keras model\. Received an object of class int"):
        copy_model(5, 1, 1)


def test_a_model_of_one_size_is_refused():
    inputs = keras.Input((8, 8, 1))
    x = keras.layers.Dense(64)(keras.layers.Flatten()(inputs))
    model = keras.Model(inputs, keras.layers.Reshape((8, 8, 1))(x))
    with pytest.raises(SettingsError, match="any height and width"):
        copy_model(model, 1, 1)


def test_the_stride_is_found():
    assert find_stride(copy_model(_network(), 1, 2)) == 2
    inputs = keras.Input((None, None, 1))
    small = keras.Model(inputs, keras.layers.Conv2D(1, 3)(inputs))
    with pytest.raises(SettingsError, match="height and width of its input"):
        find_stride(small)


@pytest.mark.parametrize("weights", [[[1, -1]], [[0, 0]]], ids=["saturated", "zero"])
def test_sigmoids_that_happen_to_add_up_to_1_are_accepted(weights):
    inputs = keras.Input((None, None, 1))
    head = keras.layers.Conv2D(2, 1, activation="sigmoid")
    model = keras.Model(inputs, head(inputs))
    bias = np.array([-1.0, 0.5]) * np.any(weights)
    head.set_weights([np.float32(weights)[None, None], bias])
    tiles = np.full((1, 8, 8, 1), 200, np.uint8)
    check_outputs(model.predict_on_batch, tiles)


def test_outputs_must_be_independent_probabilities():
    keras.utils.set_random_seed(0)
    tiles = np.random.default_rng(0).integers(0, 256, (1, 16, 16, 1), np.uint8)
    check_outputs(copy_model(_network(), 1, 2).predict_on_batch, tiles)
    linear = copy_model(_network(activation=None), 1, 2)
    with pytest.raises(SettingsError, match="from_logits=True"):
        check_outputs(linear.predict_on_batch, tiles)
    check_outputs(with_probabilities(linear, True).predict_on_batch, tiles)
    with pytest.raises(SettingsError, match="sigmoid instead of softmax"):
        check_outputs(copy_model(_network(activation="softmax"), 1, 2).predict_on_batch, tiles)


def test_logits_of_probabilities():
    logits = np.array([-60, -20, -1, 0, 2, 15], np.float32)
    probabilities = 1 / (1 + np.exp(-logits))
    np.testing.assert_allclose(np.asarray(logits_of(probabilities)), logits, rtol=0.03)
    assert np.isfinite(np.asarray(logits_of(np.array([0.0, 1.0], np.float32)))).all()
