"""The rules for an image without a mask, which `check`, `preprocess` and `predict` share."""

from dataclasses import replace

import numpy as np
import pytest

from liverseg_tf.ct.images import read_image
from liverseg_tf.ct.intensity import PercentileRange, Window
from liverseg_tf.ct.volume import Volume
from liverseg_tf.dataset.check.rules import CheckSettings, judge_volumes
from liverseg_tf.errors import LiverSegError, SettingsError
from liverseg_tf.phantom.phantoms import PhantomSpec, make_phantom
from liverseg_tf.tiles.spec import TileSpec

CT = TileSpec().check_settings()
MR = TileSpec(percentiles=PercentileRange(1, 99)).check_settings()


@pytest.fixture(scope="module")
def ct():
    return make_phantom(0, PhantomSpec(shape=(8, 48, 48), spacing_mm=(30, 9, 9)))[0]


@pytest.fixture(scope="module")
def mr():
    return make_phantom(0, PhantomSpec(shape=(8, 48, 48), spacing_mm=(30, 9, 9), modality="mr"))[0]


def judge(image, settings, *accepted):
    """Kinds and texts of the warnings."""
    settings = replace(settings, accepted=accepted)
    return {issue.kind: issue.text for issue in judge_volumes("x", (image, None), False, settings)}


@pytest.mark.parametrize("modality", ["", "CT", "OT"])
def test_ct_for_a_ct_model(ct, modality):
    assert judge(replace(ct, modality=modality), CT) == {}


@pytest.mark.parametrize("modality", ["MR", "PT", "NM", "US", "XA"])
def test_another_modality_is_refused_for_a_ct_model_even_if_its_values_could_be_hu(ct, modality):
    image = replace(ct, modality=modality)
    with pytest.raises(LiverSegError, match=rf"is {modality}, and CT .* --accept modality\)\.$"):
        judge(image, CT)
    assert judge(image, CT, "modality") == {
        "modality": f"the image is {modality}, and CT is expected"
    }


def test_mr_without_a_modality_is_refused_for_a_ct_model(mr):
    with pytest.raises(LiverSegError, match=r"--accept values\)"):
        judge(replace(mr, modality=""), CT)


@pytest.mark.parametrize("modality", ["", "CT"])
def test_ct_for_an_mr_model_is_a_warning(ct, mr, modality):
    assert "the image is CT" in judge(replace(ct, modality=modality), MR)["modality"]
    assert judge(replace(mr, modality="MR"), MR) == {}
    assert judge(replace(mr, modality=""), MR) == {}


def spaced(image, *mm):
    return replace(image, affine=np.diag([-mm[0], -mm[1], mm[2], 1]), header=None)


@pytest.mark.parametrize("settings", [CT, MR])
@pytest.mark.parametrize(
    "mm",
    [(7e-4, 7e-4, 5e-3), (0.07, 0.07, 0.5), (0.7, 0.7, 0.005), (700, 700, 5000), (60, 60, 5)],
)
def test_a_spacing_that_no_scanner_has_is_refused(ct, mr, settings, mm):
    image = spaced(ct if settings is CT else mr, *mm)
    with pytest.raises(LiverSegError, match=r"mm.* --accept spacing"):
        judge(image, settings)
    assert "spacing" in judge(image, settings, "spacing")


@pytest.mark.parametrize("mm", [(0.1, 0.1, 0.1), (0.7, 0.7, 10), (4, 4, 40)])
def test_unusual_spacings(ct, mm):
    assert "spacing" not in judge(spaced(ct, *mm), CT)


def test_an_image_that_is_larger_than_any_patient(ct):
    array = np.tile(ct.array, (1, 1, 10))
    with pytest.raises(LiverSegError, match="larger than a patient"):
        judge(Volume(array, ct.affine), CT)


@pytest.mark.parametrize("settings", [CT, MR])
def test_constant_images(ct, settings):
    array = np.full_like(ct.array, -1000)
    with pytest.raises(LiverSegError, match="all voxels have the same value"):
        judge(ct.with_array(array), settings)
    array.flat[100:104] = 50
    with pytest.raises(LiverSegError, match="nearly all voxels have the same value"):
        judge(ct.with_array(array), settings)


def test_nan_cannot_be_accepted(ct):
    array = ct.array.astype(np.float32)
    array[2, 3, 4] = np.nan
    with pytest.raises(LiverSegError, match=r"NaN or infinite\.$"):
        judge(ct.with_array(array), CT)


def test_warnings_of_reading_are_shown(ct):
    assert judge(replace(ct, warnings=("The slope is a guess.",)), CT) == {
        "reading": "The slope is a guess."
    }


def test_every_error_is_named_with_its_option(ct):
    image = replace(spaced(ct, 1e-3, 1e-3, 1e-3), modality="MR")
    image = image.with_array(image.array + 3000)
    with pytest.raises(LiverSegError, match=r"mm\?; .* is MR, .*; .* not HU") as caught:
        judge(image, CT)
    assert "--accept spacing --accept modality --accept values" in str(caught.value)
    with pytest.raises(LiverSegError, match=r"--accept values\)"):
        judge(image, CT, "spacing", "modality")
    assert judge(image, CT, "spacing", "modality", "values").keys() == {
        "spacing", "modality", "values",
    }  # fmt: skip


def test_unknown_rules_are_wrong_usage():
    with pytest.raises(SettingsError, match=r"^Expected rules among clipped, .* 'grid'\.$"):
        CheckSettings(accepted=("grid",))


@pytest.mark.parametrize(
    ("file", "window", "kinds"),
    [
        ("totalsegmentator_example/ct.nii.gz", Window(25, 450), set()),
        ("crlm/images/crlm1100.nii.gz", Window(25, 450), {"clipped"}),
        ("btcv/images/btcv00.nii.gz", Window(75, 400), {"clipped"}),
        ("btcv/images/btcv00.nii.gz", Window(25, 450), None),
    ],
)
def test_real_ct(shared_data, file, window, kinds):
    image = read_image(shared_data / file)
    settings = TileSpec(windows=(window,)).check_settings()
    if kinds is None:
        with pytest.raises(LiverSegError, match=r"--accept clipped\)"):
            judge(image, settings)
        assert judge(image, settings, "clipped").keys() == {"clipped"}
    else:
        assert judge(image, settings).keys() == kinds
