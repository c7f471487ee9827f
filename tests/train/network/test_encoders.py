import keras
import numpy as np
import pytest

from liverseg_tf.errors import LiverSegError, SettingsError
from liverseg_tf.train.network.encoders import encoder_features
from liverseg_tf.train.network.unet import UNetSpec, build_unet


@pytest.mark.parametrize(("name", "channels"), [("MobileNetV3Small", 1), ("EfficientNetV2B0", 6)])
def test_an_encoder_is_the_way_down(name, channels, tmp_path):
    spec = UNetSpec(channels, ("liver", "tumour"), 4, 5, encoder=name)
    model = build_unet(spec)
    tiles = np.zeros((1, 64, 96, channels), np.uint8)
    assert model(tiles).shape == (1, 64, 96, 2)
    assert spec.stride == 32
    model.save(tmp_path / "model.keras")
    loaded = keras.saving.load_model(tmp_path / "model.keras", compile=False, safe_mode=True)
    np.testing.assert_array_equal(model.predict_on_batch(tiles), loaded.predict_on_batch(tiles))


def test_features_have_every_size():
    tiles = keras.Input((64, 32, 3))
    features = encoder_features("MobileNetV3Small", tiles)
    sizes = [(32, 16), (16, 8), (8, 4), (4, 2), (2, 1)]
    assert [feature.shape[1:3] for feature in features] == sizes


def test_weights_come_from_a_file(tmp_path):
    source = keras.applications.MobileNetV3Small(include_top=False, weights=None)
    path = tmp_path / "encoder.weights.h5"
    source.save_weights(path)
    tiles = keras.Input((64, 64, 3))
    taken = keras.Model(tiles, encoder_features("MobileNetV3Small", tiles, str(path)))
    image = np.random.default_rng(0).integers(0, 256, (1, 64, 64, 3)).astype(np.float32)
    np.testing.assert_allclose(taken(image)[-1], source(image), atol=1e-5)


def test_other_names_and_files_are_refused(tmp_path):
    with pytest.raises(SettingsError, match=r"Expected an encoder of .*Received 'VGG99'"):
        encoder_features("VGG99", keras.Input((64, 64, 3)))
    path = tmp_path / "x.weights.h5"
    path.write_bytes(b"none")
    with pytest.raises(LiverSegError, match="Expected weights of MobileNetV3Small at"):
        encoder_features("MobileNetV3Small", keras.Input((64, 64, 3)), str(path))
