"""The patients of DICOM series: by PatientID, then by folder."""

import pytest

from liverseg_tf.ct.dicom.series import DicomSeries
from liverseg_tf.ct.nifti import write_volume
from liverseg_tf.dataset.cases import find_cases
from liverseg_tf.dataset.patients import find_patients


@pytest.fixture
def volume(make_volumes):
    return make_volumes(shape=(3, 8, 9))[0]


def series(root, folder, patient=""):
    return DicomSeries(folder, (root / folder / "1.dcm",), 3, patient_id=patient)


def of(root, *folders):
    images = {folder: series(root, folder, patient) for folder, patient in folders}
    return find_patients(images, root)


def test_the_patient_id_decides(tmp_path):
    found = of(tmp_path, ("x/art", "P1"), ("y/ven", "P1"), ("z/ven", "P2"))
    assert found == {"x/art": "P1", "y/ven": "P1", "z/ven": "P2"}


def test_folders_decide_without_a_patient_id(tmp_path):
    found = of(tmp_path, ("p1/art", ""), ("p1/ven", ""), ("p2/art", ""), ("p2/ven", "P2"))
    assert found["p1/art"] == found["p1/ven"] == "p1"
    assert found["p2/art"] == found["p2/ven"] == "P2"


def test_folders_that_all_series_share_decide_nothing(tmp_path):
    found = of(tmp_path, ("DICOM/p1/a", ""), ("DICOM/p1/b", ""), ("DICOM/p2/a", ""))
    assert found == {"DICOM/p1/a": "p1", "DICOM/p1/b": "p1", "DICOM/p2/a": "p2"}
    assert of(tmp_path, ("p1/a", "")) == {"p1/a": "p1/a"}


@pytest.mark.parametrize("layout", ["folder", "dicom"])
def test_patients_of_a_data_set(tmp_path, volume, write_series, layout):
    root = tmp_path / "images" if layout == "folder" else tmp_path
    for name, patient in (("a", "P1"), ("b", "P1"), ("c", "P2")):
        write_series(root / name, volume, lambda ds, z, p=patient: setattr(ds, "PatientID", p))
    if layout == "folder":
        write_volume(root / "d.nii.gz", volume)
    patients = {case.name: case.patient for case in find_cases(tmp_path)}
    nifti = {"d": None} if layout == "folder" else {}
    assert patients == {"a": "P1", "b": "P1", "c": "P2"} | nifti
