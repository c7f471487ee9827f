import json

import pytest

from liverseg_tf.errors import LiverSegError
from liverseg_tf.train.comparison.find_runs import find_runs
from liverseg_tf.train.comparison.found_run import read_log


def test_runs_are_ranked_and_everything_else_is_named(tmp_path, make_run):
    make_run(tmp_path / "good", (0.9, 0.5))
    make_run(tmp_path / "cv" / "fold_1", (0.95, 0.6))
    make_run(tmp_path / "unknown", (float("nan"), float("nan")))
    make_run(tmp_path / "half", finished=False)
    record = make_run(tmp_path / "cut") / "run.json"
    record.write_bytes(record.read_bytes()[:200])
    (make_run(tmp_path / "other") / "model.keras").write_bytes(b"of another run")
    (make_run(tmp_path / "bare") / "run.json").unlink()
    (tmp_path / "foreign").mkdir()
    (tmp_path / "foreign" / "run.json").write_text('{"format": 7}')
    (tmp_path / "notes" / "deep").mkdir(parents=True)
    (tmp_path / ".hidden").mkdir()
    runs, skipped = find_runs([tmp_path])
    assert [run.name for run in runs] == ["cv/fold_1", "good", "unknown"]
    assert runs[0].mean_dice == pytest.approx(0.775)
    reasons = {one.name: (one.reason, one.is_damaged) for one in skipped}
    assert reasons.keys() == {"half", "cut", "other", "bare", "foreign", "notes"}
    assert {name for name, (_, damaged) in reasons.items() if not damaged} == {"half", "notes"}
    for name, says in (
        ("half", "has not finished"),
        ("cut", "truncated"),
        ("other", "not the one whose training"),
        ("bare", "no run.json"),
        ("foreign", "Received format 7"),
        ("notes", "holds no run"),
    ):
        assert says in reasons[name][0]


def test_unfinished_runs_have_the_best_dice_of_their_log(tmp_path, make_run):
    make_run(tmp_path / "a", (0.8, 0.5), finished=False)
    (make_run(tmp_path / "b", finished=False) / "log.csv").unlink()
    (run,), (skipped,) = find_runs([tmp_path], unfinished=True)
    assert run.dice == {"liver": 0.8, "tumour": 0.4}
    assert (run.steps, run.seconds, run.finished) == (200, 90.0, False)
    assert (skipped.name, skipped.is_damaged) == ("b", False)


def test_runs_are_named_as_they_were_given(tmp_path, make_run):
    folders = [make_run(tmp_path / name) for name in "ab"]
    assert [run.name for run in find_runs([folders[0]])[0]] == ["a"]
    both, _ = find_runs([*folders, tmp_path])
    assert [run.name for run in both] == [str(folder) for folder in folders]
    with pytest.raises(LiverSegError, match="Expected a folder of runs at"):
        find_runs([tmp_path / "none"])


@pytest.mark.parametrize(
    "content",
    [b"", b"epoch,dice_liver\n1,0.5\n", b"step,loss\n1,x\n", b"step,loss\n1,2,3\n", b"\xff\xfe\n"],
)
def test_a_table_that_is_no_log_is_refused(tmp_path, content):
    (tmp_path / "log.csv").write_bytes(content)
    with pytest.raises(LiverSegError, match=r"log\.csv"):
        read_log(tmp_path)


def test_names_of_cases_are_not_exported(tmp_path, make_run):
    make_run(tmp_path / "a", split={"train": ["x"], "val": ["jane_doe"], "test": []})
    (run,), _ = find_runs([tmp_path])
    assert "jane_doe" not in json.dumps(run.to_json())
