import keras
import numpy as np
import pytest

from liverseg_tf.errors import LiverSegError, SettingsError
from liverseg_tf.train.network.encoders import build_encoder
from liverseg_tf.train.network.unet import UNetSpec, build_unet


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "channels"),
    [("MobileNetV3Small", 1), ("EfficientNetV2B0", 6), ("efficientnet-lite0", 5)],
)
def test_a_pretrained_encoder_replaces_the_encoder_path(name, channels, tmp_path):
    spec = UNetSpec(channels, ("liver", "tumour"), 4, 5, encoder=name)
    model = build_unet(spec)
    tiles = np.zeros((1, 64, 96, channels), np.uint8)
    assert model(tiles).shape == (1, 64, 96, 2)
    assert spec.stride == 32
    model.save(tmp_path / "model.keras")
    loaded = keras.saving.load_model(tmp_path / "model.keras", compile=False, safe_mode=True)
    np.testing.assert_array_equal(model.predict_on_batch(tiles), loaded.predict_on_batch(tiles))


@pytest.mark.slow
def test_the_encoder_has_features_of_every_size():
    tiles = keras.Input((64, 32, 3))
    features = build_encoder("MobileNetV3Small", tiles)
    sizes = [(32, 16), (16, 8), (8, 4), (4, 2), (2, 1)]
    assert [feature.shape[1:3] for feature in features] == sizes


@pytest.mark.slow
def test_weights_are_read_from_a_file(tmp_path):
    source = keras.applications.MobileNetV3Small(include_top=False, weights=None)
    path = tmp_path / "encoder.weights.h5"
    source.save_weights(path)
    tiles = keras.Input((64, 64, 3))
    encoder = keras.Model(tiles, build_encoder("MobileNetV3Small", tiles, str(path)))
    image = np.random.default_rng(0).integers(0, 256, (1, 64, 64, 3)).astype(np.float32)
    np.testing.assert_allclose(encoder(image)[-1], source(image), atol=1e-5)


def test_unknown_encoders_and_broken_files_are_refused(tmp_path):
    with pytest.raises(SettingsError, match=r"Expected an encoder of .*Received VGG99"):
        build_encoder("VGG99", keras.Input((64, 64, 3)))
    path = tmp_path / "x.weights.h5"
    path.write_bytes(b"broken")
    with pytest.raises(LiverSegError, match="Expected weights of MobileNetV3Small at"):
        build_encoder("MobileNetV3Small", keras.Input((64, 64, 3)), str(path))
