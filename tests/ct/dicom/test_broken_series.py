"""Series that are not volumes raise a one-line error that gives the series and the reason."""

import os
import re
from contextlib import suppress
from pathlib import Path

import numpy as np
import pydicom
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pydicom.dataset import Dataset
from pydicom.uid import JPEG2000Lossless, generate_uid
from reading import set_tags

from liverseg_tf.ct.dicom.series import DicomSeries, find_series, find_volume_series, read_series
from liverseg_tf.ct.images import read_image
from liverseg_tf.ct.volume import Volume
from liverseg_tf.errors import LiverSegError

SAMPLES = Path(pydicom.data.__file__).parent / "test_files"
AFFINE = np.diag([-0.7, -0.8, 2.5, 1.0])
PROPERTY = settings(
    max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)


def make_ct(shape=(6, 8, 9)):
    array = np.random.default_rng(0).integers(-1000, 1000, shape).astype(np.int16)
    return Volume(array, AFFINE)


def check_refused(source, *words):
    with pytest.raises(LiverSegError) as caught:
        read_image(source)
    message = str(caught.value)
    assert "\n" not in message
    assert message.startswith("Expected ")
    assert "Received" in message or "missing or empty" in message or "Install" in message
    for word in words:
        assert re.search(word, message), (word, message)


@pytest.mark.parametrize("size", [0, 300, 420])
def test_a_truncated_last_slice_is_not_skipped(tmp_path, write_series, size):
    write_series(tmp_path, make_ct())
    last = sorted(tmp_path.iterdir())[-1]
    content = last.read_bytes()
    assert content[:size].find(b"CT") == -1, "the class of the file is already cut off"
    last.write_bytes(content[:size])
    (series,) = find_series(tmp_path)
    assert series.image_count == 5
    assert [path for path, _ in series.damaged] == [last]
    check_refused(tmp_path, "can be read beside a series", last.name, "copy it again")


def shift_slice(index, mm, axis=2):
    def edit(dataset, z):
        if z == index:
            place = list(dataset.ImagePositionPatient)
            place[axis] = float(place[axis]) + mm
            dataset.ImagePositionPatient = place

    return edit


def tilt_gantry(degrees):
    def edit(dataset, z):
        place = [float(mm) for mm in dataset.ImagePositionPatient]
        place[1] += z * 2.5 * np.tan(np.radians(degrees))
        dataset.ImagePositionPatient = place

    return edit


BROKEN = {
    "duplicate": (
        shift_slice(3, -2.5),
        "one slice at each position",
        "6 slices at 5 positions",
        "0003",
    ),
    "uneven": (
        shift_slice(3, 1.0),
        "equal distances",
        "usual distance of 2.5 mm",
        "3.5 mm between",
    ),
    "beside": (shift_slice(2, 3.0, axis=0), "one straight line", "0002.dcm, 2.*mm beside"),
    "tilt": (tilt_gantry(12), "gantry tilt of 12.00 degrees"),
    "slight tilt": (tilt_gantry(-0.5), "gantry tilt of 0.50 degrees"),
    "orientation": (
        set_tags(4, ImageOrientationPatient=[1, 0, 0, 0, 0, -1]),
        "one orientation",
        "0004.dcm",
    ),
    "turned slightly": (
        set_tags(4, ImageOrientationPatient=[0.999, 0.0447, 0, -0.0447, 0.999, 0]),
        "one orientation",
    ),
    "sheared": (
        set_tags(None, ImageOrientationPatient=[1, 0, 0, 0.6, 0.8, 0]),
        "perpendicular unit",
    ),
    "no unit": (set_tags(None, ImageOrientationPatient=[0, 0, 0, 0, 0, 0]), "perpendicular unit"),
    "spacing": (set_tags(1, PixelSpacing=[0.9, 0.7]), "one pixel spacing", "0001.dcm"),
    "shape": (set_tags(5, Rows=9, Columns=8), "one shape", "9 x 8", "0005.dcm"),
    "patients": (set_tags(5, PatientID="p2"), "one patient", "'p1'", "'p2'", "0005.dcm"),
    "zero spacing": (set_tags(None, PixelSpacing=[0, 0.7]), "PixelSpacing above 0"),
    "negative spacing": (set_tags(None, PixelSpacing=[-0.8, 0.7]), "PixelSpacing above 0"),
    "NaN spacing": (
        set_tags(2, PixelSpacing=["nan", "0.7"]),
        "PixelSpacing of 2 finite",
        "0002.dcm",
    ),
    "infinite position": (set_tags(2, ImagePositionPatient=["0", "inf", "0"]), "finite"),
    "one spacing": (set_tags(2, PixelSpacing=0.7), "PixelSpacing of 2"),
    "no spacing": (set_tags(2, PixelSpacing=None), "PixelSpacing", "missing or empty", "0002.dcm"),
    "no position": (
        set_tags(0, ImagePositionPatient=None),
        "ImagePositionPatient",
        "missing or empty",
    ),
    "empty position": (
        set_tags(0, ImagePositionPatient=""),
        "ImagePositionPatient",
        "missing or empty",
    ),
    "no orientation": (
        set_tags(0, ImageOrientationPatient=None),
        "ImageOrientationPatient",
        "missing or empty",
    ),
    "no rows": (set_tags(0, Rows=None), "Rows", "missing or empty"),
    "zero rows": (set_tags(None, Rows=0), "0 rows"),
    "huge": (set_tags(None, Rows=65535, Columns=65535), "65535 rows"),
    "no rescale": (set_tags(3, RescaleIntercept=None), "RescaleIntercept", "0003.dcm", "not HU"),
    "zero slope": (set_tags(3, RescaleSlope=0), "RescaleSlope other than 0"),
    "table": (set_tags(3, ModalityLUTSequence=[Dataset()]), "look-up table"),
    "colour": (
        set_tags(None, SamplesPerPixel=3, PhotometricInterpretation="RGB"),
        "grey value",
        "RGB",
    ),
    "palette": (set_tags(None, PhotometricInterpretation="PALETTE COLOR"), "grey value", "PALETTE"),
    "frames": (set_tags(None, NumberOfFrames=2), "2 frames", "without functional groups"),
    "no pixels": (set_tags(4, PixelData=None), "pixel data", "0004.dcm"),
    "few pixels": (set_tags(4, PixelData=b"\0" * 100), "pixel data", "0004.dcm"),
    "bits": (set_tags(4, BitsAllocated=13), "pixel data", "0004.dcm"),
    "no uid": (set_tags(None, SeriesInstanceUID=None), "SeriesInstanceUID", "missing or empty"),
}


@pytest.mark.parametrize("edit_and_words", BROKEN.values(), ids=BROKEN.keys())
def test_a_series_that_is_not_a_volume_is_refused(tmp_path, write_series, edit_and_words):
    edit, *words = edit_and_words
    write_series(tmp_path, make_ct(), edit)
    check_refused(tmp_path, f"series.* in {tmp_path}", *words)


def test_a_gap_is_reported_with_its_place_and_size(tmp_path, write_series):
    write_series(tmp_path, make_ct((12, 3, 4)))
    for z in (5, 6):
        (tmp_path / f"{z:04}.dcm").unlink()
    words = ("10 slices", "distance of 2.5 mm", "7.5 mm between .*0004.dcm and .*0007.dcm")
    check_refused(tmp_path, *words, "2 missing slices")


def test_one_missing_slice_in_two_hundred_is_detected(tmp_path, write_series):
    write_series(tmp_path, make_ct((200, 2, 2)))
    (tmp_path / "0100.dcm").unlink()
    check_refused(tmp_path, r"1 missing slice\?")


def test_a_single_slice_without_thickness_is_refused(tmp_path, write_series):
    write_series(tmp_path, make_ct((1, 3, 4)), set_tags(0, SliceThickness=None))
    check_refused(tmp_path, "at least two slices")


def test_several_series_in_one_folder_are_listed(tmp_path, write_series):
    write_series(tmp_path, make_ct(), name="a{}", uid="1.2.3")
    write_series(tmp_path, make_ct(), name="b{}", uid="1.2.4")
    check_refused(tmp_path, "one DICOM series", r"1\.2\.3", r"1\.2\.4", "6 images")


def test_mixed_patients_in_one_folder_are_several_series(tmp_path, write_series):
    write_series(tmp_path, make_ct(), name="a{}")
    write_series(tmp_path, make_ct(), set_tags(None, PatientID="p2"), name="b{}")
    assert {series.patient_id for series in find_series(tmp_path)} == {"p1", "p2"}
    check_refused(tmp_path, "one DICOM series")


def test_a_folder_without_volumes_is_refused(tmp_path, write_series):
    check_refused(tmp_path, "one DICOM series", "Received no series")
    write_series(
        tmp_path, make_ct(), set_tags(None, ImageType=["ORIGINAL", "PRIMARY", "LOCALIZER"])
    )
    check_refused(tmp_path, "one DICOM series", "Received no series")


def test_a_folder_named_like_a_file_is_refused(tmp_path):
    (tmp_path / "x.nii.gz").mkdir()
    check_refused(tmp_path / "x.nii.gz", "one DICOM series", "Received no series")


def test_truncated_files_are_refused(tmp_path, write_series):
    write_series(tmp_path, make_ct())
    whole = (tmp_path / "0002.dcm").read_bytes()
    for size in (len(whole) - 50, len(whole) - 200, 300, 200, 140, 132):
        (tmp_path / "0002.dcm").write_bytes(whole[:size])
        check_refused(tmp_path, str(tmp_path))


def test_deleted_files_are_refused(tmp_path, write_series):
    (series,) = find_series(write_series(tmp_path, make_ct()))
    (tmp_path / "0002.dcm").unlink()
    check_refused(series, "0002.dcm", "No such file")


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_unreadable_files_affect_only_their_own_series(tmp_path, write_series):
    write_series(tmp_path / "good", make_ct())
    write_series(tmp_path / "bad", make_ct())
    (tmp_path / "bad" / "0001.dcm").chmod(0)
    good = [series for series in find_volume_series(tmp_path) if series.folder.name == "good"]
    assert len(good) == 1
    check_refused(tmp_path / "bad", "one DICOM series", "without SeriesInstanceUID")


def test_a_broken_link_affects_only_its_own_series(tmp_path, write_series):
    write_series(tmp_path / "good", make_ct())
    write_series(tmp_path / "bad", make_ct())
    (tmp_path / "bad" / "0005.dcm").unlink()
    (tmp_path / "bad" / "0005.dcm").symlink_to("nowhere")
    bad, good = sorted(find_volume_series(tmp_path), key=lambda series: series.folder)
    assert read_series(good).array.shape == (6, 8, 9)
    check_refused(bad, "0005.dcm", "No such file")


def test_a_missing_decoder_is_reported_with_the_package_to_install(
    tmp_path, write_series, monkeypatch
):
    def claim(dataset, z):
        dataset.file_meta.TransferSyntaxUID = JPEG2000Lossless
        dataset.PixelData = pydicom.encaps.encapsulate([b"\xff\x4f" * 10])
        dataset["PixelData"].VR = "OB"
        dataset["PixelData"].is_undefined_length = True

    write_series(tmp_path, make_ct(), claim)
    monkeypatch.setattr(pydicom.pixels.decoders.base.Decoder, "is_available", False)
    check_refused(tmp_path, "JPEG 2000", r"liverseg_tf\[jpeg\]")


def test_enhanced_files_need_a_position_for_each_frame(tmp_path, write_series):
    groups = [Dataset(), Dataset()]
    write_series(
        tmp_path / "a",
        make_ct((1, 4, 4)),
        set_tags(0, NumberOfFrames=2, PerFrameFunctionalGroupsSequence=groups),
    )
    check_refused(tmp_path / "a", "ImagePositionPatient", "missing or empty")
    write_series(
        tmp_path / "b",
        make_ct((1, 4, 4)),
        set_tags(0, NumberOfFrames=3, PerFrameFunctionalGroupsSequence=groups),
    )
    check_refused(tmp_path / "b", "3 frames", "Received 2")


@pytest.mark.parametrize("path", sorted(SAMPLES.glob("*.dcm")), ids=os.path.basename)
def test_files_of_every_kind_are_read_or_refused(tmp_path, path):
    (tmp_path / "x").symlink_to(path)
    for source in (*find_series(tmp_path), DicomSeries("1", (tmp_path / "x",))):
        try:
            volume = read_series(source)
        except LiverSegError as error:
            message = str(error)
        else:
            message = f"series of shape {volume.array.shape}"
        assert "series" in message


@PROPERTY
@given(st.lists(st.tuples(st.integers(0, 10**6), st.integers(0, 255)), max_size=12), st.booleans())
def test_random_damage_raises_only_our_own_errors(tmp_path, write_series, damage, cut):
    folder = tmp_path / "series"
    if not folder.exists():
        write_series(folder, make_ct((2, 3, 4)), uid=generate_uid())
        (tmp_path / "whole").write_bytes((folder / "0001.dcm").read_bytes())
    content = bytearray((tmp_path / "whole").read_bytes())
    for place, value in damage:
        content[place % len(content)] = value
    stop = damage[0][0] % len(content) if cut and damage else len(content)
    (folder / "0001.dcm").write_bytes(content[:stop])
    for source in (folder, DicomSeries("1", tuple(folder.iterdir()))):
        with suppress(LiverSegError):  # any other error fails
            read_image(source)


@pytest.mark.parametrize("tag", [(0x20, 0x0E), (0x08, 0x08), (0x10, 0x20), (0x20, 0x32)])
def test_unknown_value_representations_raise_only_our_own_errors(tmp_path, write_series, tag):
    folder = tmp_path / "series"
    write_series(folder, make_ct((2, 3, 4)))
    path = folder / "0001.dcm"
    content = path.read_bytes()
    start = content.index(bytes([tag[0], 0, tag[1], 0]), 132) + 4
    path.write_bytes(content[: start + 1] + b"\0" + content[start + 2 :])
    for source in (folder, DicomSeries("1", tuple(folder.iterdir()))):
        with suppress(LiverSegError):
            read_image(source)


def test_objects_without_pixels_are_not_series(tmp_path):
    path = SAMPLES / "rtstruct.dcm"
    (tmp_path / "x").symlink_to(path)
    assert find_series(tmp_path) == []
    with pytest.raises(LiverSegError, match="Rows"):
        read_series(DicomSeries("1", (path,)))
