from dataclasses import replace

import nibabel as nib
import numpy as np
import pytest

from liverseg_tf.ct.annotation import Annotation
from liverseg_tf.ct.nifti import write_labels
from liverseg_tf.ct.orientation import to_canonical
from liverseg_tf.ct.regions import LIVER_REGIONS, Regions
from liverseg_tf.ct.slice_list import SliceList
from liverseg_tf.ct.volume import Volume
from liverseg_tf.errors import MemoryLimitError
from liverseg_tf.evaluate import masks
from liverseg_tf.evaluate import score_case as module
from liverseg_tf.evaluate.pairs import Pair
from liverseg_tf.evaluate.protocols.scoring import Scoring
from liverseg_tf.evaluate.score_case import score_case, score_masks

LIVER = Regions({"liver": (1,)})
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


@pytest.mark.parametrize("downwards", [False, True])
def test_slices_that_are_not_listed_have_no_score(tmp_path, downwards):
    """The list counts along the third axis of the file; between slices there are no distances."""
    drawn, found = np.zeros((2, 5, 4, 4), np.uint8)
    drawn[:, :2], found[:, :2] = 1, 1
    drawn[1], found[3] = 0, 1  # nobody drew slice 1, and the prediction of slice 3 is too large
    affine = AFFINE @ np.diag([1, 1, -1, 1]) if downwards else AFFINE
    for name, array in (("truth", drawn), ("prediction", found)):
        write_labels(tmp_path / f"{name}.nii.gz", Volume(array, affine))

    def score(text):
        annotation = Annotation(None, 255, SliceList.parse(text), ignored_is_chosen=True)
        pair = Pair("a", tmp_path / "truth.nii.gz", tmp_path / "prediction.nii.gz")
        return score_case(replace(pair, annotation=annotation), Scoring(regions=LIVER))

    result = score("0,2-4")
    (region,) = result.regions
    assert region.scores["dice"] == pytest.approx(2 * 32 / (32 + 40))
    assert region.scores["truth_ml"] == pytest.approx(0.32)
    assert np.isnan([region.scores[name] for name in ("assd", "hd95", "nsd")]).all()
    assert "Slices between the labelled ones are unknown" in result.origins[0]
    result = score("3-end")  # without a gap
    assert result.regions[0].scores["dice"] == pytest.approx(2 * 16 / (16 + 24))
    assert result.regions[0].scores["msd"] > 0
    assert result.origins[0].startswith("Not all slices are labelled: scores and volumes are")
    assert "Received slice 5 in the list" in score("5").failure
