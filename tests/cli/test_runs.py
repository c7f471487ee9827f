import json
import shutil

import pytest
from commands import run_liverseg
from PIL import Image

from liverseg_tf.atomic import write_csv
from liverseg_tf.model.run_record import compute_model_checksum, write_run_record
from liverseg_tf.model.spec import NetworkSpec


@pytest.fixture
def runs(tmp_path):
    """A folder with two runs, a damaged one, an unfinished one and a folder of notes."""
    for name, dice, context in (("one", 0.8, 1), ("a[red]long name of a run \x1b[31m", 0.9, 3)):
        folder = tmp_path / "runs" / name
        folder.mkdir(parents=True)
        (folder / "model.keras").write_bytes(b"weights")
        checksum = compute_model_checksum(folder)
        result = {"dice": {"liver": dice, "tumour": None}, "validated_on": ["b"], "steps": 9}
        split = {"train": ["a"], "val": ["b"], "test": []}
        write_run_record(
            folder, NetworkSpec(), "tensorflow",
            settings={"context": context, "transforms": ["affine", "elastic", "blur"] * context},
            store={"split": split}, result=result | {"checksum": checksum, "seconds": 30.0},
        )  # fmt: skip
        rows = [{"epoch": 1, "step": 9, "loss": 0.5, "dice_liver": dice}]
        write_csv(folder / "log.csv", list(rows[0]), rows)
    shutil.copytree(tmp_path / "runs" / "one", tmp_path / "runs" / "damaged")
    (tmp_path / "runs" / "damaged" / "run.json").write_text("{")
    (tmp_path / "runs" / "notes").mkdir()
    return tmp_path / "runs"


def test_runs_are_compared_in_80_columns(runs, tmp_path, monkeypatch):
    monkeypatch.setenv("COLUMNS", "80")
    done = run_liverseg("runs", runs, "--curves", tmp_path / "curves.png")
    assert done.exit_code == 1  # one is damaged
    assert "Error: Skipped damaged: it is damaged" in done.stderr
    assert "Skipped notes: it holds no run." in done.stderr
    lines = done.stdout.splitlines()
    table = lines[: lines.index("2 runs")]
    assert max(map(len, table)) <= 80
    assert "\x1b" not in done.output
    first = next(number for number, line in enumerate(lines) if "[red]" in line)
    assert first < next(number for number, line in enumerate(lines) if line.startswith(" one"))
    assert "context = 3" in done.stdout
    assert "liver 0.900" in done.stdout
    assert "tumour -" in done.stdout
    with Image.open(tmp_path / "curves.png") as picture:
        assert picture.size[0] == 1100


def test_json_is_the_only_output_or_goes_to_a_file(runs, tmp_path):
    shutil.rmtree(runs / "damaged")
    done = run_liverseg("runs", runs, "--json")
    assert done.exit_code == 0
    printed = json.loads(done.stdout)
    assert [run["dice"] for run in printed["runs"]] == [
        *({"liver": 0.9, "tumour": None}, {"liver": 0.8, "tumour": None})
    ]
    assert printed["differences"] == ["context", "transforms"]
    assert [one["name"] for one in printed["skipped"]] == ["notes"]
    done = run_liverseg("runs", runs, "--json", tmp_path / "runs.json")
    assert "liver 0.900" in done.stdout
    assert json.loads((tmp_path / "runs.json").read_text()) == printed


def test_a_folder_without_runs_is_an_error(tmp_path):
    done = run_liverseg("runs", tmp_path)
    assert done.exit_code == 1
    assert "Expected at least one run in" in done.stderr
