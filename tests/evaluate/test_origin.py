"""Predictions whose record says that they belong to another image."""

import shutil

import numpy as np
import pytest

from liverseg_tf.ct.dicom.series import find_volume_series
from liverseg_tf.ct.fingerprint import fingerprint_source
from liverseg_tf.ct.nifti import write_labels, write_volume
from liverseg_tf.ct.volume import Volume
from liverseg_tf.dataset.provenance import MaskRecord, MaskRecords, digest_content
from liverseg_tf.evaluate.evaluate_folder import evaluate_folder

AFFINE = np.diag([-1.0, -1.0, 2.0, 1.0])


def _write_image(path, value):
    write_volume(path, Volume(np.full((3, 8, 8), value, np.int16), AFFINE))
    return path


@pytest.fixture
def work(tmp_path):
    """A data set of one case, and a prediction of it with its record."""
    image = _write_image(tmp_path / "set" / "images" / "a.nii.gz", 40)
    labels = np.zeros((3, 8, 8), np.uint8)
    labels[1, 2:5, 2:5] = 1
    for path in (tmp_path / "set" / "masks" / "a.nii.gz", tmp_path / "masks" / "a.nii.gz"):
        write_labels(path, Volume(labels, AFFINE))
    record = MaskRecord(
        {"source": fingerprint_source(image)}, {}, str(image), digest_content(image)
    )
    MaskRecords(tmp_path / "masks").write("a", record, {"a.nii.gz"})
    return tmp_path


def _notes(work):
    evaluation = evaluate_folder(work / "set", work / "masks")
    assert not evaluation.failures
    return evaluation.notes


def test_the_same_image_needs_no_remark_and_neither_does_a_copy(work):
    assert _notes(work) == ()
    shutil.copytree(work / "set", work / "copy")
    shutil.rmtree(work / "set")
    shutil.copytree(work / "copy", work / "set", copy_function=shutil.copy)  # with other times
    assert _notes(work) == ()


def test_a_prediction_of_another_image_is_told(work):
    _write_image(work / "set" / "images" / "a.nii.gz", 41)
    (note,) = _notes(work)
    assert "was made from another image than" in note
    assert "predict it again" in note


def test_a_mask_that_replaced_the_prediction_has_no_record(work):
    _write_image(work / "set" / "images" / "a.nii.gz", 41)
    labels = np.random.default_rng(0).integers(0, 2, (3, 8, 8)).astype(np.uint8)
    write_labels(work / "masks" / "a.nii.gz", Volume(labels, AFFINE))
    assert _notes(work) == ()


@pytest.mark.parametrize("text", ["", "[]", "{" * 9999, '{"provenance": {"source": [1e999]}}'])
def test_a_damaged_record_is_ignored(work, text):
    MaskRecords(work / "masks").path("a").write_text(text)
    assert _notes(work) == ()


def test_warnings_of_the_prediction_are_repeated(work):
    image = work / "set" / "images" / "a.nii.gz"
    record = MaskRecord({"source": fingerprint_source(image)}, warnings=("no geometry",))
    MaskRecords(work / "masks").write("a", record, {"a.nii.gz"})
    (note,) = _notes(work)
    assert note == "Predicted with a warning: no geometry (case a)"


def test_a_series_and_its_folder_are_the_same_image(tmp_path, make_volumes, write_series):
    ct, labels = make_volumes(shape=(3, 8, 8))
    folder = write_series(tmp_path / "set" / "images" / "a", ct)
    (folder / "report.txt").write_text("of the same patient")
    (series,) = find_volume_series(folder)
    for path in (tmp_path / "set" / "masks" / "a.nii.gz", tmp_path / "masks" / "a.nii.gz"):
        write_labels(path, labels)
    for image in (series, folder):
        record = MaskRecord({"source": {}}, content=digest_content(image))
        MaskRecords(tmp_path / "masks").write("a", record, {"a.nii.gz"})
        assert not [note for note in _notes(tmp_path) if "another image" in note]
    (folder / "0001.dcm").unlink()
    assert [note for note in _notes(tmp_path) if "another image" in note]
