"""Masks with named segments are read as they were written, also by independent libraries."""

import numpy as np
import pydicom
import pytest

from liverseg_tf.ct.dicom.series import find_series, read_series
from liverseg_tf.ct.orientation import Orientation
from liverseg_tf.ct.regions import LIVER_REGIONS, Regions
from liverseg_tf.ct.segments.read_mask import read_mask
from liverseg_tf.ct.segments.segment_file import ImageGrid
from liverseg_tf.ct.segments.segment_names import SegmentNames
from liverseg_tf.ct.volume import Volume
from liverseg_tf.errors import LiverSegError
from liverseg_tf.predict.outputs.dicom_seg import write_seg
from liverseg_tf.predict.outputs.rtstruct import write_rtstruct
from liverseg_tf.predict.outputs.seg_nrrd import write_seg_nrrd

NAMES = SegmentNames(LIVER_REGIONS)
# tags that highdicom copies
_COPIED = (
    *("PatientName", "PatientBirthDate", "PatientSex", "AccessionNumber", "StudyID"),
    *("StudyDate", "StudyTime", "ReferringPhysicianName", "Manufacturer"),
)
AXIAL = np.diag([-0.75, -0.8, 2.5, 1.0])


@pytest.fixture
def dicom_case(write_dicom, tmp_path):
    """Return a function of an affine that gives a series with noise as its labels."""

    def make(affine, name="ct"):
        array = np.random.default_rng(0).integers(-100, 100, (7, 12, 9)).astype(np.int16)
        array[[0, -1]] = -200
        (series,) = find_series(write_dicom(tmp_path / name, Volume(array, affine)))
        image = read_series(series)
        labels = (image.array > -50).astype(np.uint8) + (image.array > 60).astype(np.uint8)
        return ImageGrid(image, series), image.with_array(labels)

    return make


def _write(kind, path, grid, labels, regions=LIVER_REGIONS):
    if kind == "nrrd":
        write_seg_nrrd(path, labels, regions)
        return
    if kind == "seg":
        pytest.importorskip("highdicom")
    (write_seg if kind == "seg" else write_rtstruct)(path, grid.series, labels, regions)


@pytest.mark.parametrize("kind", ["seg", "rtstruct", "nrrd"])
def test_the_same_labels_come_back(kind, dicom_affine, dicom_case, tmp_path):
    grid, labels = dicom_case(dicom_affine)
    path = tmp_path / f"a.seg.{'nrrd' if kind == 'nrrd' else 'dcm'}"
    _write(kind, path, grid, labels)
    for names in (NAMES, None):
        np.testing.assert_array_equal(read_mask(path, grid, names).array, labels.array)


@pytest.mark.parametrize("kind", ["seg", "rtstruct", "nrrd"])
def test_an_image_in_another_axis_order_gets_the_same_mask(kind, dicom_case, tmp_path):
    """The image may be a NIfTI file of the series in any axis order."""
    grid, labels = dicom_case(AXIAL)
    path = tmp_path / f"a.seg.{'nrrd' if kind == 'nrrd' else 'dcm'}"
    _write(kind, path, grid, labels)
    turned = np.ascontiguousarray(np.transpose(labels.array, (2, 0, 1))[:, ::-1])
    to_series = np.zeros((4, 4))
    to_series[3, 3] = 1
    to_series[1, 0], to_series[2, 1], to_series[2, 3], to_series[0, 2] = 1, -1, 6, 1
    image = Volume(turned, labels.affine @ to_series)
    back = Orientation.of(image.affine).to_canonical(turned)
    np.testing.assert_array_equal(back, Orientation.of(labels.affine).to_canonical(labels.array))
    np.testing.assert_array_equal(read_mask(path, ImageGrid(image), NAMES).array, turned)


@pytest.mark.parametrize("kind", ["seg", "rtstruct"])
def test_masks_of_other_images_are_refused(kind, dicom_case, tmp_path):
    grid, labels = dicom_case(AXIAL)
    _write(kind, tmp_path / "a.dcm", grid, labels)
    shifted = AXIAL.copy()
    shifted[2, 3] = 1.25  # half a slice
    with pytest.raises(LiverSegError, match="another image"):
        read_mask(tmp_path / "a.dcm", ImageGrid(Volume(labels.array, shifted)), NAMES)
    wider = AXIAL @ np.diag([2, 2, 1, 1])
    with pytest.raises(LiverSegError, match=r"another image|one on|outside"):
        read_mask(tmp_path / "a.dcm", ImageGrid(Volume(labels.array[:, :3, :3], wider)), NAMES)
    other, _ = dicom_case(AXIAL, "other")
    dataset = pydicom.dcmread(tmp_path / "a.dcm")
    _rename_series(dataset)
    dataset.save_as(tmp_path / "b.dcm")
    with pytest.raises(LiverSegError, match="to refer to series"):
        read_mask(tmp_path / "b.dcm", other, NAMES)


def _rename_series(dataset):
    for element in dataset.iterall():
        if element.keyword == "SeriesInstanceUID":
            element.value = "1.2.3.99"


def test_a_series_of_every_second_slice_is_not_taken_for_the_whole(dicom_case, tmp_path):
    grid, labels = dicom_case(AXIAL)
    _write("rtstruct", tmp_path / "a.dcm", grid, labels)
    finer = Volume(np.zeros((13, 12, 9), np.int16), AXIAL @ np.diag([1, 1, 0.5, 1]))
    with pytest.raises(LiverSegError, match="neighbouring slices"):
        read_mask(tmp_path / "a.dcm", ImageGrid(finer), NAMES)


def test_highdicom_and_we_read_the_same_seg(dicom_case, tmp_path):
    hd = pytest.importorskip("highdicom")
    grid, labels = dicom_case(AXIAL)
    sources = [pydicom.dcmread(file) for file in grid.series.files]
    sources.sort(key=lambda one: one.ImagePositionPatient[2])
    for source in sources:
        for keyword in _COPIED:
            setattr(source, keyword, source.get(keyword, ""))
    masks = Regions({"a": (1,), "b": (2,)}).masks(labels.array).astype(np.uint8)
    described = [
        hd.seg.SegmentDescription(
            number,
            name,
            hd.sr.CodedConcept("91723000", "SCT", "Anatomical Structure"),
            hd.sr.CodedConcept("10200004", "SCT", "Liver"),
            hd.seg.SegmentAlgorithmTypeValues.MANUAL,
        )
        for number, name in ((1, "Liver"), (2, "GTV 1"))
    ]
    for kind in ("BINARY", "FRACTIONAL", "LABELMAP"):
        written = hd.seg.Segmentation(
            source_images=sources,
            pixel_array=masks.copy(),  # highdicom changes it
            segmentation_type=kind,
            segment_descriptions=described,
            series_instance_uid="1.2.3.4",
            series_number=1,
            sop_instance_uid="1.2.3.4.5",
            instance_number=1,
            manufacturer="test",
            manufacturer_model_name="test",
            software_versions="1",
            device_serial_number="1",
        )
        written.save_as(tmp_path / "a.dcm")
        names = SegmentNames(LIVER_REGIONS, (("tumour", "gtv*"),))
        found = read_mask(tmp_path / "a.dcm", grid, names)
        np.testing.assert_array_equal(found.array, labels.array)


def test_simpleitk_and_pynrrd_read_the_layers(dicom_case, tmp_path):
    nrrd, sitk = pytest.importorskip("nrrd"), pytest.importorskip("SimpleITK")
    _, labels = dicom_case(AXIAL)
    write_seg_nrrd(tmp_path / "a.seg.nrrd", labels, LIVER_REGIONS)
    image = sitk.ReadImage(str(tmp_path / "a.seg.nrrd"))
    assert image.GetNumberOfComponentsPerPixel() == 2  # the tumour overlaps with the liver
    layers = sitk.GetArrayFromImage(image)
    for layer, name in enumerate(LIVER_REGIONS.names):
        expected = LIVER_REGIONS.mask(labels.array, name) * (layer + 1)
        np.testing.assert_array_equal(layers[..., layer], expected)
    lps = np.diag([-1, -1, 1, 1]) @ labels.affine
    assert image.GetOrigin() == pytest.approx(lps[:3, 3])
    _, header = nrrd.read(str(tmp_path / "a.seg.nrrd"))
    assert [header[f"Segment{index}_Name"] for index in (0, 1)] == ["liver", "tumour"]
    assert [header[f"Segment{index}_Layer"] for index in (0, 1)] == ["0", "1"]
    assert header["kinds"] == ["list", "domain", "domain", "domain"]
    # segments that do not overlap share the first layer, an ordinary label map
    write_seg_nrrd(tmp_path / "b.seg.nrrd", labels, Regions({"healthy": (1,), "tumour": (2,)}))
    single = sitk.GetArrayFromImage(sitk.ReadImage(str(tmp_path / "b.seg.nrrd")))
    np.testing.assert_array_equal(single, labels.array)


def test_a_part_of_the_grid_and_a_file_of_pynrrd_are_read(tmp_path):
    """3D Slicer may store only the part of the grid that is occupied."""
    nrrd = pytest.importorskip("nrrd")
    image = Volume(np.zeros((6, 8, 10), np.int16), AXIAL)
    part = np.random.default_rng(1).integers(0, 3, (2, 3, 4)).astype(np.uint8)  # (i, j, k)
    header = {
        "space": "left-posterior-superior",
        "space directions": np.diag([0.75, 0.8, 2.5]),
        "space origin": np.array([3 * 0.75, 4 * 0.8, 1 * 2.5]),
        "Segment0_ID": "Segment_1",
        "Segment0_Name": "Tumor",
        "Segment0_LabelValue": "2",
        "Segment0_Layer": "0",
        "Segment1_ID": "Segment_2",
        "Segment1_Name": "LIVER",
        "Segment1_LabelValue": "1",
        "Segment1_Layer": "0",
    }
    nrrd.write(str(tmp_path / "a.seg.nrrd"), part, header)
    expected = np.zeros((6, 8, 10), np.uint8)
    expected[1:5, 4:7, 3:5] = part.T
    found = read_mask(tmp_path / "a.seg.nrrd", ImageGrid(image), NAMES)
    np.testing.assert_array_equal(found.array, expected)
    header["space origin"] = np.array([3.4 * 0.75, 4 * 0.8, 1 * 2.5])
    nrrd.write(str(tmp_path / "b.seg.nrrd"), part, header)
    with pytest.raises(LiverSegError, match="on the grid of its image"):
        read_mask(tmp_path / "b.seg.nrrd", ImageGrid(image), NAMES)
