import json
from dataclasses import replace
from itertools import permutations, product

import nibabel as nib
import numpy as np
import pytest

from liverseg_tf.ct.grid_correction import GridCorrection, lacks_geometry
from liverseg_tf.ct.orientation import to_canonical
from liverseg_tf.ct.volume import Volume, check_same_grid
from liverseg_tf.errors import LiverSegError, SettingsError

ORDERS = ["".join(pair) for order in permutations(["RL", "AP", "SI"]) for pair in product(*order)]


def without_geometry(volume):
    """As tools leave it that drop the header's geometry."""
    return Volume(volume.array, np.eye(4))


def test_orientation_and_spacing_by_hand():
    volume = Volume(np.zeros((4, 3, 2), np.int16), nib.affines.from_matvec(np.eye(3), (1, 2, 3)))
    corrected = GridCorrection("LPS", (0.7, 0.8, 5)).apply(volume)
    expected = [[-0.7, 0, 0, 1], [0, -0.8, 0, 2], [0, 0, 5, 3], [0, 0, 0, 1]]
    np.testing.assert_allclose(corrected.affine, expected)
    assert corrected.array is volume.array
    assert corrected.header is None


@pytest.mark.parametrize("axes", ORDERS)
def test_any_order_is_restored(make_volumes, axes):
    affine = np.zeros((4, 4))
    ornt = nib.orientations.axcodes2ornt(tuple(axes))
    for axis, ((anatomical, sign), mm) in enumerate(zip(ornt, (0.7, 0.8, 5), strict=True)):
        affine[int(anatomical), axis] = sign * mm
    affine[3, 3] = 1
    image, mask = make_volumes(0, (6, 20, 24), affine)
    correction = GridCorrection(axes, (0.7, 0.8, 5))
    image_back = correction.apply(without_geometry(image))
    mask_back = correction.apply_to_mask(without_geometry(mask), without_geometry(image))
    for back, true in ((image_back, image), (mask_back, mask)):
        np.testing.assert_array_equal(to_canonical(back).array, to_canonical(true).array)
        assert back.spacing_mm == pytest.approx(true.spacing_mm)
    check_same_grid(image_back, mask_back)


def test_spacing_alone_keeps_the_direction(make_volumes):
    angle = np.radians(10)
    turn = [[np.cos(angle), -np.sin(angle), 0], [np.sin(angle), np.cos(angle), 0], [0, 0, -1]]
    image, _ = make_volumes(0, affine=nib.affines.from_matvec(turn, (4, 5, 6)))
    corrected = GridCorrection(spacing_mm=(0.5, 0.6, 2)).apply(image)
    np.testing.assert_allclose(corrected.affine[:3, :3] / (0.5, 0.6, 2), turn, atol=1e-12)
    assert corrected.spacing_mm == pytest.approx((2, 0.6, 0.5))


def test_nothing_to_correct_is_the_same_volume(make_volumes):
    image, _ = make_volumes()
    assert GridCorrection(same_voxels=True).apply(image) is image


def test_a_mask_takes_its_image_s_grid(make_volumes):
    image, mask = make_volumes()
    strange = Volume(mask.array, np.eye(4))
    laid = GridCorrection(same_voxels=True).apply_to_mask(strange, image)
    np.testing.assert_array_equal(laid.affine, image.affine)
    assert laid.array is mask.array


def test_a_spacing_does_not_decide_between_two_orders(make_volumes):
    image, mask = make_volumes()  # LPS
    mask = Volume(mask.array, np.eye(4))  # RAS
    with pytest.raises(LiverSegError, match=r"Received LPS and RAS: correct the orientation"):
        GridCorrection(spacing_mm=(1, 1, 3)).apply_to_mask(mask, image)
    for known in ({"orientation": "LPS"}, {"same_voxels": True}):
        laid = GridCorrection(spacing_mm=(1, 1, 3), **known).apply_to_mask(mask, image)
        assert nib.aff2axcodes(laid.affine) == ("L", "P", "S")


def test_a_spacing_does_not_move_a_mask_of_another_place(make_volumes):
    """With the spacing alone, the mask's header still counts: it may be the one that is right."""
    image, mask = make_volumes()
    correction = GridCorrection(spacing_mm=(1, 1, 3))
    corrected = correction.apply(image)
    on_header, on_corrected = mask, replace(mask, affine=corrected.affine)
    for known in (on_header, on_corrected):
        laid = correction.apply_to_mask(known, image)
        np.testing.assert_array_equal(laid.affine, corrected.affine)
    moved = mask.affine.copy()
    moved[0, 3] += 7
    elsewhere = replace(mask, affine=moved)
    with pytest.raises(LiverSegError, match=r"one grid.*--same-voxels"):
        correction.apply_to_mask(elsewhere, image)
    laid = replace(correction, same_voxels=True).apply_to_mask(elsewhere, image)
    np.testing.assert_array_equal(laid.affine, corrected.affine)


def test_a_form_alone_does_not_concern_the_mask(make_volumes):
    image, mask = make_volumes()
    assert GridCorrection(form="qform").apply_to_mask(mask, image) is mask
    assert GridCorrection(form="qform").form_in_use == "qform"
    assert GridCorrection("LPS", (1, 1, 3)).form_in_use == "sform", "only the origin is left"
    assert GridCorrection("LPS").form_in_use is None


def test_an_assumed_orientation_is_a_missing_geometry(make_volumes):
    image = replace(make_volumes()[0], lacks_orientation=True)
    assert lacks_geometry(image)
    assert lacks_geometry(GridCorrection(spacing_mm=(1, 1, 3)).apply(image))
    assert not lacks_geometry(GridCorrection("LPS").apply(image))


def test_a_mask_of_another_shape_is_left_to_the_check_of_the_grids(make_volumes):
    image, mask = make_volumes()[0], make_volumes(0, (5, 20, 24))[1]
    assert GridCorrection("RAS").apply_to_mask(mask, image) is mask


@pytest.mark.parametrize("letters", ["", "LP", "LPSS", "LLS", "XYZ", "lps", "LRS"])
def test_letters_that_are_no_orientation(letters):
    with pytest.raises(SettingsError, match=r"^Expected an orientation .* Received"):
        GridCorrection(letters)


@pytest.mark.parametrize("spacing", [(1, 1), (1, 1, 0), (1, -1, 1), (1, 1, float("nan"))])
def test_spacings_that_are_none(spacing):
    with pytest.raises(SettingsError, match=r"^Expected three spacings above 0 mm\. Received"):
        GridCorrection(spacing_mm=spacing)


def test_the_record_is_json():
    value = json.loads(json.dumps(GridCorrection("LPS", (1, 2, 3)).to_json()))
    assert value == {"orientation": "LPS", "spacing_mm": [1, 2, 3], "same_voxels": False}
    assert GridCorrection(form="sform").to_json()["form"] == "sform"


@pytest.mark.parametrize(
    ("diagonal", "origin", "shape", "lacks"),
    [
        ((1, 1, 1), (0, 0, 0), (2, 2, 2), True),
        ((-1, -1, 1), (0, 0, 0), (2, 2, 2), True),
        ((1, 1, 1), (-170, 12, 3), (2, 2, 2), False),  # resampled to 1 mm, in its place
        ((1, 1, 1), (-170, 12, 3), (2, 512, 512), True),  # a scanner's slices
        ((0.7, 0.7, 1), (0, 0, 0), (2, 512, 512), False),
    ],
)
def test_headers_without_geometry(diagonal, origin, shape, lacks):
    affine = nib.affines.from_matvec(np.diag(diagonal), origin)
    assert lacks_geometry(Volume(np.zeros(shape, np.uint8), affine)) is lacks
