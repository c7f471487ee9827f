"""Valid DICOM series: found, sorted and read exactly."""

import os
import random
import shutil
import tracemalloc
from pathlib import Path

import numpy as np
import pydicom
import pytest
from enhanced import enhance
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pydicom.dataset import Dataset
from pydicom.uid import RLELossless, SecondaryCaptureImageStorage
from reading import compress_with_gdcm
from scipy.spatial.transform import Rotation

from liverseg_tf.ct.dicom.series import DicomSeries, find_series, find_volume_series, read_series
from liverseg_tf.ct.images import read_image
from liverseg_tf.ct.nifti import read_volume
from liverseg_tf.ct.orientation import to_canonical
from liverseg_tf.ct.volume import Volume
from liverseg_tf.errors import LiverSegError

# in the order in which slices are read: rows and columns as stored, slices towards superior
AFFINE = np.array([[-0.7, 0, 0, 90.5], [0, 0.8, 0, -12.25], [0, 0, 2.5, 1000], [0, 0, 0, 1]])
SAMPLES = Path(pydicom.data.__file__).parent / "test_files"
PROPERTY = settings(
    max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)


def make_ct(shape=(5, 6, 7), affine=AFFINE, seed=0):
    array = np.random.default_rng(seed).integers(-1024, 3000, shape).astype(np.int16)
    return Volume(array, affine)


def read_only_series(folder):
    (series,) = find_series(folder)
    return read_series(series)


def check_equal(volume, expected):
    assert volume.array.dtype == expected.array.dtype
    assert volume.array.flags.c_contiguous
    np.testing.assert_array_equal(volume.array, expected.array)
    np.testing.assert_allclose(volume.affine, expected.affine, atol=1e-6)


def test_real_ct_equals_its_nifti_version(shared_data):
    volume = read_image(shared_data / "liver_0_dicom")
    nifti = read_volume(shared_data / "Task03_Liver/imagesTr/liver_0.nii.gz")
    assert volume.array.dtype == nifti.array.dtype == np.int16
    np.testing.assert_array_equal(volume.array, nifti.array)
    np.testing.assert_allclose(volume.affine, nifti.affine, atol=1e-3)


def test_find_and_read_a_series(tmp_path, write_series):
    ct = make_ct()
    write_series(tmp_path, ct, uid="1.2.3")
    (series,) = find_series(tmp_path)
    assert series.uid == "1.2.3"
    assert series.files == tuple(sorted(tmp_path.iterdir()))
    assert (series.image_count, series.localizer, series.patient_id) == (5, False, "p1")
    assert (series.modality, series.number, series.description) == ("CT", "3", "Abdomen")
    assert str(series) == f"series 3 'Abdomen' 1.2.3 in {tmp_path}"
    assert repr(series) == (
        "DicomSeries(CT; images: 5; number: 3; description: Abdomen; uid: 1.2.3; "
        f"folder: {tmp_path})"
    )
    volume = read_series(series)
    check_equal(volume, ct)
    assert volume.header is None


def test_slices_are_sorted_by_position_only(tmp_path, write_series):
    ct = make_ct((9, 4, 5))
    names = random.Random(0).sample(range(9), 9)

    def shuffle(dataset, z):
        dataset.InstanceNumber = names[z] + 1

    write_series(tmp_path / "a", ct, shuffle)
    for z, name in enumerate(names):
        (tmp_path / "a" / f"{z:04}.dcm").rename(tmp_path / "a" / f"IM{name}")
    check_equal(read_only_series(tmp_path), ct)


@PROPERTY
@given(
    st.tuples(
        st.tuples(*[st.floats(-180, 180)] * 3),
        st.tuples(*[st.floats(0.3, 6)] * 3),
        st.tuples(*[st.floats(-2000, 2000)] * 3),
        st.booleans(),
    ),
    st.permutations(range(4)),
)
def test_any_orthogonal_grid_is_read_exactly(tmp_path_factory, write_series, grid, order):
    angles, spacing, origin, mirror = grid
    axes = Rotation.from_euler("xyz", angles, degrees=True).as_matrix()
    axes[:, 0] *= -1 if mirror else 1
    affine = np.eye(4)
    affine[:3, :3], affine[:3, 3] = axes * spacing, origin
    ct = make_ct((4, 5, 6), affine)
    folder = tmp_path_factory.mktemp("series")
    write_series(folder, ct, name="{}")
    for new, old in enumerate(order):
        (folder / f"{old}").rename(folder / f"x{new}")
    volume = read_only_series(folder)
    # the reader sorts slices towards left, posterior or superior; the files may run the other way
    normal = np.diag([-1, -1, 1]) @ axes[:, 2]
    if normal[np.abs(normal).argmax()] < 0:
        flipped = affine.copy()
        flipped[:3, 3] += 3 * affine[:3, 2]
        flipped[:3, 2] *= -1
        ct = Volume(np.ascontiguousarray(ct.array[::-1]), flipped)
    np.testing.assert_array_equal(volume.array, ct.array)
    np.testing.assert_allclose(volume.affine, ct.affine, atol=1e-4)


@pytest.mark.parametrize("axes", ["xyz", "xzy", "yzx", "zyx"])
@pytest.mark.parametrize("signs", [(1, 1, 1), (-1, 1, 1), (1, -1, -1), (-1, -1, 1)])
def test_voxels_and_affine_match_simpleitk(tmp_path, write_series, axes, signs):
    sitk = pytest.importorskip("SimpleITK")
    affine = np.eye(4)
    affine[:3, :3] = np.eye(3)[["xyz".index(axis) for axis in axes]] * signs * [0.7, 0.8, 2.5]
    affine[:3, 3] = 12.5, -7, 300
    write_series(tmp_path, make_ct(affine=affine))
    reader = sitk.ImageSeriesReader()
    reader.SetFileNames(reader.GetGDCMSeriesFileNames(str(tmp_path)))
    image = reader.Execute()
    theirs = np.eye(4)
    lps = np.reshape(image.GetDirection(), (3, 3)) * image.GetSpacing()
    theirs[:3] = np.diag([-1, -1, 1]) @ np.column_stack([lps, image.GetOrigin()])
    expected = to_canonical(Volume(sitk.GetArrayFromImage(image), theirs))
    ours = to_canonical(read_only_series(tmp_path))
    np.testing.assert_array_equal(ours.array, expected.array)
    np.testing.assert_allclose(ours.affine, expected.affine, atol=1e-4)


def test_each_slice_is_rescaled_with_its_own_values(tmp_path, write_series):
    def own(dataset, z):
        dataset.RescaleSlope, dataset.RescaleIntercept = 1 + z, -10 * z
        dataset.PixelData = np.full((6, 7), 100, "<u2").tobytes()

    write_series(tmp_path, make_ct(), own)
    volume = read_only_series(tmp_path)
    assert volume.array.dtype == np.int16
    np.testing.assert_array_equal(volume.array[:, 0, 0], [100 * (1 + z) - 10 * z for z in range(5)])


@pytest.mark.parametrize(
    ("rescale", "stored", "dtype"),
    [
        ((1, -1024), 0, np.int16),
        ((1, -1024), 65535, np.int32),
        ((2, 0), 20000, np.int32),
        ((0.5, 0), 3, np.float32),
        ((1, 0.25), 3, np.float32),
        ((1, -1024), 33791, np.int16),
    ],
)
def test_dtype_is_the_smallest_that_holds_the_values(
    tmp_path, write_series, rescale, stored, dtype
):
    slope, intercept = rescale

    def last(dataset, z):
        if z == 4:  # all other slices fit in int16
            dataset.RescaleSlope, dataset.RescaleIntercept = slope, intercept
            dataset.PixelData = np.full((6, 7), stored, "<u2").tobytes()

    ct = make_ct()
    volume = read_only_series(write_series(tmp_path, ct, last))
    assert volume.array.dtype == dtype
    assert (volume.array[4] == stored * slope + intercept).all()
    np.testing.assert_array_equal(volume.array[:4], ct.array[:4])


def test_padding_of_air_is_kept_and_signed_values_are_sign_extended(tmp_path, write_series):
    def signed(dataset, z):
        dataset.PixelRepresentation, dataset.PixelPaddingValue = 1, -2000
        dataset.PixelData = np.full((6, 7), -2000, "<i2").tobytes()

    assert (read_only_series(write_series(tmp_path / "a", make_ct(), signed)).array == -3024).all()

    def twelve_bits(dataset, z):
        dataset.BitsStored, dataset.HighBit, dataset.PixelRepresentation = 12, 11, 1
        dataset.RescaleIntercept = 0
        dataset.PixelData = np.full((6, 7), 0xFFE, "<u2").tobytes()  # -2 in 12 bits

    assert (
        read_only_series(write_series(tmp_path / "b", make_ct(), twelve_bits)).array == -2
    ).all()


def test_inverted_display_does_not_change_the_hu(tmp_path, write_series):
    def invert(dataset, z):
        dataset.PhotometricInterpretation = "MONOCHROME1"

    ct = make_ct()
    check_equal(read_only_series(write_series(tmp_path, ct, invert)), ct)


@pytest.mark.parametrize(("digits", "spacing"), [(2, 1.0 / 3), (1, 0.625), (2, 1.25)])
def test_rounded_positions_are_accepted(tmp_path, write_series, digits, spacing):
    affine = AFFINE.copy()
    affine[2, 2] = spacing

    def round_off(dataset, z):
        dataset.ImagePositionPatient = [
            round(float(v), digits) for v in dataset.ImagePositionPatient
        ]

    ct = make_ct((40, 3, 4), affine)
    volume = read_only_series(write_series(tmp_path, ct, round_off))
    np.testing.assert_array_equal(volume.array, ct.array)
    np.testing.assert_allclose(volume.affine, ct.affine, atol=0.6 * 10**-digits)


def test_a_single_slice_uses_its_slice_thickness(tmp_path, write_series):
    ct = make_ct((1, 6, 7))
    check_equal(read_only_series(write_series(tmp_path, ct)), ct)


def test_file_names_and_unrelated_files_are_ignored(tmp_path, write_series):
    ct = make_ct()
    write_series(tmp_path / "é with spaces" / "A", ct, name="{}", uid="1.1")
    for z in range(3, 5):  # one series spread over two folders
        os.makedirs(tmp_path / "B", exist_ok=True)
        (tmp_path / "é with spaces" / "A" / f"{z}").rename(tmp_path / "B" / f"{z}.txt")
    (tmp_path / "empty").touch()
    (tmp_path / "notes.txt").write_text("no DICOM at all")
    (tmp_path / "B" / "scan.nii").write_bytes(b"\0" * 400)
    (tmp_path / "DICOMDIR").write_bytes(b"\0" * 128 + b"DICM")
    (tmp_path / "B" / "loop").symlink_to(tmp_path)
    (tmp_path / "self").symlink_to(tmp_path / "self")
    os.mkfifo(tmp_path / "pipe")
    check_equal(read_only_series(tmp_path), ct)
    check_equal(read_image(tmp_path), ct)


def test_duplicate_files_are_read_once(tmp_path, write_series):
    ct = make_ct()
    write_series(tmp_path / "a", ct)
    shutil.copytree(tmp_path / "a", tmp_path / "b")
    check_equal(read_only_series(tmp_path), ct)


def test_slices_that_share_one_uid_are_all_read(tmp_path, write_series):
    def anonymise(dataset, z):
        dataset.SOPInstanceUID = "1.2"

    ct = make_ct()
    check_equal(read_only_series(write_series(tmp_path, ct, anonymise)), ct)


def test_files_without_preamble_are_read(tmp_path, write_series):
    ct = make_ct()
    for path in write_series(tmp_path, ct).iterdir():
        dataset = pydicom.dcmread(path)
        del dataset.file_meta
        dataset.preamble = None
        dataset.save_as(path, implicit_vr=True, little_endian=True, overwrite=True)
        assert path.read_bytes()[128:132] != b"DICM"
    check_equal(read_only_series(tmp_path), ct)


def test_localizers_are_skipped(tmp_path, write_series):
    def localize(dataset, z):
        dataset.ImageType = ["ORIGINAL", "PRIMARY", "LOCALIZER"]

    ct = make_ct()
    write_series(tmp_path / "scout", make_ct((2, 9, 9), seed=1), localize)
    write_series(tmp_path / "single", make_ct((1, 9, 9), seed=2))
    write_series(tmp_path / "ct", ct, uid="1.5")
    # a localizer that is part of the same series
    write_series(tmp_path / "ct", make_ct((1, 9, 3)), localize, "scout{}", uid="1.5")
    assert len(find_series(tmp_path)) == 3
    assert [series.uid for series in find_volume_series(tmp_path)] == ["1.5"]
    check_equal(read_image(tmp_path), ct)


def test_dicom_objects_other_than_images_are_skipped(tmp_path, write_series):
    ct = make_ct()
    write_series(tmp_path, ct)
    for name in ("rtstruct.dcm", "rtdose.dcm", "rtplan.dcm", "test-SR.dcm", "reportsi.dcm"):
        shutil.copy(SAMPLES / name, tmp_path / name)

    def capture(dataset, z):  # a screenshot, in colour and without a position
        dataset.SOPClassUID = SecondaryCaptureImageStorage
        dataset.SamplesPerPixel, dataset.PhotometricInterpretation = 3, "RGB"
        del dataset.ImagePositionPatient

    write_series(tmp_path / "captures", make_ct(seed=1), capture)
    check_equal(read_image(tmp_path), ct)


def test_secondary_captures_with_positions_are_read(tmp_path, write_series):
    def convert(dataset, z):
        dataset.SOPClassUID = SecondaryCaptureImageStorage

    ct = make_ct()
    check_equal(read_image(write_series(tmp_path, ct, convert)), ct)


def test_enhanced_multi_frame_files_are_read(tmp_path, write_series):
    ct = make_ct((8, 5, 6))

    def own(dataset, z):
        dataset.RescaleIntercept = -1024 + z

    folder = enhance(write_series(tmp_path / "a", ct, own), tmp_path / "b")
    (series,) = find_series(folder)
    assert series.image_count == 8
    expected = ct.array + np.arange(8, dtype=np.int16)[:, None, None]
    check_equal(read_series(series), ct.with_array(expected))


def test_frames_of_two_phases_that_interleave_are_refused(tmp_path, write_series):
    ct = make_ct((8, 5, 6))
    path = enhance(write_series(tmp_path / "a", ct), tmp_path / "b") / "enhanced.dcm"
    whole = pydicom.dcmread(path)
    for group in whole.PerFrameFunctionalGroupsSequence:
        place = float(group.PlanePositionSequence[0].ImagePositionPatient[2])
        content = Dataset()
        content.TemporalPositionIndex = 1 + round(place / 2.5) % 2
        group.FrameContentSequence = [content]
    whole.save_as(path)
    with pytest.raises(LiverSegError, match=r"one acquisition.*TemporalPositionIndex"):
        read_image(tmp_path / "b")


def test_run_length_encoding_needs_no_extra_package(tmp_path, write_series):
    def compress(dataset, z):
        dataset.compress(RLELossless)

    ct = make_ct()
    check_equal(read_only_series(write_series(tmp_path, ct, compress)), ct)


@pytest.mark.parametrize("kind", ["JPEGLosslessProcess14_1", "JPEG2000Lossless", "JPEGLSLossless"])
def test_compressed_files_are_read(tmp_path, write_series, kind):
    ct = make_ct((3, 16, 18))
    for path in compress_with_gdcm(write_series(tmp_path, ct), kind).iterdir():
        assert pydicom.dcmread(path).file_meta.TransferSyntaxUID.is_compressed
    check_equal(read_only_series(tmp_path), ct)


@pytest.mark.parametrize(
    "name", ["MR_small_implicit", "MR_small_bigendian", "MR_small_expb", "MR_small_RLE"]
)
def test_one_mr_in_several_encodings_is_read_alike(tmp_path, name):
    def read(name):
        return read_series(DicomSeries("1", (SAMPLES / f"{name}.dcm",)))

    expected = read("MR_small")
    assert expected.array.shape == (1, 64, 64)
    assert expected.array.std() > 0
    check_equal(read(name), expected)


def test_reading_needs_little_more_memory_than_the_volume(tmp_path, write_series):
    ct = make_ct((40, 128, 128))
    (series,) = find_series(write_series(tmp_path, ct))
    read_series(series)
    tracemalloc.start()
    read_series(series)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 1.4 * ct.array.nbytes
