"""Scores of one side of a split, and warnings about cases that the model has learnt from."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from commands import run_liverseg

from liverseg_tf.ct.nifti import write_labels
from liverseg_tf.ct.volume import Volume
from liverseg_tf.dataset.provenance import MaskRecord, MaskRecords
from liverseg_tf.errors import SettingsError
from liverseg_tf.evaluate.coverage import Coverage
from liverseg_tf.evaluate.evaluate_folder import evaluate_pairs
from liverseg_tf.evaluate.pairs import Pair, find_pairs
from liverseg_tf.evaluate.protocols.scoring import Scoring
from liverseg_tf.evaluate.split_sides import SplitSides, describe_learnt_cases
from liverseg_tf.model.run_record import RunRecord

SPLIT = {"train": ["a", "b"], "val": ["c"], "test": ["d", "e", "f"]}
FAST = Scoring(distances=False)


@pytest.fixture
def work(tmp_path):
    """Ground truth of a to e, and predictions of a to d."""
    array = np.zeros((3, 8, 8), np.uint8)
    array[1, 2:5, 2:5] = 1
    for folder, names in (("truth", "abcde"), ("masks", "abcd")):
        for name in names:
            write_labels(tmp_path / folder / f"{name}.nii.gz", Volume(array, np.eye(4)))
    return tmp_path


def _evaluate(work, side=None, split=None, **options):
    pairs = find_pairs(work / "truth", work / "masks")
    pairs = pairs if side is None else split.select(pairs, side)
    return evaluate_pairs(pairs, FAST, split=split, **options)


def test_only_one_side_is_scored_and_its_gaps_are_counted(work):
    split = SplitSides.combine("run", [SPLIT])
    evaluation = _evaluate(work, "test", split)
    assert {result.case for result in evaluation.results} == {"d"}
    assert evaluation.coverage == Coverage(
        1, ("e",), (), ("f",), left_out={"liver": 2, "tumour": 2}
    )
    (warning,) = evaluation.warnings
    assert "Only 1 of 3 cases was scored" in warning
    assert "1 without a prediction (e), 1 without a ground truth (f)" in warning
    assert [failure.case for failure in evaluation.failures] == ["e", "f"]
    assert evaluation.means_with_zeros("liver")["dice"] == pytest.approx(1 / 3)


def test_cases_without_a_prediction_are_counted_even_if_they_are_left_out(work):
    evaluation = _evaluate(work, predicted_only=True)
    assert evaluation.failures == ()
    assert (evaluation.coverage.expected, evaluation.coverage.scored) == (5, 4)
    assert "Only 4 of 5 cases were scored" in evaluation.warnings[0]


def test_cases_that_count_as_empty_are_told_apart(work):
    pairs = find_pairs(work / "truth", work / "masks")
    evaluation = evaluate_pairs(pairs, Scoring("lits", distances=False))
    assert evaluation.coverage.as_empty == ("e",)
    assert evaluation.coverage.left_out == {"liver": 0, "tumour": 0}
    assert "1 case counts as empty (Dice 0)." in evaluation.warnings[0]


def test_training_and_validation_cases_are_told(work):
    evaluation = _evaluate(work, split=SplitSides.combine("my_run", [SPLIT]), predicted_only=True)
    _, train, val = evaluation.warnings
    assert "2 of 4 scored cases are training cases of my_run (a, b)" in train
    assert "--side test --split RUN" in train
    assert "1 of 4 scored cases is a validation case of my_run (c)" in val


def test_the_records_beside_the_masks_know_the_side_and_the_model(work):
    record = MaskRecord({}, model="liver 3f2a", side="train")
    MaskRecords(work / "masks").write("b", record, {"b.nii.gz"})
    MaskRecords(work / "masks").write("d", replace(record, side="test"), {"d.nii.gz"})
    (warning,) = _evaluate(work, predicted_only=True).warnings[1:]
    assert "1 of 4 scored cases is a training case of liver 3f2a (b)" in warning


def test_a_case_that_one_run_of_a_cross_validation_has_learnt_is_a_training_case():
    folds = [{"train": ["a"], "val": ["b"], "test": ["c"]}, {"train": ["b"], "val": ["a"]}]
    sides = SplitSides.combine("cv", folds)
    assert sides.sides == {"a": "train", "b": "train", "c": "test"}
    pairs = [Pair("c", Path("c.nii"))]
    assert sides.select(pairs, "test") == pairs
    with pytest.raises(SettingsError, match=r"for the val cases of cv \(it has none\)"):
        sides.select(pairs, "val")
    assert describe_learnt_cases({"c": "test", "d": ""}, "cv") == []


def test_the_command_scores_the_test_cases_of_a_run(work, monkeypatch):
    monkeypatch.setattr(
        "liverseg_tf.model.run_record.read_record", lambda path: RunRecord(None, SPLIT)
    )
    command = ["evaluate", work / "truth", work / "masks", "--out", work / "scores", "--no-report"]
    done = run_liverseg(*command, "--side", "test")
    assert done.exit_code == 2
    assert "Expected --split together with --side test" in done.output
    done = run_liverseg(
        *command, "--side", "test", "--split", work / "run", "--predicted-only", "--no-distances"
    )
    assert done.exit_code == 1  # f has no ground truth
    assert "3 cases on no or another side left out" in done.output
    assert "Warning: Only 1 of 3 cases was scored" in done.output
    value = json.loads((work / "scores" / "scores.json").read_text())
    assert value["cases"] == {
        "expected": 3,
        "scored": 1,
        "without_prediction": ["e"],
        "failed": [],
        "without_truth": ["f"],
        "counted_as_empty": [],
    }
    assert value["subject"]["side"] == "test"
    assert value["subject"]["models"] == {"": 1}
    assert value["subject"]["created"].endswith("UTC")
