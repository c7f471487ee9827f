import json

import pytest
from click.testing import CliRunner

from liverseg_tf.cli.main import liverseg


@pytest.mark.slow
def test_the_demo_runs_every_stage_and_prints_its_results(demo):
    out, output = demo
    for stage in ("phantom", "preprocess", "train", "predict", "evaluate"):
        assert f"$ liverseg {stage} " in output
    for made in ("run", "masks", "scores/scores.csv", "scores/report.html"):
        assert (out / made).exists()
        assert str(out / made) in output
    rows = json.loads((out / "scores" / "scores.json").read_text())["rows"]
    assert [row["region"] for row in rows] == ["liver"]
    table = [line for line in output.splitlines() if line.startswith((" ", "│", "┃"))]
    assert max(map(len, table)) <= 80
    assert "seconds" in output


def test_other_folders_are_not_overwritten(tmp_path):
    (tmp_path / "run").mkdir()
    done = CliRunner().invoke(liverseg, ["demo", "--out", str(tmp_path)])
    assert done.exit_code == 2
    assert "Expected an empty folder or an earlier demo" in " ".join(done.output.split())
    assert (tmp_path / "run").exists()


@pytest.mark.parametrize(
    ("command", "option", "value"),
    [
        ("demo", "--minutes", "nan"),
        ("demo", "--minutes", "inf"),
        ("demo", "--seed", "-1"),
        ("phantom", "--seed", "-1"),
        ("phantom", "--seed", "99999999999999999999"),
        ("preprocess", "--seed", "-1"),
    ],
)
def test_numbers_without_meaning_are_refused(command, option, value, tmp_path):
    places = [tmp_path / "x"] if command == "phantom" else []
    places = [tmp_path, tmp_path / "x"] if command == "preprocess" else places
    done = CliRunner().invoke(liverseg, [command, *map(str, places), option, value])
    assert done.exit_code == 2
    assert value in done.output
    assert not (tmp_path / "x").exists()
