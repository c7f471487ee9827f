import pytest

from liverseg_tf.choices import DEFAULT_TRANSFORMS, TRANSFORMS
from liverseg_tf.ct.regions import Regions
from liverseg_tf.errors import SettingsError
from liverseg_tf.train.settings import TrainSettings
from liverseg_tf.train.transform_names import check_transforms, parse_transforms


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("default", DEFAULT_TRANSFORMS),
        ("noise, affine,noise", ("affine", "noise")),
        ("default,clipping,-noise", (*DEFAULT_TRANSFORMS[:-1], "clipping")),
        ("-noise,noise", ("noise",)),
    ],
)
def test_names_are_read_from_a_list(text, expected):
    assert parse_transforms(text) == expected


@pytest.mark.parametrize("text", ["", "curves", "default,-", "noise,,blur", "all"])
def test_unknown_names_are_refused_with_all_names(text):
    with pytest.raises(SettingsError, match=r"^Expected transforms from affine, .*\. Received"):
        parse_transforms(text)


def test_a_mistyped_name_gets_a_suggestion_and_an_empty_list_is_refused():
    with pytest.raises(SettingsError, match=r"Received clip \(did you mean clipping\?\)"):
        parse_transforms("default,clip")
    with pytest.raises(SettingsError, match="at least one of the transforms"):
        parse_transforms("noise,-noise")


@pytest.mark.parametrize("names", [None, 3, "noise", [1], {"noise": 1}])
def test_values_that_are_no_names_are_refused(names):
    with pytest.raises(SettingsError, match="Expected transforms as a list of names"):
        check_transforms(names)


def test_settings_hold_the_names_in_one_order_and_older_records_have_the_default():
    settings = TrainSettings(transforms=["clipping", "affine", "clipping"])
    assert settings.transforms == ("affine", "clipping")
    assert TrainSettings.from_json(settings.to_json()) == settings
    record = TrainSettings().to_json()
    del record["transforms"]
    assert TrainSettings.from_json(record).transforms == DEFAULT_TRANSFORMS


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"transforms": ("thick-slices",)}, "context of at least 3 slices"),
        ({"transforms": ("noise",), "augment": 0.0}, "augment above 0 together with transforms"),
        ({"transforms": ("region-blobs",)}, "Received tumour in liver"),
    ],
)
def test_transforms_without_effect_are_refused(values, message):
    with pytest.raises(SettingsError, match=message):
        TrainSettings(**values)
    settings = TrainSettings(transforms=TRANSFORMS, context=3, regions=Regions({"liver": [1]}))
    assert settings.transforms == TRANSFORMS
