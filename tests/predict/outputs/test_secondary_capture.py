from dataclasses import replace

import numpy as np
import pydicom
import pytest
from enhanced import enhance

from liverseg_tf.ct.dicom.series import find_series, read_series
from liverseg_tf.ct.intensity import Window
from liverseg_tf.ct.regions import LIVER_REGIONS
from liverseg_tf.ct.volume import Volume
from liverseg_tf.errors import LiverSegError
from liverseg_tf.model.identity import ModelIdentity
from liverseg_tf.predict.outputs.capture_pages import TableRow, draw_table
from liverseg_tf.predict.outputs.capture_view import choose_window, turn_upright
from liverseg_tf.predict.outputs.dicom_header import DicomHeader
from liverseg_tf.predict.outputs.dicom_source import read_source_slices
from liverseg_tf.predict.outputs.secondary_capture import write_sc

AXIAL = np.diag([-0.75, -0.8, 2.5, 1.0])
COLOURS = [(221, 130, 101), (230, 230, 70)]  # of liver and tumour


def _case(folder, make_volumes, write_dicom, affine=AXIAL, **values):
    image, labels = make_volumes(affine=affine)
    (series,) = find_series(write_dicom(folder / "ct", image, **values))
    image = read_series(series)
    return series, image, image.with_array(labels.array)


def _captures(folder, case, **options):
    files = write_sc(folder / "a.sc", *case, LIVER_REGIONS, **options)
    assert sorted(files) == sorted((folder / "a.sc").iterdir())
    return [pydicom.dcmread(file) for file in files]


def test_there_is_a_page_and_an_image_for_each_slice_with_a_region(
    make_volumes, write_dicom, tmp_path
):
    series, image, labels = _case(tmp_path, make_volumes, write_dicom)
    table, *slices = _captures(tmp_path, (series, image, labels))
    assert [one.InstanceNumber for one in (table, *slices)] == list(range(1, len(slices) + 2))
    sources = read_source_slices(series, labels)
    occupied = np.flatnonzero(labels.array.any(axis=(1, 2)))[::-1]
    shown = [one.SourceImageSequence[0].ReferencedSOPInstanceUID for one in slices]
    assert shown == [sources[z].header.SOPInstanceUID for z in occupied]
    assert "SourceImageSequence" not in table
    assert len({one.SeriesInstanceUID for one in (table, *slices)}) == 1
    for one in (table, *slices):
        assert (one.PhotometricInterpretation, one.BurnedInAnnotation) == ("RGB", "NO")
        assert one.StudyInstanceUID == "1.2.3.4"
        assert one.PatientID == "p1"
    factor = slices[0].Rows // image.array.shape[1]
    np.testing.assert_allclose(slices[0].PixelSpacing, [0.8 / factor, 0.75 / factor])
    assert list(slices[0].PatientOrientation) == ["L", "P"]


def test_contours_run_around_the_pixels_of_a_region(make_volumes, write_dicom, tmp_path):
    series, image, labels = _case(tmp_path, make_volumes, write_dicom)
    z = np.flatnonzero((labels.array == 2).any(axis=(1, 2)))[-1]
    captures = _captures(tmp_path, (series, image, labels))
    (uid,) = {read_source_slices(series, labels)[z].header.SOPInstanceUID}
    (shown,) = [
        one.pixel_array
        for one in captures[1:]
        if one.SourceImageSequence[0].ReferencedSOPInstanceUID == uid
    ]
    factor = len(shown) // labels.array.shape[1]
    for region, colour in zip(LIVER_REGIONS.names, COLOURS, strict=True):
        mask = LIVER_REGIONS.mask(labels.array[z], region)
        mask = np.kron(mask, np.ones((factor, factor), bool))
        painted = (shown == colour).all(axis=-1)
        assert painted.any()
        assert not (painted & mask).any()
    # elsewhere it is the image in its window
    inside = np.kron(labels.array[z] == 2, np.ones((factor, factor), bool))
    grey = np.clip((image.array[z] + 160.0) * 255 / 400, 0, 255)
    expected = np.kron(np.rint(grey), np.ones((factor, factor)))
    np.testing.assert_array_equal(shown[inside], np.repeat(expected[inside][:, None], 3, axis=1))


def test_slices_are_shown_upright(dicom_affine, make_volumes, write_dicom, tmp_path):
    series, image, labels = _case(tmp_path, make_volumes, write_dicom, dicom_affine)
    one = _captures(tmp_path, (series, image, labels))[1]
    assert [letters[0] for letters in one.PatientOrientation] in (
        ["L", "P"],
        ["L", "F"],
        ["P", "F"],
    )
    flips, directions = turn_upright(np.array([[-1.0, 0, 0], [0, 0, 1.0]]))
    np.testing.assert_array_equal(directions, [[1, 0, 0], [0, 0, -1]])
    plane = np.arange(6).reshape(2, 3)
    np.testing.assert_array_equal(plane[flips], [[5, 4, 3], [2, 1, 0]])


def test_without_a_region_there_is_only_the_page(make_volumes, write_dicom, tmp_path):
    series, image, labels = _case(tmp_path, make_volumes, write_dicom)
    empty = labels.with_array(np.zeros_like(labels.array))
    (page,) = _captures(tmp_path, (series, image, empty))
    assert page.InstanceNumber == 1


def test_a_folder_of_captures_is_replaced(make_volumes, write_dicom, tmp_path):
    series, image, labels = _case(tmp_path, make_volumes, write_dicom)
    _captures(tmp_path, (series, image, labels))
    empty = labels.with_array(np.zeros_like(labels.array))
    assert len(_captures(tmp_path, (series, image, empty))) == 1


def test_equal_seeds_give_equal_uids(make_volumes, write_dicom, tmp_path):
    case = _case(tmp_path, make_volumes, write_dicom)
    header = DicomHeader(ModelIdentity("m", "1", "f"), uid_seed="a")

    def uids(header):
        return [one.SOPInstanceUID for one in _captures(tmp_path, case, header=header)]

    first = uids(header)
    assert first == [header.uid("sc", n + 1) for n in range(len(first))]
    assert len({*first, header.uid("sc")}) == len(first) + 1
    assert not {*uids(replace(header, uid_seed="b"))} & {*first}


def test_frames_of_enhanced_files_are_named(make_volumes, write_dicom, tmp_path):
    image, labels = make_volumes(affine=AXIAL)
    (series,) = find_series(enhance(write_dicom(tmp_path / "ct", image), tmp_path / "enhanced"))
    image = read_series(series)
    labels = image.with_array(labels.array)
    _, *slices = _captures(tmp_path, (series, image, labels))
    source = pydicom.dcmread(series.files[0])
    for one in slices:
        (reference,) = one.SourceImageSequence
        assert reference.ReferencedSOPInstanceUID == source.SOPInstanceUID
        group = source.PerFrameFunctionalGroupsSequence[reference.ReferencedFrameNumber - 1]
        z = (group.PlanePositionSequence[0].ImagePositionPatient[2] - image.affine[2, 3]) / 2.5
        assert labels.array[round(z)].any()


def test_no_note_on_the_page_names_the_patient(make_volumes, write_dicom, tmp_path, monkeypatch):
    drawn = []
    monkeypatch.setattr(
        "liverseg_tf.predict.outputs.secondary_capture.draw_table",
        lambda rows, unit, lines, shape: (
            drawn.append(lines) or draw_table(rows, unit, lines, shape)
        ),
    )
    case = _case(tmp_path, make_volumes, write_dicom, PatientName="Kaminski^Anna")
    notes = ("The file of KAMINSKI is odd.", "A spacing is assumed.")
    page = _captures(tmp_path, case, notes=notes)[0]
    text = " ".join(drawn[0])
    assert "kaminski" not in text.lower()
    assert "Warning: A spacing is assumed." in text
    assert "KAMINSKI" in page.ImageComments


def test_the_window_shows_the_region(make_volumes, write_dicom, tmp_path):
    def window(mean, **values):
        folder = tmp_path / str(len(list(tmp_path.iterdir())))
        series, image, labels = _case(folder, make_volumes, write_dicom, **values)
        return choose_window(read_source_slices(series, labels)[0], image, mean)

    assert window(60) == Window(40, 400)
    assert window(60, WindowCenter=["60", "-600"], WindowWidth=["350", "1500"]) == Window(60, 350)
    assert window(60, WindowCenter="-600", WindowWidth="600") == Window(40, 400)
    assert window(60, WindowCenter="500", WindowWidth="4096") == Window(40, 400)
    assert window(-850, WindowCenter="-600", WindowWidth="1500") == Window(-600, 1500)
    assert window(900.4) == Window(900, 400)
    assert window(None, WindowCenter="", WindowWidth="") == Window(40, 400)


def test_the_page_is_as_long_as_its_text():
    rows = [TableRow(f"region {n}", (255, 0, 0), 1.0, 50.0, "cut") for n in range(40)]
    lines = ["A long line " * 40, "x" * 500]
    page = draw_table(rows, "HU", lines, (30, 700))
    assert page.shape[1:] == (700, 3)
    assert page.shape[0] > 80 * 20
    assert page[-20:].max() == 0  # nothing is cut off
    assert draw_table([], "HU", [], (600, 800)).shape == (600, 800, 3)


def test_labels_of_another_grid_are_refused(make_volumes, write_dicom, tmp_path):
    series, image, labels = _case(tmp_path, make_volumes, write_dicom)
    other = Volume(labels.array, labels.affine @ np.diag([1, 1, 2, 1]))
    with pytest.raises(LiverSegError):
        write_sc(tmp_path / "a.sc", series, image, other, LIVER_REGIONS)
    assert not (tmp_path / "a.sc").exists()
