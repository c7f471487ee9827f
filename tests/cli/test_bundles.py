"""`liverseg pack`, `liverseg models`, and bundles in the commands that take a model."""

import json
import zipfile
from collections import namedtuple

import numpy as np
import pytest
from bundles import make_folder, zip_folder
from click.testing import CliRunner

from liverseg_tf.cli.main import liverseg
from liverseg_tf.cli.shared.models import locate_run, resolve_models
from liverseg_tf.ct.nifti import read_labels
from liverseg_tf.predict.bundles import cache as cache_module
from liverseg_tf.predict.bundles import locate as locate_module

Exported = namedtuple("Exported", "folder files docker", defaults=((), ""))
DATA = ["--data", "synthetic patients", "--licence", "CC-BY-4.0"]


@pytest.fixture(autouse=True)
def folders(tmp_path, monkeypatch):
    """The cache and the folder of packaged models, which are empty at first."""
    monkeypatch.setenv("LIVERSEG_CACHE", str(tmp_path / "cache"))
    packaged = tmp_path / "packaged"
    packaged.mkdir()
    for module in (cache_module, locate_module):
        monkeypatch.setattr(module, "PACKAGED", packaged)
    return packaged


def _run(*arguments, code=0):
    done = CliRunner().invoke(liverseg, [str(argument) for argument in arguments])
    if done.exception is not None and not isinstance(done.exception, SystemExit):
        raise done.exception
    assert done.exit_code == code, done.output
    return done.output


@pytest.mark.slow
def test_a_packed_run_predicts_is_tested_and_is_the_packaged_model(
    untrained_run, tmp_path, make_dataset, folders, monkeypatch
):
    bundle = tmp_path / "abdomen-ct.zip"
    output = _run("pack", untrained_run, bundle, *DATA)
    assert "sha256=" in output
    with zipfile.ZipFile(bundle) as archive:
        assert json.loads(archive.read("run.json"))["store"]["split"]["train"] == []
        archive.extractall(folders / "abdomen-ct")
    images = make_dataset(tmp_path / "set", count=1) / "images"
    by_run, by_file = tmp_path / "by_run", tmp_path / "by_file"
    _run("predict", images, "--model", folders / "abdomen-ct", "-o", by_run, "--measure")
    assert json.loads((by_run / "case_0.json").read_text())["model"]["name"] == "abdomen-ct"
    line = (
        "Model abdomen-ct 1.0 (liver, tumour in CT), trained on synthetic patients. For research "
        "and education: it is not a medical device."
    )
    output = _run("predict", images, "--model", bundle, "-o", by_file, "--only", "liver")
    assert output.splitlines().count(line) == 1
    everything = read_labels(by_run / "case_0.nii.gz").array
    liver = read_labels(by_file / "case_0.nii.gz").array
    np.testing.assert_array_equal(liver, (everything > 0).astype(np.uint8))
    output = _run("predict", images, "-o", by_run)
    assert line in output
    assert "1 kept" in output
    assert "abdomen-ct 1.0: passed (Dice with the expected mask: liver " in _run("models", "test")
    _check_start_of_a_training(locate_run("abdomen-ct"), untrained_run)
    exported = []
    monkeypatch.setattr(
        "liverseg_tf.serve.export.export_run.export_run",
        lambda run, out, settings: exported.append((run.name, settings.name)) or Exported(run),
    )
    _run("export", bundle, tmp_path / "models")
    assert exported == [("abdomen-ct", "abdomen-ct")]


def _check_start_of_a_training(bundle, run):
    """Check that a training from the bundle starts with the weights of the run, but for float16."""
    from liverseg_tf.train.network.pretrained import load_matching_weights
    from liverseg_tf.train.network.unet import UNetSpec, build_unet

    spec = UNetSpec(3, ("liver", "tumour"), base_filters=4, depth=3)
    model, other = build_unet(spec), build_unet(spec)
    assert load_matching_weights(model, bundle, spec.outputs) == []
    assert load_matching_weights(other, run, spec.outputs) == []
    for one, exact in zip(model.get_weights(), other.get_weights(), strict=True):
        np.testing.assert_allclose(one, exact, rtol=1e-3, atol=1e-6)


def test_without_a_model_predict_says_what_to_do(tmp_path, make_dataset):
    images = make_dataset(tmp_path / "set", count=1) / "images"
    output = _run("predict", images, "-o", tmp_path / "masks", code=2)
    assert output.startswith("Error: Expected --model MODEL: this installation comes without")
    assert output.count("\n") == 1


def test_models_are_listed_and_their_cards_are_shown(tmp_path, folders):
    assert "There are no models yet" in _run("models")
    make_folder(folders / "tiny", licence="MIT\x1b[2J")
    path = zip_folder(make_folder(tmp_path / "other", "other"), tmp_path / "other.zip")
    assert "\n# tiny 1.0\n\nA card.\n" in "\n" + _run("models", "show", path)
    lines = _run("models").splitlines()
    assert lines[0].split()[:3] == ["other", "1.0", "cached"]
    assert lines[1].split()[:3] == ["tiny", "1.0", "packaged"]
    assert lines[1].endswith("CT: liver, tumour; MIT\\x1b[2J")
    assert "license" not in _run("models", "show", "tiny")
    assert "`liverseg models` lists the names" in _run("models", "show", "none", code=1)
    assert "Missing the NAME" in _run("models", "show", code=2)


def test_bundles_are_named_in_every_command(tmp_path, monkeypatch, capsys):
    folder = make_folder(tmp_path / "bundle")
    path = zip_folder(folder, tmp_path / "any.zip")
    (resolved,) = resolve_models((str(path),))
    assert resolved.endswith("/tiny")
    assert capsys.readouterr().err.startswith("Model tiny 1.0 (liver, tumour in CT)")
    assert resolve_models(("rest://host:1/m", "run")) == (
        "rest://host:1/m",
        f"{tmp_path.cwd()}/run",
    )
    assert locate_run(str(path)) == resolved
    assert locate_run("data/run") == "data/run"
    from liverseg_tf.serve.server.model_loading import name_models

    assert list(name_models([[resolved]], [str(path)])) == ["tiny"]
    assert "which never changes" in _run("tune", folder, tmp_path / "store", code=2)


def test_pack_refuses_what_it_cannot_pack(untrained_run, tmp_path):
    record = json.loads((untrained_run / "run.json").read_text())
    (tmp_path / "card.md").write_text("## Scores\n\nGood.\n")
    card = ["--card", tmp_path / "card.md"]
    out = tmp_path / "model.zip"
    assert "without Training data" in _run("pack", untrained_run, out, *DATA, *card, code=2)
    record["store"]["split"]["train"] = ["Mueller_Hans"]
    (untrained_run / "run.json").write_text(json.dumps(record))
    text = ["--attribution", "Mueller_Hans's data"]
    assert "name of a case" in _run("pack", untrained_run, out, *DATA, *text, code=1)
    (untrained_run / "run.json").write_text(json.dumps({**record, "result": None}))
    assert "Expected a finished run" in _run("pack", untrained_run, out, *DATA, code=1)
    assert not out.exists()
