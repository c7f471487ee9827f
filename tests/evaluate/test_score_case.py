import nibabel as nib
import numpy as np
import pytest

from liverseg_tf.ct.annotation import Annotation
from liverseg_tf.ct.nifti import write_labels
from liverseg_tf.ct.orientation import to_canonical
from liverseg_tf.ct.regions import LIVER_REGIONS, Regions
from liverseg_tf.ct.volume import Volume
from liverseg_tf.errors import MemoryLimitError
from liverseg_tf.evaluate import masks
from liverseg_tf.evaluate import score_case as module
from liverseg_tf.evaluate.pairs import Pair
from liverseg_tf.evaluate.protocols.scoring import Scoring
from liverseg_tf.evaluate.score_case import score_case, score_masks

AFFINE = np.diag([1.0, 2.0, 5.0, 1.0])  # 0.01 ml per voxel, RAS


def labels(liver=6, tumour=2):
    array = np.zeros((3, 4, 5), np.uint8)
    array.flat[:liver] = 1
    array.flat[:tumour] = 2
    return Volume(array, AFFINE)


def test_masks_in_different_axis_orders():
    truth = labels(17, 4)
    canonical = to_canonical(truth)
    assert [result.overlap.dice for result in score_masks("a", truth, canonical, LIVER_REGIONS)]
    image = nib.Nifti1Image(truth.array.T, AFFINE).as_reoriented([[2, -1], [0, 1], [1, -1]])
    reoriented = Volume(np.asarray(image.dataobj).T, image.affine)
    for result in score_masks("a", truth, reoriented, LIVER_REGIONS):
        assert result.overlap.dice == 1.0


@pytest.mark.parametrize(
    ("function", "message"),
    [
        ("read_truth", "Not enough memory to read the masks of case a: use fewer workers."),
        (
            "score_masks",
            "Not enough memory to score the masks of case a (needs up to about 0.2 GB): "
            "use fewer workers.",
        ),
    ],
)
def test_missing_memory_is_a_failure(tmp_path, monkeypatch, function, message):
    def fail(*arguments):
        raise MemoryError

    path = tmp_path / "a.nii.gz"
    write_labels(path, labels())
    monkeypatch.setattr(module, function, fail)
    result = score_case(Pair("a", path, path), Scoring())
    assert result.failure == message
    assert result.regions == ()


def test_memory_estimate_of_a_large_ct():
    # 512 x 512 x 200 voxels, bounding box 300 x 250 x 120
    assert module._estimate_memory_gb(512 * 512 * 200, 300 * 250 * 120) == pytest.approx(0.88, 0.01)


@pytest.mark.parametrize("protocol", ["default", "lits", "msd"])
@pytest.mark.parametrize("error", [MemoryError(), MemoryLimitError("Expected at most 1 GB.")])
def test_a_prediction_that_does_not_fit_into_memory_is_not_an_empty_one(
    tmp_path, monkeypatch, protocol, error
):
    def read(path, *settings):
        if path == tmp_path / "p.nii.gz":
            raise error
        return labels()

    monkeypatch.setattr(masks, "read_label_image", read)
    result = score_case(Pair("a", tmp_path / "a.nii.gz", tmp_path / "p.nii.gz"), Scoring(protocol))
    assert "memory" in result.failure or "at most 1 GB" in result.failure
    assert result.regions == ()
    assert result.lits is None


def test_an_unexpected_error_is_a_failure_of_its_case(tmp_path, monkeypatch):
    monkeypatch.setattr(masks, "read_label_image", lambda *arguments: 1 / 0)
    result = score_case(Pair("a", tmp_path / "a.nii.gz", tmp_path / "a.nii.gz"), Scoring())
    assert result.failure == "Unexpected ZeroDivisionError: division by zero (case a)"


def test_grids_of_truth_and_prediction_are_called_so(tmp_path):
    write_labels(tmp_path / "t.nii.gz", labels())
    write_labels(tmp_path / "p.nii.gz", Volume(np.zeros((3, 4, 6), np.uint8), AFFINE))
    moved = AFFINE.copy()
    moved[0, 3] = 3
    write_labels(tmp_path / "m.nii.gz", Volume(labels().array, moved))
    for name in ("p", "m"):
        result = score_case(
            Pair("a", tmp_path / "t.nii.gz", tmp_path / f"{name}.nii.gz"), Scoring()
        )
        assert "Expected truth and prediction on one grid" in result.failure
        assert "image" not in result.failure


def test_regions_that_the_ground_truth_does_not_label_have_no_score(tmp_path):
    truth, prediction = tmp_path / "truth.nii.gz", tmp_path / "prediction.nii.gz"
    write_labels(truth, labels(17, 0))
    write_labels(prediction, labels(17, 4))
    pair = Pair("a", truth, prediction, annotation=Annotation(Regions({"liver": (1, 2)})))
    result = score_case(pair, Scoring(distances=False))
    assert [(one.region, one.scores["dice"]) for one in result.regions] == [("liver", 1.0)]
    assert result.failure is None
    nothing = Pair("a", truth, prediction, annotation=Annotation(Regions({"spleen": (3,)})))
    assert "label 1 (liver)" in score_case(nothing, Scoring()).failure
    assert "use another protocol" in score_case(pair, Scoring("lits")).failure
    write_labels(truth, labels(17, 1))
    assert "Received label 2 (tumour)." in score_case(pair, Scoring()).failure


def test_ignored_voxels_are_in_neither_mask(tmp_path):
    truth, prediction = tmp_path / "truth.nii.gz", tmp_path / "prediction.nii.gz"
    drawn = labels(6, 2)
    drawn.array.flat[10:30] = 9
    write_labels(truth, drawn)
    predicted = labels(6, 2)
    predicted.array.flat[12:25] = 2
    write_labels(prediction, predicted)
    pair = Pair("a", truth, prediction, annotation=Annotation(ignored=9))
    result = score_case(pair, Scoring())
    assert [one.scores["dice"] for one in result.regions] == [1, 1]
    assert [one.scores["msd"] for one in result.regions] == [0, 0]
    assert result.notes == ()
