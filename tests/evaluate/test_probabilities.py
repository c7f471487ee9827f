"""Lesions are scored by the probabilities that were saved with their mask, and by no others."""

import numpy as np
import pytest

from liverseg_tf.ct.nifti import write_labels, write_volume
from liverseg_tf.ct.volume import Volume
from liverseg_tf.dataset.provenance import MaskRecord, MaskRecords
from liverseg_tf.evaluate.evaluate_folder import evaluate_folder
from liverseg_tf.evaluate.protocols.scoring import Scoring

AFFINE = np.diag([1.0, -1.0, 2.0, 1.0])  # not the canonical order


@pytest.fixture
def work(tmp_path):
    labels = np.zeros((4, 12, 12), np.uint8)
    labels[1:3, 2:10, 2:10] = 1
    labels[1, 3:5, 3:5], labels[2, 7:9, 7:9] = 2, 2
    probabilities = np.zeros(labels.shape, np.float32)
    probabilities[1, 3:5, 3:5], probabilities[2, 7:9, 7:9] = 0.9, 0.6
    for folder in ("truth", "masks"):
        write_labels(tmp_path / folder / "a.nii.gz", Volume(labels, AFFINE))
    saved = "probabilities/tumour/a.nii.gz"
    write_volume(tmp_path / "masks" / saved, Volume(probabilities, AFFINE))
    MaskRecords(tmp_path / "masks").write("a", MaskRecord({}), {"a.nii.gz", saved})
    return tmp_path


def _evaluate(work):
    evaluation = evaluate_folder(work / "truth", work / "masks", Scoring(distances=False))
    (lesions,) = evaluation.lesions("tumour")
    return sorted(round(one.probability, 3) for one in lesions.predictions), evaluation


def test_the_mean_probability_of_each_lesion_is_known(work):
    probabilities, evaluation = _evaluate(work)
    assert probabilities == [0.6, 0.9]
    assert evaluation.notes == ()


@pytest.mark.parametrize("change", ["other grid", "damaged"])
def test_probabilities_that_were_changed_are_not_used(work, change):
    path = work / "masks/probabilities/tumour/a.nii.gz"
    if change == "damaged":
        path.write_bytes(path.read_bytes()[:-9] + bytes(9))
    else:
        write_volume(path, Volume(np.ones((3, 4, 4), np.float32), AFFINE))
        files = {"a.nii.gz", "probabilities/tumour/a.nii.gz"}
        MaskRecords(work / "masks").write("a", MaskRecord({}), files)
    probabilities, evaluation = _evaluate(work)
    assert np.isnan(probabilities).all()
    (note,) = evaluation.notes
    assert "probabilities are not used" in note


def test_a_mask_that_was_edited_has_no_probabilities(work):
    labels = np.random.default_rng(0).integers(0, 3, (4, 12, 12)).astype(np.uint8)
    write_labels(work / "masks/a.nii.gz", Volume(labels, AFFINE))
    probabilities, _ = _evaluate(work)
    assert np.isnan(probabilities).all()
