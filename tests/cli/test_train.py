"""`liverseg train` and `liverseg crossval` on the command line."""

import csv
import json
import re

import nibabel as nib
import numpy as np
import pytest
from click.testing import CliRunner
from commands import run_liverseg
from PIL import Image

from liverseg_tf.cli.main import liverseg

pytestmark = pytest.mark.usefixtures("untraced_module", "in_this_process")
TINY = ["--epochs", 1, "--steps-per-epoch", 2, "--base-filters", 4, "--depth", 2, "--batch-size", 2]
TINY += ["--augment", 0, "--precision", "float32"]


def _run(*arguments, code=0):
    done = run_liverseg(*arguments)
    assert done.exit_code == code, done.output
    return done.output


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    """A data set of 6 phantoms and its store: 4 for training, 1 for validation, 1 for testing."""
    folder = tmp_path_factory.mktemp("data")
    small = ["--shape", 8, 64, 64, "--spacing", 25, 6.5, 6.5]
    _run("phantom", folder / "set", "--count", 6, "--tumours", 2, *small)
    _run(
        "preprocess", folder / "set", folder / "store", "--spacing", "native", "--tile", 64,
        "--workers", 1,
    )  # fmt: skip
    return folder


def test_a_dry_run_prints_its_plan_and_writes_nothing(data, tmp_path):
    command = ["train", data / "store", tmp_path / "run", *TINY, "--dry-run"]
    output = _run(*command, "--cache-on-device")
    for word in ("parameters: ", "memory: about", "cache: 0.0 GB of", "steps: 2 (4", "time: about"):
        assert word in output
    assert not (tmp_path / "run").exists()
    assert max(map(len, output.splitlines())) <= 80


def test_the_first_batch_and_the_transforms_are_drawn(data, tmp_path):
    picture, strip = tmp_path / "pictures" / "batch.png", tmp_path / "transforms.png"
    options = ["--augment", 1, "--transforms", "brightness"]
    command = ["train", data / "store", tmp_path / "run", *TINY, *options]
    output = _run(*command, "--show-batch", picture, "--show-transforms", strip)
    assert f"The first batch: {picture}" in output
    assert f"The transforms: {strip}" in output
    with Image.open(strip) as image:
        assert image.size[0] == 880
    with Image.open(picture) as image:
        assert image.size[0] == 2 * 275
    assert not (tmp_path / "run").exists()


@pytest.mark.slow
def test_each_fold_has_its_own_validation_cases(data, tmp_path):
    store = json.loads((data / "store" / "store.json").read_text())
    validated = []
    for fold in (1, 5):
        run = tmp_path / f"run_{fold}"
        _run("train", data / "store", run, *TINY, "--fold", f"{fold}/5", "--no-tune")
        split = json.loads((run / "run.json").read_text())["store"]["split"]
        assert split["test"] == store["split"]["test"]
        validated += split["val"]
    assert len(set(validated)) == 2
    output = _run("train", data / "store", tmp_path / "x", "--fold", "6/5", code=2)
    assert "Expected a part from 1/N to N/N. Received 6/5" in output


@pytest.mark.slow
def test_a_cross_validation_is_a_model_and_keeps_finished_runs(data, tmp_path):
    out = tmp_path / "cv"
    array_job = ["train", data / "store", out / "fold_2", *TINY, "--fold", "2/2", "--no-tune"]
    _run(*array_job)
    made = (out / "fold_2" / "model.keras").read_bytes()
    output = _run("crossval", data / "store", out, "--folds", 2, *TINY)
    assert "fold 1 of 2:" in output
    assert "fold 2 of 2: kept" in output
    assert "Dice per case in 3D" in output
    assert f"predict with --model {out}" in output
    assert (out / "fold_2" / "model.keras").read_bytes() == made
    with open(out / "crossval.csv") as file:
        rows = list(csv.DictReader(file))
    assert len({row["case"] for row in rows}) == 5
    table = [line for line in output.splitlines() if "┃" in line or "│" in line]
    assert max(map(len, table)) <= 80

    other = _run("crossval", data / "store", out, "--folds", 2, *TINY, "--seed", 9, code=2)
    assert "Expected the settings of the run in" in other
    masks = tmp_path / "masks"
    for model in ([out], [out / "fold_1", out / "fold_2"]):
        arguments = [part for one in model for part in ("--model", one)]
        _run(
            "predict", data / "set", *arguments, "--out", masks / str(len(model)), "--side", "test"
        )
    (one,), (two,) = (sorted((masks / name).glob("*.nii.gz")) for name in "12")
    assert one.name == two.name
    np.testing.assert_array_equal(*(nib.load(path).get_fdata() for path in (one, two)))


@pytest.mark.slow
def test_an_interrupted_run_is_resumed(data, tmp_path, monkeypatch):
    from liverseg_tf.train.session.loop import TrainingLoop

    step = TrainingLoop._train_step
    taken = []

    def stop_once(self, image, truth):
        step(self, image, truth)
        taken.append(1)
        if len(taken) == 1:
            import os
            import signal

            os.kill(os.getpid(), signal.SIGINT)

    monkeypatch.setattr(TrainingLoop, "_train_step", stop_once)
    output = _run("train", data / "store", tmp_path / "run", *TINY, "--no-tune", code=1)
    assert "Interrupted after a checkpoint was saved. Repeat the command to resume." in output
    output = _run("train", data / "store", tmp_path / "run", *TINY, "--no-tune")
    assert "2 steps in" in output
    assert len(taken) == 2


@pytest.mark.slow
def test_a_full_disk_gives_one_line_and_no_partial_files(data, small_disk):
    run = small_disk / "run"
    done = CliRunner().invoke(
        liverseg,
        [*("train", str(data / "store"), str(run), "--epochs", "1", "--steps-per-epoch", "1")],
    )
    assert done.exit_code == 1, done.output
    (line,) = [line for line in done.output.splitlines() if line.startswith("Error: ")]
    assert "No space left on device" in line
    assert [path.name for path in run.iterdir()] == ["run.json"]


@pytest.mark.slow
def test_organ_and_training_presets_are_combined(data, tmp_path):
    output = _run(
        "--preset", "liver", "--preset", "accurate", "train", data / "store", tmp_path / "run",
        "--dry-run", "--batch-size", 1, "--base-filters", 4,
    )  # fmt: skip
    assert "64 x 64 x 5, batches of 1" in output


@pytest.mark.slow
def test_the_same_command_keeps_a_finished_run_and_completes_it(data, tmp_path):
    train = ["train", data / "store", tmp_path / "run", *TINY]
    output = _run(*train)
    assert "\nPost-processing: " in output
    assert re.match(
        r"Device: CPU \(\d+ cores?\), b?float\d+, [\d.e+]+ steps/s \(tensorflow\)\n", output
    )
    assert re.search(r"epoch 1, loss [\d.]+(, Dice: liver [\d.]+, tumour [\d.-]+)?\n", output)
    record = tmp_path / "run" / "run.json"
    finished = record.read_bytes()
    names = {path.name for path in record.parent.iterdir()}
    for left in ("checkpoint.npz", ".lock", ".partial-0123abcd-model.keras"):
        (record.parent / left).touch()  # by a process that was killed at its very end
    assert _run(*train).startswith("Kept: ")
    assert {path.name for path in record.parent.iterdir()} == names
    assert record.read_bytes() == finished
    assert "seed 0. Received 1: use another folder" in _run(*train, "--seed", 1, code=2)
    value = json.loads(finished)
    del value["postprocessing"]  # as if it had been trained with --no-tune
    record.write_text(json.dumps(value))
    assert "\nPost-processing: " in _run(*train)
    assert json.loads(record.read_text()) == json.loads(finished)
    del value["result"]
    record.write_text(json.dumps(value))
    for command in (
        ["tune", tmp_path / "run", data / "store"],
        ["export", tmp_path / "run", tmp_path / "out"],
    ):
        assert "Expected a finished run at" in _run(*command, code=1)
    masks = ["predict", data / "set", "--model", tmp_path / "run", "--out", tmp_path / "masks"]
    output = _run(*masks, "--side", "test", "--measure")
    assert "Warning: The run" in output
    assert "has not finished" in output
    (measured,) = (tmp_path / "masks").glob("*.json")
    assert "has not finished" in measured.read_text()


@pytest.mark.slow
def test_the_command_line_overrides_options_of_a_file_that_replace_it(data, tmp_path):
    config = tmp_path / "my.toml"
    config.write_text("[train]\nminutes = 90\ncontext = 3\ncontext-spacing-mm = 5\n")
    output = _run(
        "--config", config, "train", data / "store", tmp_path / "run", *TINY, "--dry-run",
        "--context", 1,
    )  # fmt: skip
    assert "steps: 2 " in output
    assert "64 x 64 x 1" in output


def test_errors_are_one_line(data, tmp_path):
    for arguments, says in (
        (["--patch", 3], "Expected patch one of 1, 2, 4. Received 3"),
        (["--encoder", "VGG99"], "Expected encoder one of"),
        (["--from", tmp_path / "none"], "Expected a run's model at"),
        (["--hosts", "slurm"], "This is not a step of a Slurm job"),
        (["--deep-supervision", 9], "Expected deep_supervision from 1 to the number"),
        (["--seed", -1], "Expected seed from 0 to 4294967295. Received -1"),
        (["--learning-rate", "nan"], "Expected learning_rate above 0"),
        (["--encoder-weights", "imagenet"], "Expected an encoder together with encoder_weights"),
        (["--encoder", "MobileNetV3Small", "--depth", 4], "Expected no --depth together with"),
        (["--epochs", 3, "--minutes", 1], "Expected --epochs or --minutes. Received both"),
        (["--context-spacing-mm", 3], "Expected a context of at least 3 slices"),
        (["--dry-run", "--show-batch", tmp_path / "x.png"], "without --dry-run and --hosts"),
        (["--mirror", "--augment", 0], "Expected augment above 0 together with mirror"),
        (["--transforms", "default,clip"], "Received clip (did you mean clipping?)"),
        (["--transforms", "default,thick-slices"], "Expected a context of at least 3 slices"),
        (["--encoder", "MobileNetV3Small", "--encoder-weights", tmp_path / "x"], "no such file"),
    ):
        done = CliRunner().invoke(
            liverseg, ["train", str(data / "store"), str(tmp_path / "run"), *map(str, arguments)]
        )
        assert done.exit_code in (1, 2), done.output
        (line,) = [line for line in done.output.splitlines() if line.startswith("Error: ")]
        assert says in line
        assert not (tmp_path / "run" / "model.keras").exists()
