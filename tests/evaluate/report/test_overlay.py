import io

import numpy as np
import pytest
from PIL import Image

from liverseg_tf.ct.nifti import read_labels, read_volume
from liverseg_tf.ct.regions import LIVER_REGIONS, Regions
from liverseg_tf.ct.volume import Volume
from liverseg_tf.errors import LiverSegError
from liverseg_tf.evaluate.report.overlay import (
    PREDICTION_COLOUR,
    TRUTH_COLOUR,
    CaseVolumes,
    overlay_case,
)

AFFINE = np.diag([-2.0, -2.0, 5.0, 1.0])


def volumes(shift=2, affine=AFFINE):
    z, row, col = np.ogrid[:12, :40, :50]
    truth = ((z - 6) ** 2 * 6 + (row - 18) ** 2 + (col - 15) ** 2 < 120).astype(np.uint8)
    truth[6, 16:20, 13:17] = 2
    image = np.where(truth > 0, 80, -50).astype(np.int16)
    parts = (image, truth, np.roll(truth, shift, axis=2))
    return CaseVolumes("case_1", *(Volume(part, affine) for part in parts))


def pixels(png):
    return np.asarray(Image.open(io.BytesIO(png)).convert("RGB")).astype(int)


def count_pixels(picture, colour):
    rgb = [int(colour[i : i + 2], 16) for i in (1, 3, 5)]
    return (np.abs(picture - rgb).max(axis=-1) < 40).sum()


def test_both_contours_are_drawn():
    picture = pixels(overlay_case(volumes(), LIVER_REGIONS))
    assert count_pixels(picture, TRUTH_COLOUR) > 200
    assert count_pixels(picture, PREDICTION_COLOUR) > 200


def test_liver_is_on_the_left_of_axial_and_coronal_pictures():
    equal = volumes(shift=0)
    empty = equal.truth.with_array(np.zeros_like(equal.truth.array))
    case = CaseVolumes("case_1", equal.image, equal.truth, empty)
    picture = pixels(overlay_case(case, Regions({"liver": (1, 2)})))
    rows, cols = np.nonzero(np.abs(picture - (77, 255, 136)).max(axis=-1) < 40)
    above_legend = rows < picture.shape[0] * 0.85
    width = picture.shape[1] / 14  # pictures of 100, 100 and 80 mm
    axial = cols[above_legend & (cols < 5 * width)]
    coronal = cols[above_legend & (cols > 5 * width) & (cols < 10 * width)] - 5 * width
    assert axial.size
    assert coronal.size
    assert axial.mean() < 2.5 * width
    assert coronal.mean() < 2.5 * width


@pytest.mark.parametrize("affine", [np.diag([2.0, 2.0, 5.0, 1.0]), np.diag([2.0, -2.0, -5.0, 1])])
def test_picture_does_not_depend_on_the_axis_order_of_the_file(affine):
    case = volumes()
    flips = tuple(
        np.s_[:: int(np.sign(a * b))] for a, b in zip(np.diag(affine), np.diag(AFFINE), strict=True)
    )
    flipped = affine.copy()
    for axis, size in enumerate((50, 40, 12)):
        if affine[axis, axis] != AFFINE[axis, axis]:
            flipped[axis, 3] = AFFINE[axis, axis] * (size - 1)
    same_volumes = (
        Volume(volume.array[flips[2], flips[1], flips[0]], flipped)
        for volume in (case.image, case.truth, case.prediction)
    )
    expected = overlay_case(case, LIVER_REGIONS)
    assert overlay_case(CaseVolumes("case_1", *same_volumes), LIVER_REGIONS) == expected


@pytest.mark.slow
def test_empty_full_and_thin_masks_are_drawn():
    for shape in ((1, 8, 9), (20, 1, 1), (5, 6, 7)):
        image = Volume(np.random.default_rng(0).normal(size=shape).astype(np.float32), AFFINE)
        empty, full = (Volume(np.full(shape, n, np.uint8), AFFINE) for n in (0, 2))
        for truth, prediction in ((empty, full), (full, full)):
            png = overlay_case(CaseVolumes("x", image, truth, prediction), LIVER_REGIONS, None)
            assert pixels(png).shape[0] < 3000


def test_many_regions_share_the_legend():
    regions = Regions({f"organ {label}": (label,) for label in range(1, 13)})
    assert overlay_case(volumes(), regions)


def test_names_are_not_formulas():
    case = volumes()
    named = CaseVolumes(r"$\frac$", case.image, case.truth, case.prediction)
    assert overlay_case(named, Regions({r"$\frac$": (1,)}))


def test_different_grids_are_refused():
    case = volumes()
    image = Volume(case.image.array, AFFINE + 0.5 * np.eye(4, k=3))
    with pytest.raises(LiverSegError, match="one grid"):
        overlay_case(CaseVolumes("x", image, case.truth, case.prediction), LIVER_REGIONS)


def test_real_ct(shared_data):
    data = shared_data / "Task03_Liver"
    image = read_volume(data / "imagesTr/liver_0.nii.gz")
    truth = read_labels(data / "labelsTr/liver_0.nii.gz")
    shifted = truth.with_array(np.roll(truth.array, 8, axis=2))
    png = overlay_case(CaseVolumes("liver_0", image, truth, shifted), LIVER_REGIONS)
    assert count_pixels(pixels(png), TRUTH_COLOUR) > 500
