import csv
import json
import shutil

import pytest

from liverseg_tf.atomic import read_json, write_json
from liverseg_tf.errors import LiverSegError
from liverseg_tf.model.postprocessing import PostProcessing
from liverseg_tf.model.run_record import RunRecord
from liverseg_tf.predict.tuning import cross_validation
from liverseg_tf.predict.tuning.cross_validation import cross_validate, runs_in
from liverseg_tf.predict.tuning.tune import TuningResult
from liverseg_tf.predict.tuning.validation_masks import ValidationMasks


@pytest.fixture
def folds(untrained_run, tmp_path):
    """Two runs whose validation cases are a and b, and c."""
    runs = []
    for fold, names in ((1, ["a", "b"]), (2, ["c"])):
        run = shutil.copytree(untrained_run, tmp_path / "cv" / f"fold_{fold}")
        record = read_json(run / "run.json")
        record["store"]["split"]["val"] = names
        write_json(run / "run.json", record)
        runs.append(run)
    return runs


@pytest.fixture
def looked_at(monkeypatch):
    """Cases that each run was asked for; what is chosen is known."""
    seen = {}

    def predict_validation_masks(predictor, store, names):
        seen[len(seen)] = (predictor.fingerprint, list(names))
        return [ValidationMasks(name, predictor.network.regions, None, (), ()) for name in names]

    def choose(held, regions):
        before = {case.name: {"liver": 0.5, "tumour": float("nan")} for case in held}
        after = {case.name: {"liver": 0.75, "tumour": 0.25} for case in held}
        return TuningResult(PostProcessing(threshold=(("liver", 0.4),)), before, after)

    monkeypatch.setattr(cross_validation, "predict_validation_masks", predict_validation_masks)
    monkeypatch.setattr(cross_validation, "choose", choose)
    return seen


def test_each_run_is_asked_for_what_it_has_not_seen_and_all_get_the_same_steps(folds, looked_at):
    folder = folds[0].parent
    found = cross_validate(folder, None, folds)
    assert [names for _, names in looked_at.values()] == [["a", "b"], ["c"]]
    assert found.fold_of == {"a": 1, "b": 1, "c": 2}
    for run in folds:
        assert RunRecord.read(run).postprocessing.threshold == (("liver", 0.4),)
    with open(folder / "crossval.csv") as file:
        rows = list(csv.DictReader(file))
    assert [(row["fold"], row["case"], row["region"]) for row in rows] == [
        (fold, case, region)
        for fold, case in (("1", "a"), ("1", "b"), ("2", "c"))
        for region in ("liver", "tumour")
    ]
    written = json.loads((folder / "crossval.json").read_text())
    assert written["postprocessing"] == {"threshold": [["liver", 0.4]]}
    whole = written["dice"][-2:]
    assert whole[0] == {
        "fold": None, "region": "liver", "cases": 3, "dice": 0.5, "dice_tuned": 0.75
    }  # fmt: skip
    assert whole[1]["dice"] is None
    assert runs_in(folder) == folds


def test_a_case_is_validated_once(folds, looked_at):
    record = read_json(folds[1] / "run.json")
    record["store"]["split"]["val"] = ["b"]
    write_json(folds[1] / "run.json", record)
    with pytest.raises(LiverSegError, match=r"fold_2 with case b of fold 1"):
        cross_validate(folds[0].parent, None, folds)
    record["store"]["split"]["val"] = []
    write_json(folds[1] / "run.json", record)
    with pytest.raises(LiverSegError, match=r"fold_2 with none"):
        cross_validate(folds[0].parent, None, folds)


@pytest.mark.parametrize("runs", [["../x"], ["a/b"], [3], "fold_1", ["."], None])
def test_runs_are_names_inside_the_folder(tmp_path, runs):
    write_json(tmp_path / "crossval.json", {"runs": runs})
    with pytest.raises(LiverSegError, match="Expected names of runs"):
        runs_in(tmp_path)
    assert runs_in(tmp_path / "other") == []
