"""Corrected labels become a data set, a better model takes the place of the old one."""

import json
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from liverseg_tf.ct.images import read_image
from liverseg_tf.ct.nifti import read_labels, write_labels, write_volume
from liverseg_tf.ct.regions import LIVER_REGIONS
from liverseg_tf.dataset.cases import find_cases
from liverseg_tf.serve.server import fine_tuning
from liverseg_tf.serve.server.fine_tuning_data import (
    FineTuningFolder,
    mean_dice,
    predict_arguments,
    preprocess_arguments,
    train_arguments,
)
from liverseg_tf.serve.server.fine_tuning_task import parse_steps
from liverseg_tf.serve.server.limits import Refusal
from liverseg_tf.serve.server.model_loading import find_current
from liverseg_tf.serve.server.models import Model
from liverseg_tf.tiles.spec import TileSpec
from liverseg_tf.train.settings import TrainSettings


@pytest.fixture
def run(tmp_path):
    """A folder with the settings of a run."""
    folder = tmp_path / "run"
    folder.mkdir()
    settings = TrainSettings(base_filters=4, depth=2, mirror=True, context=3).to_json()
    (folder / "run.json").write_text(json.dumps({"settings": settings}))
    return folder


@pytest.fixture
def trainable(tmp_path, make_ct, make_client, bright, run, monkeypatch):
    """A client of a server with two images that have corrected labels, and its service."""
    found = {}
    for number in range(2):
        found[f"ct_{number}"] = tmp_path / f"ct_{number}.nii"
        write_volume(found[f"ct_{number}"], make_ct(number))
    client, service = make_client(found)
    service.models._models["bright"] = Model("bright", bright, run=run)
    for name, path in found.items():
        image = read_image(path)
        write_labels(tmp_path / "label.nii", image.with_array((image.array > 50).astype(np.uint8)))
        answer = client.put(
            f"/datastore/label?image={name}",
            files={"label": ("label.nii", (tmp_path / "label.nii").read_bytes())},
        )
        assert answer.status_code == 200
    monkeypatch.setattr(fine_tuning.TileStore, "open", lambda _: _Split())
    return client, service


class _Split:
    split = {"train": ["ct_0"], "val": ["ct_1"], "test": []}  # noqa: RUF012


def _commands(monkeypatch, predict):
    """Replace the commands; `predict` gets the model and writes masks."""
    ran = []

    def run(self, task, arguments):
        ran.append(list(arguments))
        if arguments[0] == "train":
            Path(arguments[2]).mkdir(parents=True)
        elif arguments[0] == "predict":
            predict(arguments)

    monkeypatch.setattr(fine_tuning.FineTuning, "_run", run)
    return ran


def _wait(client):
    while client.get("/train/?check_if_running=true").status_code == 200:
        time.sleep(0.005)
    return client.get("/train/").json()


@pytest.mark.parametrize("better", [True, False])
def test_only_a_better_model_takes_the_place_of_the_old_one(
    trainable, monkeypatch, tmp_path, better
):
    client, _ = trainable

    def predict(arguments):
        out = arguments[arguments.index("--out") + 1]
        is_new = out.endswith("1")
        truth = read_labels(tmp_path / "out" / "models" / "bright" / "data/masks/ct_1.nii.gz")
        good = truth if is_new == better else truth.with_array(np.roll(truth.array, 3, axis=1))
        write_labels(
            tmp_path / "out" / "models" / "bright" / "validation" / out[-1] / "ct_1.nii.gz", good
        )

    ran = _commands(monkeypatch, predict)
    task = client.post("/train/bright", json={"minutes": 0.5, "client_id": "x"}).json()
    assert task["status"] == "RUNNING"
    done = _wait(client)
    assert done["status"] == "DONE", done
    assert [words[0] for words in ran] == ["preprocess", "train", "predict", "predict"]
    files = FineTuningFolder(tmp_path / "out" / "models" / "bright")
    assert ("takes the place" in done["result"]) == better
    assert find_current(files, "bright") == (1 if better else None)
    assert find_current(files, "another model") is None
    assert files.run(1).is_dir()  # both are kept
    assert client.get("/info/").json()["train_stats"]["bright"]["best_metric"] > 0.5
    cases = find_cases(files.data)
    assert [case.name for case in cases] == ["ct_0", "ct_1"]
    np.testing.assert_array_equal(
        read_image(cases[1].image).array, read_image(tmp_path / "ct_1.nii").array
    )
    assert set(np.unique(read_labels(cases[1].mask).array)) == {0, 1}


def test_only_the_validation_cases_are_predicted(tmp_path):
    files = FineTuningFolder(tmp_path)
    (files.data / "images" / "c").mkdir(parents=True)  # a DICOM series
    for name in ("a.nii.gz", "a.b.nii.gz"):
        (files.data / "images" / name).touch()
    words = predict_arguments(files, tmp_path / "run", 1, ["a", "c"])
    images = [Path(word).name for word in words if word.startswith(str(files.data))]
    assert images == ["a.nii.gz", "c"]


@pytest.mark.parametrize(
    ("steps", "words"),
    [
        (None, ["--minutes", "2.0"]),
        (50, ["--epochs", "1", "--steps-per-epoch", "50"]),
        (400, ["--epochs", "4", "--steps-per-epoch", "100"]),
    ],
)
def test_the_length_of_a_training(run, tmp_path, steps, words):
    found = train_arguments(FineTuningFolder(tmp_path), run, 1, 2.0, steps)
    assert found[5 : 5 + len(words)] == words


@pytest.mark.parametrize("steps", [0, True, "9", 10**9])
def test_an_odd_number_of_steps_is_refused(steps):
    with pytest.raises(Refusal, match="steps as a whole number"):
        parse_steps({"steps": steps})


def test_a_fine_tuning_is_stopped(trainable, monkeypatch):
    client, _ = trainable
    command = [sys.executable, "-c", "import time; print('step 1', flush=True); time.sleep(60)"]
    popen = fine_tuning.subprocess.Popen
    monkeypatch.setattr(
        fine_tuning.subprocess, "Popen", lambda _, **options: popen(command, **options)
    )
    client.post("/train/", json={"bright": {"minutes": 1}})
    assert client.post("/train/bright").status_code == 429
    while "step 1" not in client.get("/train/?check_if_running=true").json()["details"]:
        time.sleep(0.01)
    stopped = client.delete("/train/").json()
    assert (stopped["status"], stopped["details"][-1]) == (
        "STOPPED",
        "Stopped. The model is unchanged.",
    )
    assert client.get("/train/?check_if_running=true").status_code == 404
    (task,) = client.get("/train/?all=true").json()
    assert task["id"] == stopped["id"]


def test_a_command_that_fails_is_reported(trainable, monkeypatch):
    client, _ = trainable
    command = [sys.executable, "-c", "print('Error: no such store.'); raise SystemExit(1)"]
    popen = fine_tuning.subprocess.Popen
    monkeypatch.setattr(
        fine_tuning.subprocess, "Popen", lambda _, **options: popen(command, **options)
    )
    client.post("/train/bright")
    task = _wait(client)
    assert task["status"] == "ERROR"
    assert task["result"].endswith("Received: Error: no such store.")


@pytest.mark.parametrize("minutes", [0, -1, "x", True, None, 1e9])
def test_minutes_are_checked(trainable, minutes):
    client, _ = trainable
    assert client.post("/train/bright", json={"minutes": minutes}).status_code == 422


def test_segments_that_the_model_does_not_know_are_left_out(trainable, monkeypatch, tmp_path):
    client, _ = trainable
    for name in ("ct_0", "ct_1"):
        image = read_image(tmp_path / f"{name}.nii")
        write_labels(tmp_path / "label.nii", image.with_array((image.array > 50).astype(np.uint8)))
        answer = client.put(
            f"/datastore/label?image={name}",
            data={"params": json.dumps({"label_info": [{"name": "tumor"}]})},
            files={"label": ("label.nii", (tmp_path / "label.nii").read_bytes())},
        ).json()
        assert "No model knows the segment tumor" in answer["warnings"][0]
    _commands(monkeypatch, lambda _: None)
    client.post("/train/bright")
    task = _wait(client)
    assert task["status"] == "ERROR"
    assert "rename the segment" in task["result"]


def test_the_commands_have_the_settings_of_the_run(run, tmp_path):
    files = FineTuningFolder(tmp_path / "models")
    words = train_arguments(files, run, 3, 2.0)
    assert words[:5] == ["train", str(files.store), str(files.run(3)), "--from", str(run)]
    text = " ".join(words)
    for part in ("--minutes 2.0", "--context 3", "--depth 2", "--mirror", "--region liver=1,2"):
        assert part in text
    assert "--learning-rate 0.0005" in text
    from liverseg_tf.cli.train import train

    with train.make_context("train", words[1:]) as context:  # every option exists
        assert context.params["base_filters"] == 4
    cut = preprocess_arguments(files, TileSpec(spacing_mm=None, tile_shape=None), LIVER_REGIONS)
    from liverseg_tf.cli.preprocess import preprocess

    (files.data).mkdir(parents=True)
    with preprocess.make_context("preprocess", cut[1:]) as context:
        assert 0.25 in context.params.values()


def test_dice_is_the_mean_over_regions_and_cases(tmp_path, make_ct):
    truth = make_ct().with_array(np.zeros((6, 24, 28), np.uint8))
    truth.array[0, 0, :4] = 1
    mask = truth.with_array(truth.array.copy())
    mask.array[0, 0, 2:4] = 0
    for name, volume in (("truth", truth), ("mask", mask)):
        write_labels(tmp_path / name / "a.nii.gz", volume)
    dice = mean_dice(tmp_path / "mask", tmp_path / "truth", ["a"], LIVER_REGIONS)
    assert dice == pytest.approx(2 * 2 / (2 + 4))  # no tumour in either: left out
