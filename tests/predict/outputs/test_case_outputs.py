import dataclasses
import sys

import numpy as np
import pydicom
import pytest
import trimesh

from liverseg_tf.atomic import read_json
from liverseg_tf.choices import DICOM_FORMATS, FORMATS
from liverseg_tf.ct.dicom.series import find_series, read_series
from liverseg_tf.ct.nifti import read_labels, read_volume, write_volume
from liverseg_tf.ct.regions import LIVER_REGIONS, Regions
from liverseg_tf.errors import LiverSegError, SettingsError
from liverseg_tf.predict.outputs.case_outputs import (
    OutputFormats,
    SegmentedCase,
    file_safe_name,
    write_outputs,
)

AFFINE = np.diag([-0.8, -0.8, 5.0, 1.0])


def _nifti_case(folder, make_volumes, regions=LIVER_REGIONS):
    image, labels = make_volumes(affine=AFFINE)
    write_volume(folder / "ct.nii.gz", image)
    image = read_volume(folder / "ct.nii.gz")
    return SegmentedCase(folder / "ct.nii.gz", image, image.with_array(labels.array), regions)


def _dicom_case(folder, make_volumes, write_dicom):
    image, labels = make_volumes(affine=AFFINE)
    (series,) = find_series(write_dicom(folder / "ct", image))
    image = read_series(series)
    return SegmentedCase(series, image, image.with_array(labels.array), LIVER_REGIONS)


def test_every_format_is_written_for_a_dicom_series(make_volumes, write_dicom, tmp_path):
    pytest.importorskip("highdicom")
    case, out = _dicom_case(tmp_path, make_volumes, write_dicom), tmp_path / "out"
    outputs = OutputFormats(FORMATS, measure=True)
    written = write_outputs(out, "a", case, outputs)
    captures = [path for path in written if path.parent.name == "a.sc"]
    assert len(captures) == 1 + case.labels.array.any(axis=(1, 2)).sum()
    named = [path for path in written if path not in captures[1:]]
    assert named == outputs.paths(out, "a", LIVER_REGIONS)
    assert written[-1].name == "a.nii.gz"
    assert sorted(path.name for path in out.iterdir()) == [
        *("a.json", "a.labels.txt", "a.nii.gz", "a.rtstruct.dcm", "a.sc", "a.seg.dcm"),
        "a.seg.nrrd",
        *("a_liver.obj", "a_liver.stl", "a_tumour.obj", "a_tumour.stl"),
    ]
    assert sorted(written) == sorted(path for path in out.rglob("*") if path.is_file())
    found = read_labels(out / "a.nii.gz")
    np.testing.assert_array_equal(found.array, case.labels.array)
    np.testing.assert_allclose(found.affine, AFFINE, atol=1e-5)
    modalities = [pydicom.dcmread(out / f"a.{kind}.dcm").Modality for kind in ("seg", "rtstruct")]
    assert modalities == ["SEG", "RTSTRUCT"]
    volume_ml = read_json(out / "a.json")["regions"]["liver"]["volume_ml"]
    liver = trimesh.load_mesh(out / "a_liver.stl")
    # marching cubes cut off the corners
    assert liver.volume / 1000 == pytest.approx(volume_ml, rel=0.15)
    assert trimesh.load_mesh(out / "a_liver.obj").volume == pytest.approx(liver.volume)


def test_only_requested_formats_are_written(make_volumes, tmp_path):
    case = _nifti_case(tmp_path, make_volumes)
    assert write_outputs(tmp_path / "out", "a", case, OutputFormats()) == [
        tmp_path / "out" / "a.nii.gz"
    ]
    write_outputs(tmp_path / "stl", "a", case, OutputFormats(("stl", "stl")))
    assert len(list((tmp_path / "stl").iterdir())) == 2


def test_agreement_is_written_with_the_measurements(make_volumes, tmp_path):
    case = _nifti_case(tmp_path, make_volumes)
    case = SegmentedCase(*(case.source, case.image, case.labels, case.regions), {"liver": 0.9})
    write_outputs(tmp_path, "a", case, OutputFormats(measure=True))
    found = read_json(tmp_path / "a.json")["regions"]
    assert found["liver"]["agreement"] == 0.9
    assert "agreement" not in found["tumour"]


def test_region_names_are_escaped_in_file_names(make_volumes, tmp_path):
    regions = Regions({"a/b: 100%": (1,), "leber ü": (2,)})
    case = _nifti_case(tmp_path, make_volumes, regions)
    written = write_outputs(tmp_path / "out", "x.y", case, OutputFormats(("obj",)))
    assert [path.name for path in written] == ["x.y_a%2Fb%3A 100%25.obj", "x.y_leber ü.obj"]
    assert all(path.parent == tmp_path / "out" and path.is_file() for path in written)


def test_region_names_cannot_leave_the_folder():
    assert [file_safe_name(name) for name in (".", "..", ".a", "b.c")] == [
        "%2E",
        "%2E.",
        "%2Ea",
        "b.c",
    ]


@pytest.mark.parametrize("kind", DICOM_FORMATS)
def test_dicom_objects_need_a_dicom_series(kind, make_volumes, tmp_path):
    case = _nifti_case(tmp_path, make_volumes)
    with pytest.raises(
        LiverSegError, match=f"Expected a DICOM series as input for --format {kind}"
    ):
        write_outputs(tmp_path / "out", "a", case, OutputFormats((kind, "nifti"), measure=True))
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("kind", DICOM_FORMATS)
def test_slices_in_different_frames_of_reference_are_refused(
    kind, make_volumes, write_series, tmp_path
):
    image, labels = make_volumes(affine=AFFINE)

    def edit(dataset, z):
        dataset.FrameOfReferenceUID = f"1.2.3.{z + 1}"

    (series,) = find_series(write_series(tmp_path / "ct", image, edit))
    case = SegmentedCase(series, image, labels, LIVER_REGIONS)
    with pytest.raises(LiverSegError, match=r"one FrameOfReferenceUID .* Received 6 diff"):
        write_outputs(tmp_path, "a", case, OutputFormats((kind,)))


def test_warnings_are_part_of_every_file_with_a_place_for_them(make_volumes, write_dicom, tmp_path):
    pytest.importorskip("highdicom")
    case = _dicom_case(tmp_path, make_volumes, write_dicom)
    notes = ("The spacing of \x1b 1 mm is assumed, für " + "x" * 2000,)
    case = dataclasses.replace(case, warnings=notes)
    write_outputs(tmp_path, "a", case, OutputFormats(("seg", "rtstruct"), measure=True))
    assert read_json(tmp_path / "a.json")["warnings"][0].startswith("The spacing of \\x1b 1 mm")
    seg = pydicom.dcmread(tmp_path / "a.seg.dcm").ImageComments
    structures = pydicom.dcmread(tmp_path / "a.rtstruct.dcm").StructureSetDescription
    assert seg.startswith("The spacing of _ 1 mm is assumed, f_xfcr ")
    assert structures == seg[:1024]


def test_unknown_formats_are_refused(monkeypatch):
    with pytest.raises(SettingsError, match="Expected formats among nifti, seg"):
        OutputFormats(("stl", "vtk"))
    monkeypatch.setitem(sys.modules, "highdicom", None)
    OutputFormats(("nifti", "rtstruct"))
    with pytest.raises(LiverSegError, match="Expected highdicom to write DICOM-SEG"):
        OutputFormats(("nifti", "seg"))


def test_an_unwritable_folder_is_reported(make_volumes, tmp_path):
    (tmp_path / "out").write_text("a file")
    case = _nifti_case(tmp_path, make_volumes)
    for kind in ("nifti", "stl", "obj"):
        with pytest.raises(LiverSegError, match="Expected to write"):
            write_outputs(tmp_path / "out", "a", case, OutputFormats((kind,)))
