import json
import tomllib

import pytest
from commands import run_liverseg

from liverseg_tf.tiles.store import TileStore

PLAN = ["--workers", 1, "--device", "cpu", "--memory", 8]


@pytest.fixture(scope="module")
def phantoms(tmp_path_factory, small_phantoms):
    folder = tmp_path_factory.mktemp("set")
    small_phantoms(folder, 4)
    return folder


@pytest.fixture
def estimated(monkeypatch):
    """Plans need no backend of Keras: each network needs as many GB as it has base filters / 16."""
    from liverseg_tf.cli.shared import tensorflow

    monkeypatch.setattr(tensorflow, "import_backend", lambda: None)
    monkeypatch.setattr(
        "liverseg_tf.plan.training_memory.estimate_training",
        lambda spec, settings, precision: settings.base_filters / 16 * 1e9,
    )


def _plan(*arguments):
    return run_liverseg("plan", *arguments, *PLAN)


@pytest.mark.slow
@pytest.mark.usefixtures("untraced_training", "in_this_process")
def test_preprocess_and_train_accept_the_plan(phantoms, tmp_path):
    out = tmp_path / "plan.toml"
    done = _plan(phantoms, "--out", out, "--minutes", 3)
    assert done.exit_code == 0, done.output
    config = ["--config", out]
    store = tmp_path / "store"
    done = run_liverseg(*config, "check", phantoms, "--workers", 1)
    assert "4 cases: 0 errors" in done.output
    done = run_liverseg(*config, "preprocess", phantoms, store, "--workers", 1)
    assert done.exit_code == 0, done.output
    tiles = TileStore.open(store)
    assert all(case["labelled_outside"] == 0 for case in tiles.cases.values())
    done = run_liverseg(*config, "train", store, tmp_path / "run", "--dry-run")
    assert done.exit_code == 0, done.output
    assert f"tiles: {tiles.spec.tile_shape[0]} x " in done.output
    assert "time: about 3 min" in done.output


@pytest.mark.usefixtures("estimated")
def test_every_setting_has_a_reason_in_80_columns_and_in_the_file(phantoms, tmp_path):
    out = tmp_path / "new" / "plan.toml"
    done = _plan(phantoms, "--out", out)
    assert done.exit_code == 0, done.output
    assert max(map(len, done.stdout.replace(str(out), "plan.toml").splitlines())) <= 80
    text = out.read_text()
    assignments = [line for line in text.splitlines() if " = " in line and line[0] != "#"]
    assert all("  # " in line for line in assignments)
    plan = tomllib.loads(text)
    assert plan["preprocess"].items() >= {"spacing": 6.5, "window": [[25.0, 450.0]]}.items()
    assert plan["train"]["region"] == ["liver=1,2", "tumour=2"]
    assert plan["check"] == plan["preprocess"]
    for key in plan["train"]:
        assert f"\n {key} " in done.stdout
    again = tmp_path / "again.toml"
    _plan(phantoms, "--out", again)
    assert again.read_text() == text


@pytest.mark.usefixtures("estimated")
def test_foreign_names_broken_cases_and_options_of_the_data_set(phantoms, tmp_path):
    folder = tmp_path / "set"
    for path in phantoms.rglob("*.*"):
        target = folder / path.relative_to(phantoms)
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(path.read_bytes())
    (folder / "imagesTr/phantom_002.nii.gz").write_bytes(b"")
    out, name = tmp_path / "plan.toml", 'my "liver" # [1]\\'
    options = ["--region", f"{name}=1,2", "--labelled", f"phantom_00*={name}", "--use-sform"]
    done = _plan(folder, "--out", out, "--json", "-", *options)
    assert done.exit_code == 1
    assert "(case phantom_002)" in done.stderr
    found = json.loads(done.stdout)
    assert [case["name"] for case in found["fingerprint"]["cases"]] == [
        *("phantom_000", "phantom_001", "phantom_003"),
    ]
    plan = tomllib.loads(out.read_text())
    assert plan["train"]["region"] == [f"{name}=1,2"]
    assert plan["evaluate"]["labelled"] == [f"phantom_00*={name}"]
    done = run_liverseg("--config", out, "check", folder, "--workers", 1)
    assert "4 cases: 1 error" in done.output


@pytest.mark.usefixtures("estimated")
def test_a_plan_is_not_replaced_by_accident(phantoms, tmp_path):
    out = tmp_path / "plan.toml"
    out.write_text("mine")
    done = _plan(phantoms, "--out", out)
    assert (done.exit_code, out.read_text()) == (2, "mine")
    assert "use --overwrite" in done.output
    assert _plan(phantoms, "--out", out, "--overwrite").exit_code == 0
    assert out.read_text() != "mine"


@pytest.mark.usefixtures("estimated")
def test_mr(tmp_path, small_phantoms):
    shape = ["--shape", 8, 64, 64, "--spacing", 9, 6.5, 6.5]
    folder, out = tmp_path / "mr", tmp_path / "plan.toml"
    run_liverseg("phantom", folder, "--count", 2, "--organs", "--modality", "mr", *shape)
    assert _plan(folder, "--out", out, "--region", "spleen=3").exit_code == 0
    plan = tomllib.loads(out.read_text())
    assert plan["preprocess"]["percentiles"] == [0.5, 99.5]
    assert plan["evaluate"]["mr"] is True
    done = _plan(folder, "--out", tmp_path / "ct.toml", "--modality", "ct")
    assert done.exit_code == 1
    assert "--accept modality" in done.output
