"""No file that may be a slice is dropped without a word."""

import shutil
from pathlib import Path

import numpy as np
import pydicom
import pytest

from liverseg_tf.ct.dicom.series import find_series, find_volume_series, read_series
from liverseg_tf.ct.images import read_image
from liverseg_tf.ct.volume import Volume
from liverseg_tf.errors import LiverSegError

SAMPLES = Path(pydicom.data.__file__).parent / "test_files"


def make_ct(shape=(6, 60, 60)):
    array = np.random.default_rng(0).integers(-1000, 1000, shape).astype(np.int16)
    return Volume(array, np.diag([-0.7, 0.8, 2.5, 1.0]))


def zero(path, size=4096):
    content = path.read_bytes()
    path.write_bytes(bytes(size) + content[size:])


@pytest.mark.parametrize(
    "name", ["{:04}.dcm", "IM{}", "{:03}", "1.2.840.{}.7", "{:08x}", "CT.{:016x}.ima", "{}.DCM"]
)
@pytest.mark.parametrize("damage", [zero, lambda path: path.write_bytes(b"")])
def test_a_last_slice_that_was_zeroed_or_emptied_is_refused(tmp_path, write_series, name, damage):
    write_series(tmp_path, make_ct(), name=name)
    last = tmp_path / name.format(5)
    damage(last)
    with pytest.raises(LiverSegError, match="one of its slices: copy it again") as caught:
        read_image(tmp_path)
    assert str(last) in str(caught.value)


def test_a_zeroed_file_of_the_size_of_a_slice_is_refused(tmp_path, write_series):
    write_series(tmp_path, make_ct(), name="slice-{}")
    zero((tmp_path / "slice-5").rename(tmp_path / "last"))
    with pytest.raises(LiverSegError, match=r"last \(no DICOM file, but like the slices"):
        read_image(tmp_path)


def test_an_empty_file_beside_a_series_is_named(tmp_path, write_series):
    write_series(tmp_path, make_ct())
    (tmp_path / "copy.dcm").touch()
    with pytest.raises(LiverSegError, match=r"copy\.dcm \(an empty file\)"):
        read_image(tmp_path)


@pytest.mark.parametrize("content", [b"text", bytes(5000), b"\x08\0" + b"x" * 500])
def test_a_file_that_ends_in_dcm_and_is_none_is_refused(tmp_path, write_series, content):
    write_series(tmp_path, make_ct())
    (tmp_path / "notes.dcm").write_bytes(content)
    with pytest.raises(LiverSegError, match=r"notes\.dcm"):
        read_image(tmp_path)


def test_damage_affects_only_the_series_of_its_folder(tmp_path, write_series):
    write_series(tmp_path / "good", make_ct())
    write_series(tmp_path / "bad", make_ct())
    zero(tmp_path / "bad" / "0005.dcm")
    bad, good = sorted(find_volume_series(tmp_path), key=lambda series: series.folder)
    assert read_series(good).array.shape == (6, 60, 60)
    with pytest.raises(LiverSegError, match=r"0005\.dcm"):
        read_series(bad)


def test_damaged_files_alone_are_a_series_that_cannot_be_read(tmp_path, write_series):
    write_series(tmp_path / "good", make_ct())
    (tmp_path / "bad").mkdir()
    (tmp_path / "bad" / "x.dcm").write_bytes(bytes(5000))
    bad, good = sorted(find_volume_series(tmp_path), key=lambda series: series.folder)
    assert (good.damaged, bad.uid) == ((), "")
    with pytest.raises(LiverSegError, match=r"x\.dcm"):
        read_series(bad)
    with pytest.raises(LiverSegError, match=r"one DICOM series.*with x\.dcm: no DICOM file"):
        read_image(tmp_path)


def test_other_files_and_objects_beside_a_series_are_skipped(tmp_path, write_series):
    ct = make_ct()
    write_series(tmp_path, ct)
    for name in ("rtstruct.dcm", "rtdose.dcm", "test-SR.dcm"):
        shutil.copy(SAMPLES / name, tmp_path / name)
    shutil.copy(SAMPLES / "rtplan.dcm", tmp_path / "0007.dcm")
    (tmp_path / "README").write_text("text")
    (tmp_path / "VERSION").touch()
    (tmp_path / "report.pdf").write_bytes(b"%PDF")
    (tmp_path / "._0001.dcm").write_bytes(bytes(300))
    np.testing.assert_array_equal(read_image(tmp_path).array, ct.array)


@pytest.mark.parametrize("uid", ["1.2.840.10008.5.1.4.1.1", "1.2.84", "1.2.840.10008.5.9", ""])
def test_an_object_of_an_unknown_class_beside_a_series_is_refused(tmp_path, write_series, uid):
    write_series(tmp_path, make_ct())
    dataset = pydicom.dcmread(SAMPLES / "rtstruct.dcm", force=True)
    dataset.SOPClassUID = uid
    dataset.file_meta.MediaStorageSOPClassUID = "1.2.3"
    dataset.save_as(tmp_path / "x.dcm")
    with pytest.raises(LiverSegError, match=r"x\.dcm \(a truncated or damaged header\)"):
        read_image(tmp_path)


def test_a_slice_without_series_uid_beside_a_series_is_refused(tmp_path, write_series):
    def remove(dataset, z):
        if z == 5:
            del dataset.SeriesInstanceUID

    write_series(tmp_path, make_ct(), remove)
    with pytest.raises(LiverSegError, match=r"0005\.dcm \(SeriesInstanceUID is missing"):
        read_image(tmp_path)


@pytest.mark.parametrize("z", [0, 5])
def test_a_slice_at_the_end_with_another_series_uid_is_refused(tmp_path, write_series, z):
    def damage(dataset, index):
        if index == z:
            dataset.SeriesInstanceUID += "1"

    write_series(tmp_path, make_ct(), damage, uid="1.2.3")
    with pytest.raises(LiverSegError, match=f"{z:04}.dcm, which is a slice of the volume"):
        read_image(tmp_path)


def test_a_slice_in_the_middle_of_three_with_another_series_uid_is_refused(tmp_path, write_series):
    def damage(dataset, index):
        if index == 1:
            dataset.SeriesInstanceUID += "1"

    write_series(tmp_path, make_ct((3, 8, 8)), damage, uid="1.2.3")
    with pytest.raises(LiverSegError, match=r"0001\.dcm, which is a slice of the volume"):
        read_image(tmp_path)


def test_a_slice_that_lost_its_series_uid_and_position_is_refused(tmp_path, write_series):
    def damage(dataset, index):
        if index == 5:
            dataset.SeriesInstanceUID += "1"
            del dataset.ImagePositionPatient

    write_series(tmp_path, make_ct(), damage, uid="1.2.3")
    with pytest.raises(LiverSegError, match=r"0005\.dcm, which may be one of its slices"):
        read_image(tmp_path)


def test_single_images_elsewhere_are_skipped(tmp_path, write_series):
    ct = make_ct()
    write_series(tmp_path, ct, uid="1.2.3")
    scout = Volume(make_ct((1, 60, 60)).array, np.diag([-0.7, 0.8, 2.5, 1.0]))
    write_series(tmp_path, scout, name="scout{}", uid="1.2.4")
    np.testing.assert_array_equal(read_image(tmp_path).array, ct.array)


def test_the_class_in_the_file_meta_counts_if_the_other_one_is_damaged(tmp_path, write_series):
    def damage(dataset, z):
        if z == 5:
            del dataset.ImagePositionPatient

    write_series(tmp_path, make_ct(), damage)
    path = tmp_path / "0005.dcm"
    content = bytearray(path.read_bytes())
    content[content.index(b"\x08\0\x16\0UI") + 8] = ord("9")
    path.write_bytes(content)
    (series,) = find_series(tmp_path)
    assert series.image_count == 6
    with pytest.raises(LiverSegError, match="ImagePositionPatient"):
        read_series(series)
