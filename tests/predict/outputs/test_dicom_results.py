"""What all DICOM results have in common: origin, identifiers, patient, references, validity."""

import shutil
import subprocess

import numpy as np
import pydicom
import pytest
from enhanced import enhance

from liverseg_tf import __version__
from liverseg_tf.choices import DICOM_FORMATS
from liverseg_tf.ct.dicom.series import find_series, read_series
from liverseg_tf.ct.nifti import read_labels
from liverseg_tf.ct.regions import LIVER_REGIONS, Regions
from liverseg_tf.errors import SettingsError
from liverseg_tf.model.identity import ModelIdentity
from liverseg_tf.predict.outputs.case_outputs import OutputFormats, SegmentedCase, write_outputs
from liverseg_tf.predict.outputs.dicom_header import DicomHeader

hd = pytest.importorskip("highdicom")
AXIAL = np.diag([-0.75, -0.8, 2.5, 1.0])
MODEL = ModelIdentity("liver fast", "3", "0123456789abcdef" * 5)
MISSING = (
    *("PatientID", "PatientName", "SeriesNumber", "SliceThickness", "InstanceNumber"),
    "SeriesDescription",
)


def _write(folder, source, labels, regions=LIVER_REGIONS, **options):
    """Write all results of a folder with one series; return them by their kind."""
    (series,) = find_series(source)
    image = read_series(series)
    case = SegmentedCase(series, image, image.with_array(labels), regions, warnings=("A note.",))
    outputs = OutputFormats(DICOM_FORMATS, header=DicomHeader(MODEL, **options))
    written = write_outputs(folder, "a", case, outputs)
    results = [pydicom.dcmread(path) for path in written]
    for result in results:
        result.filename = None
    by_modality = {"SEG": "seg", "RTSTRUCT": "rtstruct", "OT": "sc"}
    # of the secondary captures, the first
    return {by_modality[one.Modality]: one for one in results[::-1]}, written


def _edit_files(folder, change):
    for file in folder.iterdir():
        dataset = pydicom.dcmread(file)
        change(dataset)
        dataset.save_as(file)


@pytest.fixture
def series(make_volumes, write_dicom, tmp_path):
    image, labels = make_volumes(affine=AXIAL)
    return write_dicom(tmp_path / "ct", image), labels.array


def test_results_name_the_model_and_the_software(series, tmp_path):
    results, _ = _write(tmp_path / "out", *series)
    for kind, one in results.items():
        assert one.Manufacturer == "liverseg_tf"
        assert one.ManufacturerModelName == "liver fast"
        assert one.DeviceSerialNumber == MODEL.fingerprint[:64]
        assert list(one.SoftwareVersions) == [f"liverseg_tf {__version__}", "model 3"]
        equipment = one.ContributingEquipmentSequence[-1]
        assert equipment.PurposeOfReferenceCodeSequence[0].CodeValue == "109102"
        assert equipment.ManufacturerModelName == "liver fast"
        assert "liver fast" in one.SeriesDescription, kind
    for segment in results["seg"].SegmentSequence:
        (algorithm,) = segment.SegmentationAlgorithmIdentificationSequence
        assert segment.SegmentAlgorithmName == algorithm.AlgorithmName == "liver fast"
        assert algorithm.AlgorithmVersion == "3"
        assert algorithm.AlgorithmParameters == f"fingerprint={MODEL.fingerprint}"
    assert results["rtstruct"].StructureSetName == "liver fast 3"


def test_series_have_numbers_and_descriptions(series, tmp_path):
    results, _ = _write(tmp_path / "out", *series)
    numbers = {kind: one.SeriesNumber for kind, one in results.items()}
    assert numbers == {"seg": 1003, "rtstruct": 2003, "sc": 3003}
    results, _ = _write(tmp_path / "b", *series, series_description="KI Leber", series_number=77)
    numbers = {kind: one.SeriesNumber for kind, one in results.items()}
    assert numbers == {"seg": 77, "rtstruct": 78, "sc": 79}
    assert {one.SeriesDescription for one in results.values()} == {"KI Leber"}
    with pytest.raises(SettingsError, match=r"number from 1 to 2147483645\. Received 0"):
        DicomHeader(series_number=0)


def test_equal_seeds_give_equal_uids(series, tmp_path):
    def uids(seed):
        results, _ = _write(tmp_path / "out", *series, uid_seed=seed)
        found = [(one.SeriesInstanceUID, one.SOPInstanceUID) for one in results.values()]
        assert len({uid for pair in found for uid in pair}) == 2 * len(DICOM_FORMATS)
        return found

    header = DicomHeader(MODEL, uid_seed="a")
    expected = [(header.uid(kind), header.uid(kind, 1)) for kind in DICOM_FORMATS]
    assert {*uids("a")} == {*expected}
    assert not {*uids("b")} & {*expected}
    assert not {*uids("")} & {*uids("")}
    assert all(pydicom.uid.UID(uid).is_valid for pair in expected for uid in pair)


@pytest.mark.parametrize(
    ("charset", "name"),
    [("ISO_IR 100", "Müller^Jürgen"), ("ISO_IR 192", "Ōe^健"), ("ISO_IR 144", "Дина^Юля")],
)
def test_names_keep_their_letters(charset, name, make_volumes, write_dicom, tmp_path):
    image, labels = make_volumes(affine=AXIAL)
    source = write_dicom(tmp_path / "ct", image, SpecificCharacterSet=charset, PatientName=name)
    regions = Regions({"Läsion": (1, 2), "肝": (2,)})
    results, _ = _write(tmp_path / "out", source, labels.array, regions)
    for one in results.values():
        assert one.PatientName == name
    assert [one.SegmentLabel for one in results["seg"].SegmentSequence] == ["Läsion", "肝"]
    assert [one.ROIName for one in results["rtstruct"].StructureSetROISequence] == ["Läsion", "肝"]


def test_every_frame_names_its_image(series, tmp_path):
    results, _ = _write(tmp_path / "out", *series)
    seg = results["seg"]
    files = [pydicom.dcmread(file) for file in series[0].iterdir()]
    by_uid = {file.SOPInstanceUID: file for file in files}
    (referenced,) = seg.ReferencedSeriesSequence
    assert referenced.SeriesInstanceUID == files[0].SeriesInstanceUID
    named = {item.ReferencedSOPInstanceUID for item in referenced.ReferencedInstanceSequence}
    for frame in seg.PerFrameFunctionalGroupsSequence:
        (image,) = frame.DerivationImageSequence[0].SourceImageSequence
        assert image.ReferencedSOPInstanceUID in named
        source = by_uid[image.ReferencedSOPInstanceUID]
        assert image.ReferencedSOPClassUID == source.SOPClassUID
        place = frame.PlanePositionSequence[0].ImagePositionPatient
        assert place == source.ImagePositionPatient
    assert named <= set(by_uid)
    assert {item.ReferencedSOPInstanceUID for item in seg.SourceImageSequence} == named


def test_enhanced_series_are_named_by_frame(series, tmp_path):
    folder, labels = series
    source = enhance(folder, tmp_path / "enhanced")
    results, _ = _write(tmp_path / "out", source, labels)
    whole = pydicom.dcmread(source / "enhanced.dcm")
    places = [
        group.PlanePositionSequence[0].ImagePositionPatient
        for group in whole.PerFrameFunctionalGroupsSequence
    ]
    seg = results["seg"]
    (item,) = seg.ReferencedSeriesSequence[0].ReferencedInstanceSequence
    assert item.ReferencedSOPInstanceUID == whole.SOPInstanceUID
    assert "ReferencedFrameNumber" not in item
    for frame in seg.PerFrameFunctionalGroupsSequence:
        (image,) = frame.DerivationImageSequence[0].SourceImageSequence
        assert image.ReferencedSOPClassUID == whole.SOPClassUID
        assert image.ReferencedSOPInstanceUID == whole.SOPInstanceUID
        expected = places[image.ReferencedFrameNumber - 1]
        assert frame.PlanePositionSequence[0].ImagePositionPatient == expected
    # read back by an independent library
    found = hd.seg.Segmentation.from_dataset(seg)
    volume = found.get_volume(combine_segments=False, allow_missing_positions=True)
    assert volume.array.sum() == LIVER_REGIONS.masks(labels).sum()
    masks = found.get_pixels_by_source_frame(
        whole.SOPInstanceUID,
        range(1, len(places) + 1),
        assert_missing_frames_are_empty=True,
    )
    order = np.argsort([place[2] for place in places])
    np.testing.assert_array_equal(masks[order].astype(bool), LIVER_REGIONS.masks(labels))
    for roi in results["rtstruct"].ROIContourSequence:
        for contour in roi.ContourSequence:
            frame = contour.ContourImageSequence[0].ReferencedFrameNumber
            assert {*map(float, contour.ContourData[2::3])} == {float(places[frame - 1][2])}


def _check_valid(path):
    done = subprocess.run(["dciodvfy", str(path)], capture_output=True, text=True)
    errors = [line for line in done.stderr.splitlines() if line.startswith("Error")]
    assert errors == [], path.name


@pytest.mark.skipif(shutil.which("dciodvfy") is None, reason="dicom3tools is not installed")
class TestDciodvfy:
    """An independent checker finds no error; it is in Debian's dicom3tools."""

    def test_results_are_valid(self, series, tmp_path):
        for path in _write(tmp_path / "out", *series)[1]:
            _check_valid(path)

    def test_results_of_incomplete_headers_are_valid(self, series, tmp_path):
        def change(dataset):
            for keyword in MISSING:
                dataset.pop(keyword, None)
            dataset.SpecificCharacterSet = "ISO_IR 100"
            dataset.PatientBirthDate, dataset.PatientSex = "19570000", "X"
            dataset.StudyTime, dataset.AccessionNumber = "25:99", "Ä1"
            dataset.ReferringPhysicianName = "A^B\\C\x07"
            dataset.PatientAge = "57"

        with pytest.warns(UserWarning, match="Invalid value"):
            _edit_files(series[0], change)
        results, written = _write(tmp_path / "out", *series)
        for path in written:
            _check_valid(path)
        for one in results.values():
            assert (one.PatientBirthDate, one.PatientSex, one.StudyTime) == ("", "", "")
            assert (one.AccessionNumber, one.ReferringPhysicianName) == ("Ä1", "A^B_C_")

    def test_results_of_enhanced_files_are_valid(self, series, tmp_path):
        source = enhance(series[0], tmp_path / "enhanced")
        for path in _write(tmp_path / "out", source, series[1])[1]:
            _check_valid(path)

    @pytest.mark.slow
    def test_results_of_a_real_series_are_valid(self, shared_data, tmp_path):
        truth = read_labels(shared_data / "Task03_Liver" / "labelsTr" / "liver_0.nii.gz")
        written = _write(tmp_path / "out", shared_data / "liver_0_dicom", truth.array)[1]
        assert len(written) == 32
        for path in written:
            _check_valid(path)
