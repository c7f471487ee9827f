"""DICOM folders and folder trees as data sets."""

import pytest

from liverseg_tf.ct.dicom.series import DicomSeries
from liverseg_tf.ct.images import read_image
from liverseg_tf.ct.nifti import write_volume
from liverseg_tf.dataset.cases import detect_layout, find_cases
from liverseg_tf.errors import LiverSegError


@pytest.fixture
def volumes(make_volumes):
    return make_volumes(shape=(3, 8, 9))


def test_images_may_be_folders_of_dicom_files(tmp_path, volumes, write_series):
    ct, labels = volumes
    write_series(tmp_path / "images" / "a", ct)
    write_volume(tmp_path / "images" / "b.nii.gz", ct)
    (tmp_path / "images" / "notes").mkdir()
    for name in "abc":
        write_volume(tmp_path / "masks" / f"{name}.nii.gz", labels)
    assert detect_layout(tmp_path) == "folder"
    a, b, c = find_cases(tmp_path)
    assert a.image == tmp_path / "images" / "a"
    assert b.image == tmp_path / "images" / "b.nii.gz"
    assert (a.has_image, b.has_image, c.has_image) == (True, True, False)
    assert [case.mask.name for case in (a, b, c)] == ["a.nii.gz", "b.nii.gz", "c.nii.gz"]
    assert read_image(a.image).array.shape == ct.array.shape


def test_a_tree_of_series(tmp_path, volumes, write_series):
    ct, labels = volumes

    def number(value):
        return lambda dataset, z: setattr(dataset, "SeriesNumber", value)

    write_series(tmp_path / "p2" / "CT", ct)
    write_series(tmp_path / "p10", ct, number(2), "a{}")
    write_series(tmp_path / "p10", ct, number(7), "b{}")
    write_series(tmp_path / "p3", ct, number(1), "a{}", uid="1.2.3")
    write_series(tmp_path / "p3", ct, number(1), "b{}", uid="1.2.4")
    write_volume(tmp_path / "masks" / "p2_CT.nii.gz", labels)
    assert detect_layout(tmp_path) == "dicom"
    cases = find_cases(tmp_path)
    names = ["p2_CT", "p3_1.2.3", "p3_1.2.4", "p10_series2", "p10_series7"]
    assert [case.name for case in cases] == names
    assert all(isinstance(case.image, DicomSeries) and case.has_image for case in cases)
    assert [case.mask is None for case in cases] == [False, True, True, True, True]


def test_two_series_of_the_same_name(tmp_path, volumes, write_series):
    write_series(tmp_path / "a" / "b", volumes[0])
    write_series(tmp_path / "a_b", volumes[0])
    with pytest.raises(LiverSegError, match=r"a/b and series .*a_b, both named a_b"):
        find_cases(tmp_path)
    (case,) = find_cases(tmp_path, allow_ambiguous=True)
    assert "both named a_b" in case.ambiguity


def test_a_dicom_folder_and_a_file_of_the_same_name(tmp_path, volumes, write_series):
    write_series(tmp_path / "images" / "a", volumes[0])
    write_volume(tmp_path / "images" / "a.nii", volumes[0])
    with pytest.raises(LiverSegError, match=r"images/a and .*images/a.nii"):
        find_cases(tmp_path)


def test_a_damaged_series_is_a_separate_case(tmp_path, volumes, write_series):
    write_series(tmp_path / "good", volumes[0])
    (tmp_path / "bad").mkdir()
    (tmp_path / "bad" / "x").symlink_to("nowhere")
    cases = {case.name: case for case in find_cases(tmp_path)}
    assert cases.keys() == {"bad_without-uid", "good"}
    with pytest.raises(LiverSegError, match="No such file"):
        read_image(cases["bad_without-uid"].image)


def test_a_tree_without_volumes(tmp_path):
    with pytest.raises(LiverSegError, match="Received no series that is a volume"):
        find_cases(tmp_path, "dicom")
