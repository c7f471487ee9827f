import sys

import nibabel as nib
import numpy as np
import pydicom
import pytest

from liverseg_tf.ct.dicom.series import find_series, read_series
from liverseg_tf.ct.nifti import read_labels
from liverseg_tf.ct.regions import LIVER_REGIONS, Regions
from liverseg_tf.ct.volume import Volume
from liverseg_tf.errors import LiverSegError
from liverseg_tf.predict.outputs.dicom_seg import write_seg

hd = pytest.importorskip("highdicom")


AXIAL = np.diag([-0.75, -0.8, 2.5, 1.0])


def _labels(hounsfield):
    """Label noise, so that every flip, rotation or shift changes the labels."""
    return (hounsfield > 0).astype(np.uint8) + (hounsfield > 60).astype(np.uint8)


def _noise(affine):
    array = np.random.default_rng(0).integers(-100, 100, (7, 12, 9)).astype(np.int16)
    array[[0, -1]] = -200
    return Volume(array, affine)


def _write_seg_of(folder, out, regions=LIVER_REGIONS):
    (series,) = find_series(folder)
    image = read_series(series)
    write_seg(out, series, image.with_array(_labels(image.array)), regions)
    return series


def test_segments_match_the_referenced_files(dicom_affine, write_dicom, tmp_path):
    folder = write_dicom(tmp_path / "ct", _noise(dicom_affine))
    series = _write_seg_of(folder, tmp_path / "a.dcm")
    files = {(one := pydicom.dcmread(file)).SOPInstanceUID: one for file in series.files}
    found = hd.seg.segread(tmp_path / "a.dcm")
    assert found.number_of_segments == 2
    masks = found.get_pixels_by_source_instance(list(files), assert_missing_frames_are_empty=True)
    for mask, file in zip(masks, files.values(), strict=True):
        expected = LIVER_REGIONS.masks(_labels(file.pixel_array.astype(int) - 1024))
        np.testing.assert_array_equal(mask.astype(bool), expected)
    assert len(found.pixel_array) == 2 * 5  # empty frames are left out


def test_segments_match_by_position_alone(dicom_affine, write_dicom, tmp_path):
    """Frames are placed by their own positions in a volume that SimpleITK reads."""
    sitk = pytest.importorskip("SimpleITK")
    folder = write_dicom(tmp_path / "ct", _noise(dicom_affine))
    _write_seg_of(folder, tmp_path / "a.dcm")
    names = sitk.ImageSeriesReader.GetGDCMSeriesFileNames(str(folder))
    image = sitk.ReadImage(names)
    pixels = sitk.GetArrayFromImage(image)
    seg = pydicom.dcmread(tmp_path / "a.dcm")
    shared = seg.SharedFunctionalGroupsSequence[0]
    across, down = np.reshape(
        shared.PlaneOrientationSequence[0].ImageOrientationPatient, (2, 3)
    ).astype(float)
    row_mm, col_mm = map(float, shared.PixelMeasuresSequence[0].PixelSpacing)
    masks = np.zeros((2, *pixels.shape), bool)
    for frame, groups in zip(seg.pixel_array, seg.PerFrameFunctionalGroupsSequence, strict=True):
        segment = groups.SegmentIdentificationSequence[0].ReferencedSegmentNumber
        corner = np.array(groups.PlanePositionSequence[0].ImagePositionPatient, float)
        for row, col in np.argwhere(frame):
            place = corner + col * col_mm * across + row * row_mm * down
            index = image.TransformPhysicalPointToContinuousIndex(place.tolist())
            np.testing.assert_allclose(index, np.rint(index), atol=1e-3)
            masks[segment - 1][tuple(np.rint(index).astype(int)[::-1])] = True
    np.testing.assert_array_equal(np.moveaxis(masks, 0, -1), LIVER_REGIONS.masks(_labels(pixels)))


def test_header_of_the_segmentation(write_dicom, tmp_path):
    folder = write_dicom(tmp_path / "ct", _noise(AXIAL))
    regions = Regions({"liver": (1, 2), "left kidney": (3,), "tumour": (2,), "Gewebe ü": (4,)})
    series = _write_seg_of(folder, tmp_path / "a.dcm", regions)
    source, seg = pydicom.dcmread(series.files[0]), pydicom.dcmread(tmp_path / "a.dcm")
    for keyword in ("StudyInstanceUID", "FrameOfReferenceUID", "PatientID", "PatientName"):
        assert seg[keyword].value == source[keyword].value
    assert seg.SeriesInstanceUID != source.SeriesInstanceUID
    assert seg.SegmentationType == "BINARY"
    assert [item.SegmentLabel for item in seg.SegmentSequence] == list(regions.names)
    types = [item.SegmentedPropertyTypeCodeSequence[0] for item in seg.SegmentSequence]
    assert [one.CodeMeaning for one in types] == ["Liver", "Kidney", "Neoplasm", "Tissue"]
    assert types[1].SegmentedPropertyTypeModifierCodeSequence[0].CodeMeaning == "Left"
    tumour = seg.SegmentSequence[2]
    assert tumour.AnatomicRegionSequence[0].CodeValue == "10200004"
    assert tumour.SegmentAlgorithmType == "AUTOMATIC"
    assert len(tumour.RecommendedDisplayCIELabValue) == 3


def test_empty_labels_are_written(write_dicom, tmp_path):
    volume = _noise(AXIAL)
    folder = write_dicom(tmp_path / "ct", volume.with_array(np.full_like(volume.array, -200)))
    _write_seg_of(folder, tmp_path / "a.dcm")
    seg = hd.seg.segread(tmp_path / "a.dcm")
    assert not seg.pixel_array.any()
    assert seg.number_of_segments == 2


def test_anonymised_series_are_supported(write_dicom, tmp_path):
    folder = write_dicom(tmp_path / "ct", _noise(AXIAL))
    for file in folder.iterdir():
        dataset = pydicom.dcmread(file)
        del dataset.PatientID, dataset.PatientName, dataset.SeriesNumber
        del dataset.SliceThickness
        dataset.save_as(file)
    _write_seg_of(folder, tmp_path / "a.dcm")
    assert hd.seg.segread(tmp_path / "a.dcm").PatientID == ""


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"FrameOfReferenceUID": ""}, r"Expected FrameOfReferenceUID in .*IMG"),
        ({"StudyInstanceUID": ""}, r"Expected StudyInstanceUID in .*IMG"),
        (
            {"SOPInstanceUID": "1.2.3"},
            r"Expected 7 files with different SOPInstanceUIDs.*Received 1",
        ),
    ],
)
def test_incomplete_headers_are_refused(values, message, write_dicom, tmp_path):
    folder = write_dicom(tmp_path / "ct", _noise(AXIAL), **values)
    with pytest.raises(LiverSegError, match=message):
        _write_seg_of(folder, tmp_path / "a.dcm")
    assert not (tmp_path / "a.dcm").exists()


def test_labels_of_another_grid_are_refused(write_dicom, tmp_path):
    folder = write_dicom(tmp_path / "ct", _noise(AXIAL))
    (series,) = find_series(folder)
    image = read_series(series)
    for change in (np.diag([1, 1, -1, 1.0]), np.diag([1.1, 1, 1, 1])):
        labels = Volume(_labels(image.array), image.affine @ change)
        with pytest.raises(LiverSegError, match="to be a slice of the volume") as caught:
            write_seg(tmp_path / "a.dcm", series, labels, LIVER_REGIONS)
        assert "\n" not in str(caught.value)
    short = Volume(_labels(image.array)[:, :-1], image.affine)
    with pytest.raises(LiverSegError, match="to be a slice of the volume"):
        write_seg(tmp_path / "a.dcm", series, short, LIVER_REGIONS)


def test_missing_highdicom_is_reported(write_dicom, tmp_path, monkeypatch):
    folder = write_dicom(tmp_path / "ct", _noise(AXIAL))
    monkeypatch.setitem(sys.modules, "highdicom", None)
    with pytest.raises(LiverSegError, match=r"pip install 'liverseg_tf\[dicom\]'"):
        _write_seg_of(folder, tmp_path / "a.dcm")


def test_a_real_series(shared_data, tmp_path):
    (series,) = find_series(shared_data / "liver_0_dicom")
    truth = read_labels(shared_data / "Task03_Liver" / "labelsTr" / "liver_0.nii.gz")
    grid = read_series(series)
    write_seg(tmp_path / "a.dcm", series, grid.with_array(truth.array), LIVER_REGIONS)
    seg = hd.seg.segread(tmp_path / "a.dcm")
    volume = seg.get_volume(combine_segments=False, allow_missing_positions=True)
    affine = np.diag([-1, -1, 1, 1]) @ volume.affine  # from (slice, row, col) to RAS
    masks = LIVER_REGIONS.masks(truth.array)
    expected = nib.affines.apply_affine(truth.affine, np.argwhere(masks)[:, 2::-1])
    found = nib.affines.apply_affine(affine, np.argwhere(volume.array)[:, :3])
    assert len(found) == len(expected) == masks.sum()
    order = [np.lexsort(np.round(places, 1).T) for places in (found, expected)]
    np.testing.assert_allclose(found[order[0]], expected[order[1]], atol=0.05)
