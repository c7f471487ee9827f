import pytest

from liverseg_tf.choices import ORGAN_PRESETS
from liverseg_tf.cli.main import liverseg
from liverseg_tf.cli.shared.config import load_preset
from liverseg_tf.ct.region_kinds import is_lesion, is_single_organ, nest_lesions
from liverseg_tf.ct.regions import Regions

ONE = {"liver", "Spleen", "kidney_left", "right kidney", "prostate", "urinary bladder"}
LESIONS = {"tumour", "liver tumor", "Lesions", "kidney cyst"}
UNKNOWN = {"kidneys", "kidney", "pancreas", "liver vessel", "liver segment", "peripheral", "bone"}


@pytest.mark.parametrize("name", sorted(ONE | LESIONS | UNKNOWN))
def test_names_tell_single_organs_and_lesions(name):
    regions = Regions({name: (1,)})
    assert is_single_organ(regions, name) == (name in ONE)
    assert is_lesion(regions, name) == (name in LESIONS)


@pytest.mark.parametrize("preset", ORGAN_PRESETS)
def test_presets_keep_the_largest_component_of_the_same_organs(preset):
    import click

    given = load_preset(preset, liverseg, click.Context(liverseg))
    regions = Regions.parse(given["train"]["regions"])
    single = [name for name in regions.names if is_single_organ(regions, name)]
    assert given.get("predict", {}).get("largest", []) == single


@pytest.mark.parametrize(
    ("names", "nested"),
    [
        (["liver", "cancer"], {"liver": (1, 2), "cancer": (2,)}),
        (["kidney", "tumor", "cyst"], {"kidney": (1, 2, 3), "tumor": (2,), "cyst": (3,)}),
        (["liver", "spleen", "tumour"], None),  # whose tumour?
        (["PZ", "TZ"], None),
        (["Vessel", "Tumour"], None),
        (["edema", "non-enhancing tumor", "enhancing tumour"], None),
        (["tumour"], None),
    ],
)
def test_an_organ_includes_its_lesions(names, nested):
    regions = Regions({name: (label,) for label, name in enumerate(names, 1)})
    assert nest_lesions(regions) == (regions if nested is None else Regions(nested))
