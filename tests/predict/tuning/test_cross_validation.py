import csv
import json
import shutil

import pytest

from liverseg_tf.atomic import read_json, write_json
from liverseg_tf.errors import LiverSegError
from liverseg_tf.model.postprocessing import PostProcessing
from liverseg_tf.model.run_record import RunRecord
from liverseg_tf.predict.tuning import cross_validation
from liverseg_tf.predict.tuning.cross_validation import cross_validate, list_runs
from liverseg_tf.predict.tuning.tuning_result import TuningResult
from liverseg_tf.predict.tuning.validation_masks import ValidationMasks


@pytest.fixture
def folds(untrained_run, tmp_path):
    """Two runs with the validation cases a and b, and c."""
    runs = []
    for fold, names in ((1, ["a", "b"]), (2, ["c"])):
        run = shutil.copytree(untrained_run, tmp_path / "cv" / f"fold_{fold}")
        record = read_json(run / "run.json")
        record["store"]["split"]["val"] = names
        write_json(run / "run.json", record)
        runs.append(run)
    return runs


@pytest.fixture
def validated(monkeypatch):
    """Cases that each run predicts; the selection is replaced by a known result."""
    seen = {}

    def predict_validation_masks(predictor, store, names):
        seen[len(seen)] = (predictor.fingerprint, list(names))
        return [ValidationMasks(name, predictor.network.regions, None, (), ()) for name in names]

    def select_postprocessing(cases, regions, folds):
        assert folds == {"a": 1, "b": 1, "c": 2}
        before = {case.name: {"liver": 0.5, "tumour": float("nan")} for case in cases}
        after = {case.name: {"liver": 0.75, "tumour": 0.25} for case in cases}
        gains = {case.name: {"liver": 0.25, "tumour": float("nan")} for case in cases}
        steps = PostProcessing(threshold=(("liver", 0.4),))
        return TuningResult(steps, before, after, gains, ("tumour: a note",))

    monkeypatch.setattr(cross_validation, "predict_validation_masks", predict_validation_masks)
    monkeypatch.setattr(cross_validation, "select_postprocessing", select_postprocessing)
    return seen


def test_runs_predict_their_own_folds_and_get_the_same_postprocessing(folds, validated):
    folder = folds[0].parent
    result = cross_validate(folder, None, folds)
    assert [names for _, names in validated.values()] == [["a", "b"], ["c"]]
    assert result.fold_by_case == {"a": 1, "b": 1, "c": 2}
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
        **{"fold": None, "region": "liver", "cases": 3, "dice": 0.5, "dice_tuned": 0.75},
        **{"gain": 0.25, "gain_low": 0.25, "gain_high": 0.25},
    }
    assert whole[1]["dice"] is whole[1]["gain"] is whole[1]["gain_low"] is None
    assert written["notes"] == ["tumour: a note"]
    assert set(written["definitions"]) >= {"dice", "dice_tuned", "gain"}
    assert [row["gain"] for row in rows[:2]] == ["0.25", ""]
    assert list_runs(folder) == folds


def test_repeated_or_missing_validation_cases_are_refused(folds, validated):
    record = read_json(folds[1] / "run.json")
    record["store"]["split"]["val"] = ["b"]
    write_json(folds[1] / "run.json", record)
    with pytest.raises(LiverSegError, match=r"fold_2 with case b of fold 1"):
        cross_validate(folds[0].parent, None, folds)
    record["store"]["split"]["val"] = []
    write_json(folds[1] / "run.json", record)
    with pytest.raises(LiverSegError, match=r"fold_2 with no validation cases"):
        cross_validate(folds[0].parent, None, folds)


@pytest.mark.parametrize("runs", [["../x"], ["a/b"], [3], "fold_1", ["."], None])
def test_invalid_records_are_refused(tmp_path, runs):
    write_json(tmp_path / "crossval.json", {"runs": runs})
    with pytest.raises(LiverSegError, match="Expected a list of folder names"):
        list_runs(tmp_path)
    assert list_runs(tmp_path / "other") == []
