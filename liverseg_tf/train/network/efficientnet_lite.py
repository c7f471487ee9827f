"""EfficientNet-Lite0 as the encoder of the U-Net.

Unlike other EfficientNets, it has neither squeeze-and-excitation nor Swish, which suits LiteRT and
browsers. Source: Tan and Le 2019, "EfficientNet", and the models "lite" of the repository
tensorflow/tpu (Apache-2.0).
"""

import keras
from keras import layers

from liverseg_tf.train.network.layer_classes import KERAS_LAYERS, LayerClasses

# number of blocks, kernel size, stride, expansion and number of filters of each stage
_STAGES = (
    (1, 3, 1, 1, 16),
    (2, 3, 2, 6, 24),
    (2, 5, 2, 6, 40),
    (3, 3, 2, 6, 80),
    (3, 5, 1, 6, 112),
    (4, 5, 2, 6, 192),
    (1, 3, 1, 6, 320),
)
_STEM_FILTERS = 32


def build_efficientnet_lite0(tiles, layer_classes: LayerClasses = KERAS_LAYERS) -> keras.Model:
    """Build the convolutional part of EfficientNet-Lite0, without the classifier.

    Args:
        tiles: (batch, h, w, channels), 0..255, with any number of channels. The network
            normalises them as ImageNet's images were normalised for it.
        layer_classes: Keras' layers, or faster ones.

    Returns:
        Model from `tiles` to the last features of each size: five tensors
        (batch, h / n, w / n, filters) for n = 2, 4, 8, 16, 32.
    """
    x = layers.Rescaling(1 / 128, offset=-127 / 128, name="encoder_rescale")(tiles)
    name = "encoder_stem"
    x = layers.Conv2D(_STEM_FILTERS, 3, strides=2, **_options(f"{name}_conv"))(x)
    x = _normalise(x, name, layer_classes)
    features, number = [], 0
    for blocks, kernel_size, stride, expansion, filters in _STAGES:
        if stride > 1:
            features.append(x)
        for block in range(blocks):
            shape = (kernel_size, stride if block == 0 else 1, expansion, filters)
            x = _inverted_residual(x, shape, f"encoder_block{number}", layer_classes)
            number += 1
    return keras.Model(tiles, [*features, x], name="efficientnet-lite0")


def _inverted_residual(x, shape: tuple, name: str, layer_classes: LayerClasses):
    """Expand the channels, convolve each for itself, and project to the number of filters."""
    kernel_size, stride, expansion, filters = shape
    inputs = x
    if expansion > 1:
        expanded = expansion * x.shape[-1]
        x = layers.Conv2D(expanded, 1, **_options(f"{name}_expand_conv"))(x)
        x = _normalise(x, f"{name}_expand", layer_classes)
    # TensorFlow computes the gradients of this layer on a processor up to 20 times as fast in
    # float32 as in bfloat16.
    options = _options(f"{name}_depthwise_conv") | {"dtype": "float32"}
    options["depthwise_initializer"] = options.pop("kernel_initializer")
    x = layers.DepthwiseConv2D(kernel_size, strides=stride, **options)(x)
    x = _normalise(x, f"{name}_depthwise", layer_classes)
    x = layers.Conv2D(filters, 1, **_options(f"{name}_project_conv"))(x)
    x = _normalise(x, f"{name}_project", layer_classes, relu=False)
    if stride == 1 and inputs.shape[-1] == filters:
        return layers.Add(name=f"{name}_add")([inputs, x])
    return x


def _normalise(x, name: str, layer_classes: LayerClasses, relu: bool = True):
    # the momentum is that of the other blocks of the U-Net; the source has 0.99
    x = layer_classes.batch_normalisation(momentum=0.9, epsilon=1e-3, name=f"{name}_norm")(x)
    return layers.ReLU(max_value=6, name=f"{name}_relu6")(x) if relu else x


def _options(name: str) -> dict:
    # one initializer for each layer: its seed is part of it
    initializer = keras.initializers.VarianceScaling(2.0, mode="fan_out")
    return {"padding": "same", "use_bias": False, "kernel_initializer": initializer, "name": name}
