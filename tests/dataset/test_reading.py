"""Pitfalls of LiTS: flips, a reversed z axis, padding and headers without geometry."""

import nibabel as nib
import numpy as np
import pytest

from liverseg_tf.ct.grid_correction import GridCorrection
from liverseg_tf.ct.nifti import write_volume
from liverseg_tf.ct.orientation import Orientation, to_canonical
from liverseg_tf.ct.volume import Volume
from liverseg_tf.dataset.case_corrections import CaseCorrections
from liverseg_tf.dataset.cases import Case, find_cases
from liverseg_tf.dataset.reading import has_guessed_geometry, read_case, read_volumes
from liverseg_tf.errors import LiverSegError

SPACING = np.array([0.7, 0.8, 2.5])  # along the file's axes
SIGNS = {0: (-1, -1, 1), 1: (1, -1, 1), 2: (-1, 1, 1), 3: (1, 1, -1), 28: (1, 1, 1)}


@pytest.fixture
def lits(tmp_path, make_volumes):
    """Both Kaggle parts, with one file in a folder of the same name, and the true volumes."""
    true = {}
    for number, signs in SIGNS.items():
        affine = nib.affines.from_matvec(np.diag(SPACING * signs), (10, -20, 30 + number))
        image, mask = make_volumes(number, (6, 20, 24), affine)
        image.array[:, 0] = -3024
        true[f"volume-{number}"] = [to_canonical(volume) for volume in (image, mask)]
        if number == 28:
            image, mask = (Volume(volume.array, np.eye(4)) for volume in (image, mask))
        part = tmp_path / f"LITS17-part{1 + (number > 2)}"
        name = f"volume-{number}.nii"
        folder = part / f"volume_pt{number % 5 + 1}" / (name if number == 2 else "")
        write_volume(folder / name, image)
        write_volume(part / "segmentations" / f"segmentation-{number}.nii", mask)
    return tmp_path, true


def check_true(case, true):
    volumes = [to_canonical(volume) for volume in read_case(case)]
    for volume, expected in zip(volumes, true[case.name], strict=True):
        np.testing.assert_array_equal(volume.array, expected.array)
        assert volume.spacing_mm == pytest.approx(expected.spacing_mm)


def test_flips_and_a_reversed_z_axis_are_read_from_the_header(lits):
    folder, true = lits
    cases = find_cases(folder)
    assert [case.name for case in cases] == list(true)
    for case in cases[:-1]:
        check_true(case, true)
        assert not has_guessed_geometry(case, read_case(case)[0])


def test_a_header_without_geometry_is_recognised_and_can_be_corrected(lits):
    folder, true = lits
    cases = find_cases(folder)
    assert has_guessed_geometry(cases[-1], read_case(cases[-1])[0])
    turned = CaseCorrections(["volume-28=RAS"]).apply(cases)[-1]
    assert has_guessed_geometry(turned, read_case(turned)[0]), "its spacing is still a guess"
    right = CaseCorrections(["volume-28=RAS"], ["volume-28=0.7,0.8,2.5"]).apply(cases)[-1]
    assert not has_guessed_geometry(right, read_case(right)[0])
    check_true(right, true)


def test_one_millimetre_may_be_confirmed(lits):
    (*_, case) = CaseCorrections(spacings=["volume-28=1,1,1"]).apply(find_cases(lits[0]))
    assert not has_guessed_geometry(case, read_case(case)[0])


def test_a_mask_with_a_wrong_header(tmp_path, make_volumes):
    image, mask = make_volumes()
    write_volume(tmp_path / "images/a.nii", image)
    write_volume(tmp_path / "masks/a.nii", Volume(mask.array, np.eye(4)))
    (case,) = find_cases(tmp_path)
    with pytest.raises(LiverSegError, match=r"one grid.*--same-voxels"):
        read_case(case)
    (case,) = CaseCorrections(same_voxels=["a"]).apply([case])
    back, laid = read_case(case)
    np.testing.assert_array_equal(laid.affine, back.affine)


def test_masks_of_another_shape_and_missing_masks(tmp_path, make_volumes):
    image, mask = make_volumes(0)[0], make_volumes(0, (5, 20, 24))[1]
    write_volume(tmp_path / "image.nii", image)
    write_volume(tmp_path / "mask.nii", mask)
    case = Case("a", tmp_path / "image.nii", tmp_path / "mask.nii", GridCorrection("LPS"))
    with pytest.raises(LiverSegError, match=r"shapes \(24, 20, 6\) and \(24, 20, 5\)") as caught:
        read_case(case)
    assert "--same-voxels" not in str(caught.value)
    with pytest.raises(LiverSegError, match="Expected a mask"):
        read_case(Case("a", tmp_path / "image.nii"))
    assert read_volumes(Case("a", tmp_path / "image.nii"))[1] is None


def test_orientation_comes_from_the_corrected_grid(tmp_path, make_volumes):
    image, mask = make_volumes()
    write_volume(tmp_path / "image.nii", image)
    write_volume(tmp_path / "mask.nii", mask)
    case = Case("a", tmp_path / "image.nii", tmp_path / "mask.nii", GridCorrection("RPI"))
    for volume in read_case(case):
        assert Orientation.of(volume.affine).flips == (True, False, True)


def disagreeing(path, affine, volume):
    """Write a file whose qform has slices of 3 mm."""
    image = nib.Nifti1Image(volume.array.T, affine)
    image.set_sform(affine, 1)
    image.set_qform(affine @ np.diag([1, 1, 3 / SPACING[2], 1]), 1)
    path.parent.mkdir(exist_ok=True)
    nib.save(image, path)


def test_forms_that_disagree_are_chosen_for_image_and_mask(tmp_path, make_volumes):
    affine = np.diag([*SPACING, 1])
    for folder, volume in zip(("images", "masks"), make_volumes(), strict=True):
        disagreeing(tmp_path / folder / "a.nii.gz", affine, volume)
    cases = find_cases(tmp_path)
    with pytest.raises(LiverSegError, match="--use-sform or --use-qform"):
        read_case(cases[0])
    for form, thickness in (("sform", SPACING[2]), ("qform", 3)):
        (case,) = CaseCorrections(form=form).apply(cases)
        for volume in read_case(case):
            assert volume.spacing_mm[0] == pytest.approx(thickness)
    (case,) = CaseCorrections(["a=LPS"], ["a=1,1,3"]).apply(cases)  # only the origin is left
    assert read_case(case)[0].spacing_mm == (3, 1, 1)


@pytest.mark.parametrize("spacing", [(4, 4, 5), (1, 1, 1)])
def test_a_header_without_orientation(tmp_path, make_volumes, spacing):
    """Both codes are 0: the spacing is known, but LAS is assumed."""
    image = nib.Nifti1Image(make_volumes()[0].array.T, None)
    image.header.set_zooms(spacing)
    nib.save(image, tmp_path / "a.nii.gz")
    case = Case("a", tmp_path / "a.nii.gz")
    volume = read_volumes(case)[0]
    assert volume.lacks_orientation
    assert has_guessed_geometry(case, volume)
    for options, guessed in (
        ({"spacings": ["a=4,4,6"]}, True),
        ({"orientations": ["a=LPS"], "spacings": ["a=4,4,6"]}, False),
        ({"orientations": ["a=LPS"]}, False),
    ):
        (corrected,) = CaseCorrections(**options).apply([case])
        assert has_guessed_geometry(corrected, read_volumes(corrected)[0]) is guessed


def test_a_spacing_that_cannot_be_right_is_corrected(tmp_path, make_volumes):
    image, mask = make_volumes(0, (6, 20, 24), np.diag([700, 800, 2500, 1]))
    write_volume(tmp_path / "images/a.nii", image)
    write_volume(tmp_path / "masks/a.nii", mask)
    (case,) = find_cases(tmp_path)
    with pytest.raises(LiverSegError, match="not in mm"):
        read_case(case)
    (case,) = CaseCorrections(spacings=["a=0.7,0.8,2.5"]).apply([case])
    assert read_case(case)[1].spacing_mm == (2.5, 0.8, 0.7)
