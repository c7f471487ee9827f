"""What can't be a volume: one line that names the series and the reason, and no other error."""

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

from liverseg_tf.ct.dicom.series import DicomSeries, find_series, read_series, volume_series
from liverseg_tf.ct.images import read_image
from liverseg_tf.ct.volume import Volume
from liverseg_tf.errors import LiverSegError

SAMPLES = Path(pydicom.data.__file__).parent / "test_files"
AFFINE = np.diag([-0.7, -0.8, 2.5, 1.0])
PROPERTY = settings(
    max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)


def scan(shape=(6, 8, 9)):
    array = np.random.default_rng(0).integers(-1000, 1000, shape).astype(np.int16)
    return Volume(array, AFFINE)


def check_refused(source, *words):
    with pytest.raises(LiverSegError) as caught:
        read_image(source)
    message = str(caught.value)
    assert "\n" not in message
    assert message.startswith("Expected ")
    assert "Received" in message
    for word in words:
        assert re.search(word, message), (word, message)


def at(index, **values):
    """An edit: set tags of one slice, or of all where the index is None; None deletes the tag."""

    def edit(dataset, z):
        if index in (None, z):
            for keyword, value in values.items():
                if value is None:
                    del dataset[keyword]
                else:
                    setattr(dataset, keyword, value)

    return edit


@pytest.mark.parametrize("size", [0, 300, 420])
def test_a_last_slice_that_was_cut_off_early_is_not_passed_over(tmp_path, write_series, size):
    write_series(tmp_path, scan())
    last = sorted(tmp_path.iterdir())[-1]
    content = last.read_bytes()
    assert content[:size].find(b"CT") == -1, "it does not say what it is"
    last.write_bytes(content[:size])
    whole, broken = sorted(find_series(tmp_path), key=lambda one: one.images, reverse=True)
    assert (whole.images, broken.files) == (5, (last,))
    assert volume_series(tmp_path) == find_series(tmp_path)
    check_refused(broken, last.name)
    check_refused(tmp_path, "one DICOM series")


def lift(index, mm, axis=2):
    def edit(dataset, z):
        if z == index:
            place = list(dataset.ImagePositionPatient)
            place[axis] = float(place[axis]) + mm
            dataset.ImagePositionPatient = place

    return edit


def tilt(degrees):
    def edit(dataset, z):
        place = [float(mm) for mm in dataset.ImagePositionPatient]
        place[1] += z * 2.5 * np.tan(np.radians(degrees))
        dataset.ImagePositionPatient = place

    return edit


BROKEN = {
    "duplicate": (lift(3, -2.5), "one slice at each position", "6 slices at 5 positions", "0003"),
    "uneven": (lift(3, 1.0), "equal distances", "2.5 mm as a rule", "3.5 mm between"),
    "beside": (lift(2, 3.0, axis=0), "one straight line", "0002.dcm, 2.*mm beside"),
    "tilt": (tilt(12), "gantry tilt of 12.00 degrees"),
    "slight tilt": (tilt(-0.5), "gantry tilt of 0.50 degrees"),
    "orientation": (
        at(4, ImageOrientationPatient=[1, 0, 0, 0, 0, -1]),
        "one orientation",
        "0004.dcm",
    ),
    "turned slightly": (
        at(4, ImageOrientationPatient=[0.999, 0.0447, 0, -0.0447, 0.999, 0]),
        "one orientation",
    ),
    "sheared": (at(None, ImageOrientationPatient=[1, 0, 0, 0.6, 0.8, 0]), "perpendicular unit"),
    "no unit": (at(None, ImageOrientationPatient=[0, 0, 0, 0, 0, 0]), "perpendicular unit"),
    "spacing": (at(1, PixelSpacing=[0.9, 0.7]), "one pixel spacing", "0001.dcm"),
    "shape": (at(5, Rows=9, Columns=8), "one shape", r"\(9, 8\)", "0005.dcm"),
    "patients": (at(5, PatientID="p2"), "one patient", "'p1'", "'p2'", "0005.dcm"),
    "zero spacing": (at(None, PixelSpacing=[0, 0.7]), "PixelSpacing above 0"),
    "negative spacing": (at(None, PixelSpacing=[-0.8, 0.7]), "PixelSpacing above 0"),
    "NaN spacing": (at(2, PixelSpacing=["nan", "0.7"]), "PixelSpacing of 2 finite", "0002.dcm"),
    "infinite position": (at(2, ImagePositionPatient=["0", "inf", "0"]), "finite"),
    "one spacing": (at(2, PixelSpacing=0.7), "PixelSpacing of 2"),
    "no spacing": (at(2, PixelSpacing=None), "PixelSpacing", "none", "0002.dcm"),
    "no position": (at(0, ImagePositionPatient=None), "ImagePositionPatient", "none"),
    "empty position": (at(0, ImagePositionPatient=""), "ImagePositionPatient", "none"),
    "no orientation": (at(0, ImageOrientationPatient=None), "ImageOrientationPatient", "none"),
    "no rows": (at(0, Rows=None), "Rows", "none"),
    "zero rows": (at(None, Rows=0), "0 rows"),
    "huge": (at(None, Rows=65535, Columns=65535), "65535 rows"),
    "no rescale": (at(3, RescaleIntercept=None), "RescaleIntercept", "0003.dcm", "no HU"),
    "zero slope": (at(3, RescaleSlope=0), "RescaleSlope other than 0"),
    "table": (at(3, ModalityLUTSequence=[Dataset()]), "look-up table"),
    "colour": (
        at(None, SamplesPerPixel=3, PhotometricInterpretation="RGB"),
        "grey value",
        "RGB",
    ),
    "palette": (at(None, PhotometricInterpretation="PALETTE COLOR"), "grey value", "PALETTE"),
    "frames": (at(None, NumberOfFrames=2), "2 frames", "without functional groups"),
    "no pixels": (at(4, PixelData=None), "pixel data", "0004.dcm"),
    "few pixels": (at(4, PixelData=b"\0" * 100), "pixel data", "0004.dcm"),
    "bits": (at(4, BitsAllocated=13), "pixel data", "0004.dcm"),
    "no uid": (at(None, SeriesInstanceUID=None), "SeriesInstanceUID", "none"),
}


@pytest.mark.parametrize("edit_and_words", BROKEN.values(), ids=BROKEN.keys())
def test_a_series_that_is_no_volume(tmp_path, write_series, edit_and_words):
    edit, *words = edit_and_words
    write_series(tmp_path, scan(), edit)
    check_refused(tmp_path, f"series.* in {tmp_path}", *words)


def test_gaps_name_their_place_and_size(tmp_path, write_series):
    write_series(tmp_path, scan((12, 3, 4)))
    for z in (5, 6):
        (tmp_path / f"{z:04}.dcm").unlink()
    words = ("10 slices", "2.5 mm as a rule", "7.5 mm between .*0004.dcm and .*0007.dcm")
    check_refused(tmp_path, *words, "as if 2 were missing")


def test_a_missing_slice_among_two_hundred_is_seen(tmp_path, write_series):
    write_series(tmp_path, scan((200, 2, 2)))
    (tmp_path / "0100.dcm").unlink()
    check_refused(tmp_path, "as if 1 was missing")


def test_a_single_slice_without_thickness(tmp_path, write_series):
    write_series(tmp_path, scan((1, 3, 4)), at(0, SliceThickness=None))
    check_refused(tmp_path, "at least two slices")


def test_several_series_in_one_folder_are_listed(tmp_path, write_series):
    write_series(tmp_path, scan(), name="a{}", uid="1.2.3")
    write_series(tmp_path, scan(), name="b{}", uid="1.2.4")
    check_refused(tmp_path, "one DICOM series", r"1\.2\.3", r"1\.2\.4", "6 images")


def test_mixed_patients_in_one_folder_are_several_series(tmp_path, write_series):
    write_series(tmp_path, scan(), name="a{}")
    write_series(tmp_path, scan(), at(None, PatientID="p2"), name="b{}")
    assert {series.patient for series in find_series(tmp_path)} == {"p1", "p2"}
    check_refused(tmp_path, "one DICOM series")


def test_localizers_alone_and_nothing_at_all(tmp_path, write_series):
    check_refused(tmp_path, "one DICOM series", "Received none")
    write_series(tmp_path, scan(), at(None, ImageType=["ORIGINAL", "PRIMARY", "LOCALIZER"]))
    check_refused(tmp_path, "one DICOM series", "Received none")


def test_a_folder_called_like_a_file(tmp_path):
    (tmp_path / "x.nii.gz").mkdir()
    check_refused(tmp_path / "x.nii.gz", "one DICOM series", "Received none")


def test_files_that_are_cut_off(tmp_path, write_series):
    write_series(tmp_path, scan())
    whole = (tmp_path / "0002.dcm").read_bytes()
    for size in (len(whole) - 50, len(whole) - 200, 300, 200, 140, 132):
        (tmp_path / "0002.dcm").write_bytes(whole[:size])
        check_refused(tmp_path, str(tmp_path))


def test_files_that_went_away(tmp_path, write_series):
    (series,) = find_series(write_series(tmp_path, scan()))
    (tmp_path / "0002.dcm").unlink()
    check_refused(series, "0002.dcm", "No such file")


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_what_may_not_be_read_fails_alone(tmp_path, write_series):
    write_series(tmp_path / "good", scan())
    write_series(tmp_path / "bad", scan())
    (tmp_path / "bad" / "0001.dcm").chmod(0)
    good = [series for series in volume_series(tmp_path) if series.folder.name == "good"]
    assert len(good) == 1
    check_refused(tmp_path / "bad", "one DICOM series", "without SeriesInstanceUID")


def test_a_dangling_link_fails_alone(tmp_path, write_series):
    write_series(tmp_path / "good", scan())
    write_series(tmp_path / "bad", scan())
    (tmp_path / "bad" / "0005.dcm").unlink()
    (tmp_path / "bad" / "0005.dcm").symlink_to("nowhere")
    broken, whole, good = sorted(volume_series(tmp_path), key=lambda one: (one.folder, one.uid))
    assert read_series(good).array.shape == (6, 8, 9)
    assert read_series(whole).array.shape == (5, 8, 9)
    check_refused(broken, "0005.dcm", "No such file")


def test_a_missing_decoder_is_named_with_its_extra(tmp_path, write_series, monkeypatch):
    def claim(dataset, z):
        dataset.file_meta.TransferSyntaxUID = JPEG2000Lossless
        dataset.PixelData = pydicom.encaps.encapsulate([b"\xff\x4f" * 10])
        dataset["PixelData"].VR = "OB"
        dataset["PixelData"].is_undefined_length = True

    write_series(tmp_path, scan(), claim)
    monkeypatch.setattr(pydicom.pixels.decoders.base.Decoder, "is_available", False)
    check_refused(tmp_path, "JPEG 2000", r"liverseg_tf\[jpeg\]")


def test_enhanced_files_need_a_position_for_each_frame(tmp_path, write_series):
    groups = [Dataset(), Dataset()]
    write_series(
        tmp_path / "a",
        scan((1, 4, 4)),
        at(0, NumberOfFrames=2, PerFrameFunctionalGroupsSequence=groups),
    )
    check_refused(tmp_path / "a", "ImagePositionPatient", "none")
    write_series(
        tmp_path / "b",
        scan((1, 4, 4)),
        at(0, NumberOfFrames=3, PerFrameFunctionalGroupsSequence=groups),
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
def test_random_damage_raises_nothing_else(tmp_path, write_series, damage, cut):
    folder = tmp_path / "series"
    if not folder.exists():
        write_series(folder, scan((2, 3, 4)), uid=generate_uid())
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
def test_a_value_of_an_unknown_kind(tmp_path, write_series, tag):
    folder = tmp_path / "series"
    write_series(folder, scan((2, 3, 4)))
    path = folder / "0001.dcm"
    content = path.read_bytes()
    start = content.index(bytes([tag[0], 0, tag[1], 0]), 132) + 4
    path.write_bytes(content[: start + 1] + b"\0" + content[start + 2 :])
    for source in (folder, DicomSeries("1", tuple(folder.iterdir()))):
        with suppress(LiverSegError):
            read_image(source)


def test_reports_are_no_series(tmp_path):
    path = SAMPLES / "rtstruct.dcm"
    (tmp_path / "x").symlink_to(path)
    assert find_series(tmp_path) == []
    with pytest.raises(LiverSegError, match="Rows"):
        read_series(DicomSeries("1", (path,)))
