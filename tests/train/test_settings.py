import json

import numpy as np
import pytest

from liverseg_tf.ct.regions import Regions
from liverseg_tf.errors import LiverSegError, SettingsError
from liverseg_tf.train.settings import TrainSettings


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("depth", 0),
        ("patch", 3),
        ("stem_filters", 8),  # without patches, there is full resolution anyway
        ("normalisation", "layer"),
        ("dropout", 1.0),
        ("batch_size", 0),
        ("loss", "dice"),
        ("deep_supervision", 5),
        ("optimizer", "adam"),
        ("learning_rate", 0.0),
        ("decay", "step"),
        ("ema_decay", 1.0),
        ("patience", 0),
        ("minutes", 0.0),
        ("context_spacing_mm", 0.0),
        ("foreground_fraction", 1.5),
        ("context", 65),
        ("base_filters", 513),
        ("epochs", 1_000_001),
        ("steps_per_epoch", 10**30),
        ("minutes", float("inf")),
        ("minutes", float("nan")),
        ("batch_size", 4097),
        ("learning_rate", float("nan")),
        ("learning_rate", float("inf")),
        ("weight_decay", -1.0),
        ("weight_decay", float("nan")),
        ("clip_norm", float("inf")),
        ("ema_decay", float("nan")),
        ("augment", float("nan")),
        ("dropout", float("nan")),
        ("seed", -1),
        ("seed", 2**32),
        ("encoder", "VGG99"),
        # wrong types
        ("epochs", True),
        ("epochs", 2.0),
        ("seed", None),
        ("seed", "1"),
        ("patience", 1.5),
        ("learning_rate", False),
        ("learning_rate", "0.1"),
        ("mirror", 1),
        ("loss", 3),
        ("encoder", 3),
        ("regions", None),
    ],
)
def test_settings_out_of_range_are_refused_by_name(name, value):
    with pytest.raises(SettingsError, match=f"Expected {name} .* Received {value}"):
        TrainSettings(**{name: value})


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"encoder_weights": "imagenet"}, "Expected an encoder together with encoder_weights"),
        ({"auxiliary": Regions({"a": (3, 2)})}, "label 2 in tumour and in a"),
        ({"auxiliary": Regions({"liver": (3,)})}, "Received 'liver' twice"),
        ({"auxiliary": Regions({str(n): (n,) for n in range(3, 18)})}, "at most 16 .* Received 17"),
        ({"auxiliary_weight": 1.0}, "Expected auxiliary regions together with auxiliary_weight"),
        ({"encoder": "EfficientNetB0", "dropout": 0.1}, "Expected dropout 0 together"),
        ({"encoder": "EfficientNetB0", "depth": 3}, "Expected depth 5 together"),
        ({"encoder": "EfficientNetB0", "deep_supervision": 6}, "number of levels, 5. Received 6"),
        ({"depth": 3, "deep_supervision": 4}, "number of levels, 3. Received 4"),
        ({"context_spacing_mm": 3.0}, "context of at least 3 slices"),
        ({"mirror": True, "augment": 0.0}, "Expected augment above 0 together with mirror"),
    ],
)
def test_settings_without_effect_are_refused(settings, message):
    with pytest.raises(SettingsError, match=message):
        TrainSettings(**settings)


def test_an_encoder_has_its_own_number_of_levels():
    settings = TrainSettings(encoder="EfficientNetB0", deep_supervision=5)
    assert settings.levels == 5
    assert TrainSettings(encoder="EfficientNetB0", depth=5).levels == 5
    assert TrainSettings(encoder="EfficientNetB0", patch=2).levels == 4
    assert TrainSettings(depth=3).levels == 3


def test_numbers_of_numpy_are_accepted():
    settings = TrainSettings(epochs=np.int64(3), learning_rate=np.float64(0.1))
    assert settings == TrainSettings(epochs=3, learning_rate=0.1)


@pytest.mark.parametrize("value", [None, [], {}, {"regions": {"a": [1]}, "depth": []}])
def test_settings_of_a_damaged_record_are_refused(value):
    with pytest.raises(LiverSegError, match=r"^Expected .* Received "):
        TrainSettings.from_json(value)


def test_settings_round_trip_through_json():
    settings = TrainSettings(context=3, loss="dice-ce", minutes=2.5, init_from="run")
    auxiliary = TrainSettings(auxiliary=Regions({"spleen": (3,)}), auxiliary_weight=1)
    assert TrainSettings.from_json(json.loads(json.dumps(auxiliary.to_json()))) == auxiliary
    assert str(auxiliary.learnt_regions) == "liver=1,2 tumour=2 spleen=3"
    assert TrainSettings.from_json(json.loads(json.dumps(settings.to_json()))) == settings
    assert settings.differences(TrainSettings()) == ["context", "init_from", "minutes", "loss"]


def test_the_representation_shows_the_settings_that_differ_from_the_defaults():
    assert repr(TrainSettings()) == "TrainSettings()"
    settings = TrainSettings(context=3, loss="dice-ce", learning_rate=0.01, mirror=True)
    assert repr(settings) == (
        "TrainSettings(context=3, loss='dice-ce', learning_rate=0.01, mirror=True)"
    )
    assert eval(repr(settings)) == settings
    assert "spleen" in repr(TrainSettings(regions=Regions({"spleen": (1,)})))
