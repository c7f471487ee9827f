import numpy as np
import pydicom
import pytest
from skimage.draw import polygon2mask

from liverseg_tf.ct.dicom.series import find_series, read_series
from liverseg_tf.ct.nifti import read_labels
from liverseg_tf.ct.regions import LIVER_REGIONS, Regions
from liverseg_tf.ct.volume import Volume
from liverseg_tf.errors import LiverSegError
from liverseg_tf.predict.outputs.rtstruct import write_rtstruct

AXIAL = np.diag([-0.75, -0.8, 2.5, 1.0])


def _labels(hounsfield):
    return (hounsfield > -50).astype(np.uint8) + (hounsfield > 60).astype(np.uint8)


def _noise(affine):
    array = np.random.default_rng(0).integers(-100, 100, (7, 12, 9)).astype(np.int16)
    array[[0, -1]] = -200
    return Volume(array, affine)


def _write_rtstruct_of(folder, out, regions=LIVER_REGIONS):
    (series,) = find_series(folder)
    image = read_series(series)
    write_rtstruct(out, series, image.with_array(_labels(image.array)), regions)
    return series


def _pixels_inside(roi, source):
    """Return the pixels of one file inside the contours of one ROI, (row, col) bool."""
    mask = np.zeros((source.Rows, source.Columns), bool)
    corner = np.array(source.ImagePositionPatient, float)
    across, down = np.reshape(source.ImageOrientationPatient, (2, 3)).astype(float)
    for contour in roi.get("ContourSequence", ()):
        if contour.ContourImageSequence[0].ReferencedSOPInstanceUID == source.SOPInstanceUID:
            places = np.reshape(contour.ContourData, (-1, 3)).astype(float) - corner
            assert len(places) == contour.NumberOfContourPoints
            assert np.abs(places @ np.cross(across, down)).max() < 2e-3  # in the slice's plane
            rows, cols = places @ down, places @ across
            points = np.stack([rows, cols], axis=1) / np.array(source.PixelSpacing, float)
            mask ^= polygon2mask(mask.shape, points)
    return mask


def test_contours_match_the_referenced_files(dicom_affine, write_dicom, tmp_path):
    folder = write_dicom(tmp_path / "ct", _noise(dicom_affine))
    series = _write_rtstruct_of(folder, tmp_path / "a.dcm")
    found = pydicom.dcmread(tmp_path / "a.dcm")
    for file in series.files:
        source = pydicom.dcmread(file)
        expected = LIVER_REGIONS.masks(_labels(source.pixel_array.astype(int) - 1024))
        for channel, roi in enumerate(found.ROIContourSequence):
            np.testing.assert_array_equal(_pixels_inside(roi, source), expected[..., channel])


def test_contours_match_by_position_alone(dicom_affine, write_dicom, tmp_path):
    """Contours are placed by their coordinates in a volume that SimpleITK reads."""
    sitk = pytest.importorskip("SimpleITK")
    folder = write_dicom(tmp_path / "ct", _noise(dicom_affine))
    _write_rtstruct_of(folder, tmp_path / "a.dcm")
    image = sitk.ReadImage(sitk.ImageSeriesReader.GetGDCMSeriesFileNames(str(folder)))
    pixels = sitk.GetArrayFromImage(image)
    found = pydicom.dcmread(tmp_path / "a.dcm")
    masks = np.zeros((*pixels.shape, 2), bool)
    for channel, roi in enumerate(found.ROIContourSequence):
        for contour in roi.ContourSequence:
            places = np.reshape(contour.ContourData, (-1, 3)).astype(float).tolist()
            points = np.array([image.TransformPhysicalPointToContinuousIndex(p) for p in places])
            (z,) = set(np.rint(points[:, 2]).astype(int))
            assert np.abs(points[:, 2] - z).max() < 2e-3
            masks[z, ..., channel] ^= polygon2mask(pixels.shape[1:], points[:, 1::-1])
    np.testing.assert_array_equal(masks, LIVER_REGIONS.masks(_labels(pixels)))


def test_header_of_the_structure_set(write_dicom, tmp_path):
    folder = write_dicom(tmp_path / "ct", _noise(AXIAL))
    regions = Regions({"liver": (1, 2), "tumour": (2,), "spleen": (3,)})
    series = _write_rtstruct_of(folder, tmp_path / "a.dcm", regions)
    source, found = pydicom.dcmread(series.files[0]), pydicom.dcmread(tmp_path / "a.dcm")
    for keyword in ("StudyInstanceUID", "FrameOfReferenceUID", "PatientID", "PatientName"):
        assert found[keyword].value == source[keyword].value
    assert found.SeriesInstanceUID != source.SeriesInstanceUID
    assert [item.ROIName for item in found.StructureSetROISequence] == list(regions.names)
    assert [item.ReferencedROINumber for item in found.ROIContourSequence] == [1, 2, 3]
    observed = found.RTROIObservationsSequence
    assert [item.RTROIInterpretedType for item in observed] == ["ORGAN", "", "ORGAN"]
    assert observed[1].RTROIIdentificationCodeSequence[0].CodeMeaning == "Neoplasm"
    assert "ContourSequence" not in found.ROIContourSequence[2]
    (frame,) = found.ReferencedFrameOfReferenceSequence
    (referenced,) = frame.RTReferencedStudySequence[0].RTReferencedSeriesSequence
    assert referenced.SeriesInstanceUID == series.uid
    uids = {item.ReferencedSOPInstanceUID for item in referenced.ContourImageSequence}
    assert uids == {pydicom.dcmread(file).SOPInstanceUID for file in series.files}


def test_long_contours_are_complete(write_dicom, tmp_path):
    """A contour of more than 65,534 bytes exceeds the limit of explicit transfer syntaxes."""
    array = np.full((2, 90, 90), -200, np.int16)
    array[0] = 0
    array[0, 1:-1:2, 1:-1:2] = -200  # the contour runs around every hole
    series = _write_rtstruct_of(
        write_dicom(tmp_path / "ct", Volume(array, AXIAL)), tmp_path / "a.dcm"
    )
    roi = pydicom.dcmread(tmp_path / "a.dcm").ROIContourSequence[0]
    (contour,) = roi.ContourSequence
    assert sum(len(str(mm)) + 1 for mm in contour.ContourData) > 65534
    for file in series.files:
        source = pydicom.dcmread(file)
        np.testing.assert_array_equal(_pixels_inside(roi, source), source.pixel_array == 1024)


def test_labels_of_another_grid_are_refused(write_dicom, tmp_path):
    (series,) = find_series(write_dicom(tmp_path / "ct", _noise(AXIAL)))
    image = read_series(series)
    labels = Volume(_labels(image.array), image.affine @ np.diag([-1, 1, 1, 1]))
    with pytest.raises(LiverSegError, match="to be a slice of the volume"):
        write_rtstruct(tmp_path / "a.dcm", series, labels, LIVER_REGIONS)
    assert not (tmp_path / "a.dcm").exists()


@pytest.mark.slow
def test_a_real_series(shared_data, tmp_path):
    (series,) = find_series(shared_data / "liver_0_dicom")
    truth = read_labels(shared_data / "Task03_Liver" / "labelsTr" / "liver_0.nii.gz")
    grid = read_series(series)
    write_rtstruct(tmp_path / "a.dcm", series, grid.with_array(truth.array), LIVER_REGIONS)
    found = pydicom.dcmread(tmp_path / "a.dcm")
    sources = [pydicom.dcmread(file, stop_before_pixels=True) for file in series.files]
    sources.sort(key=lambda source: source.ImagePositionPatient[2])
    for name, roi in zip(LIVER_REGIONS.names, found.ROIContourSequence, strict=True):
        drawn = np.stack([_pixels_inside(roi, source) for source in sources])
        np.testing.assert_array_equal(drawn, LIVER_REGIONS.mask(truth.array, name))
