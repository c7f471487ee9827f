import json

import pytest

from liverseg_tf.ct.regions import Regions
from liverseg_tf.errors import SettingsError
from liverseg_tf.train.settings import TrainSettings


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("depth", 0),
        ("patch", 3),
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
    ],
)
def test_settings_out_of_range_are_refused_by_name(name, value):
    with pytest.raises(SettingsError, match=f"Expected {name} .* Received {value}"):
        TrainSettings(**{name: value})


def test_settings_round_trip_through_json():
    settings = TrainSettings(context=3, loss="dice-ce", minutes=2.5, init_from="run")
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
