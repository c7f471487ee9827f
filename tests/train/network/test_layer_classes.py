import keras
import numpy as np
import pytest
import tensorflow as tf

from liverseg_tf.train.network.layer_classes import (
    OnePassBatchNormalization,
    ReshapedMaxPooling2D,
    SubpixelConv2DTranspose,
)
from liverseg_tf.train.network.unet import UNetSpec, build_training_unet, build_unet

RNG = np.random.default_rng(0)
CASES = [
    (SubpixelConv2DTranspose, keras.layers.Conv2DTranspose, (5, 2), {"strides": 2}),
    (SubpixelConv2DTranspose, keras.layers.Conv2DTranspose, (2, 4), {"strides": 4}),
    (ReshapedMaxPooling2D, keras.layers.MaxPooling2D, (), {}),
    (OnePassBatchNormalization, keras.layers.BatchNormalization, (), {"momentum": 0.9}),
]


def _compute(layer, weights, inputs, factors):
    """Return the outputs in training, the gradients and the weights after the step."""
    if not layer.built:
        layer.build(inputs.shape)
    layer.set_weights(weights)
    with tf.GradientTape() as tape:
        tape.watch(inputs)
        outputs = layer(inputs, training=True)
        loss = tf.reduce_sum(outputs * factors)
    trained = [variable.value for variable in layer.trainable_variables]
    gradients = tape.gradient(loss, [inputs, *trained])
    return [outputs, *gradients, *layer.get_weights(), layer(inputs, training=False)]


@pytest.mark.parametrize(("faster", "keras_layer", "arguments", "options"), CASES)
def test_a_faster_layer_computes_the_same_as_that_of_keras(faster, keras_layer, arguments, options):
    inputs = tf.constant(RNG.normal(3, 2, (3, 6, 4, 7)).astype(np.float32))
    layers = [kind(*arguments, **options) for kind in (faster, keras_layer)]
    layers[1].build(inputs.shape)
    weights = [RNG.uniform(0.1, 1, weight.shape) for weight in layers[1].get_weights()]
    factors = RNG.normal(size=layers[1](inputs).shape).astype(np.float32)
    found, expected = (_compute(layer, weights, inputs, factors) for layer in layers)
    for left, right in zip(found, expected, strict=True):
        np.testing.assert_allclose(left, right, rtol=1e-4, atol=1e-4)


def test_the_variance_of_equal_values_is_not_negative():
    layer = OnePassBatchNormalization()
    outputs = layer(np.full((2, 3, 3, 2), 1000.1, np.float32), training=True)
    assert np.abs(outputs).max() < 20  # rounding divided by the root of epsilon
    assert float(np.min(layer.moving_variance)) >= 0


def test_bfloat16_biases_have_exact_gradients():
    """TensorFlow adds up the gradient of a bias in bfloat16 on a CPU, and is off by half."""
    layer = SubpixelConv2DTranspose(4, 2, strides=2, dtype="mixed_bfloat16")
    layer.build((8, 64, 64, 16))
    inputs = tf.ones((8, 64, 64, 16), tf.bfloat16)
    factors = tf.cast(RNG.normal(0.1, 1, (8, 128, 128, 4)), tf.bfloat16)

    @tf.function(autograph=False)
    def compute_gradients():
        with tf.GradientTape() as tape:
            outputs = layer(inputs)
        weights = [layer.kernel.value, layer.bias.value]
        return tape.gradient(outputs, weights, output_gradients=factors)

    expected = tf.reduce_sum(tf.cast(factors, tf.float64), axis=(0, 1, 2))
    np.testing.assert_allclose(compute_gradients()[1], expected, rtol=0.02)


def test_models_for_inference_and_for_training_by_default_have_layers_of_keras_only():
    for model in (build_unet(UNetSpec(depth=1)), build_training_unet(UNetSpec(depth=1))):
        assert {type(layer).__module__.split(".")[0] for layer in model.layers} == {"keras"}
