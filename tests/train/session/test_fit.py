import csv
import dataclasses
import json
import os
import signal
import subprocess
import sys
import time

import keras
import numpy as np
import pytest
import tensorflow as tf

from liverseg_tf.ct.regions import Regions
from liverseg_tf.errors import LiverSegError, SettingsError
from liverseg_tf.model.run_record import RunRecord
from liverseg_tf.predict.models.run import RunPredictor
from liverseg_tf.tiles.store import TileStore
from liverseg_tf.train.learner.execution import ExecutionOptions
from liverseg_tf.train.learner.hardware import Hardware
from liverseg_tf.train.session import loop
from liverseg_tf.train.session.checkpoint import Checkpoint
from liverseg_tf.train.session.fit import train
from liverseg_tf.train.session.interrupt import Interrupted
from liverseg_tf.train.session.resume import is_finished
from liverseg_tf.train.settings import TrainSettings

TINY = TrainSettings(base_filters=4, depth=2, epochs=2, steps_per_epoch=5, batch_size=4, seed=3)


def _weights(folder):
    model = keras.saving.load_model(folder / "model.keras", compile=False)
    return model.get_weights()


def _rows(folder, name="log.csv"):
    with open(folder / name) as file:
        return list(csv.DictReader(file))


def _assert_same_runs(left, right):
    for a, b in zip(_weights(left), _weights(right), strict=True):
        np.testing.assert_array_equal(a, b)
    for a, b in zip(_rows(left), _rows(right), strict=True):
        assert {k: v for k, v in a.items() if k != "seconds"} == {
            k: v for k, v in b.items() if k != "seconds"
        }
    assert _rows(left, "validation.csv") == _rows(right, "validation.csv")


def test_a_run_holds_all_that_is_needed_to_predict(blob_store, tmp_path):
    seen = []
    trained = train(blob_store, tmp_path / "run", TINY, ExecutionOptions(report=seen.append))
    assert trained.steps == 10
    assert trained.validated_on == ["case_2"]
    assert trained.notes == ()
    assert seen[-1].share == 1
    names = {path.name for path in (tmp_path / "run").iterdir()}
    assert names == {"model.keras", "run.json", "log.csv", "validation.csv", "curves.png"}

    record = json.loads((tmp_path / "run" / "run.json").read_text())
    assert TrainSettings.from_json(record["settings"]) == TINY
    assert record["hardware"]["precision"] in ("float32", "bfloat16")
    assert record["versions"].keys() >= {"tensorflow", "keras", "python", "backend"}
    assert record["store"]["checksums"]["case_1"] == blob_store.cases["case_1"]["checksum"]
    assert record["result"]["steps"] == 10
    read = RunRecord.read(tmp_path / "run")
    assert read.split == blob_store.split
    assert read.network.tiles == blob_store.spec
    assert read.network.stride == 4
    tiles = np.zeros((1, 48, 48, 1), np.uint8)
    assert RunPredictor(tmp_path / "run").probabilities(tiles).shape == (1, 48, 48, 2)

    rows = _rows(tmp_path / "run")
    assert [row["step"] for row in rows] == ["5", "10"]
    best = max((float(row["dice_liver"]) + float(row["dice_tumour"])) / 2 for row in rows)
    assert np.mean(list(trained.dice.values())) == pytest.approx(best)
    cases = _rows(tmp_path / "run", "validation.csv")
    assert [(row["epoch"], row["case"], row["region"]) for row in cases] == [
        (epoch, "case_2", region) for epoch in "12" for region in ("liver", "tumour")
    ]
    assert float(cases[-2]["dice"]) == pytest.approx(float(rows[-1]["dice_liver"]))


def test_the_same_seed_gives_the_same_weights(blob_store, tmp_path):
    settings = dataclasses.replace(TINY, epochs=1, dropout=0.1)
    for name in "ab":
        train(blob_store, tmp_path / name, settings)
    _assert_same_runs(tmp_path / "a", tmp_path / "b")


@pytest.mark.slow
def test_it_learns_blobs(blob_store, tmp_path):
    settings = dataclasses.replace(TINY, base_filters=8, epochs=3, steps_per_epoch=60)
    trained = train(blob_store, tmp_path / "run", settings)
    assert trained.dice["liver"] > 0.9


@pytest.mark.parametrize("minutes", [0.2, 0.001])
def test_a_wall_clock_budget_ends_the_run(blob_store, tmp_path, minutes):
    settings = dataclasses.replace(TINY, minutes=minutes, steps_per_epoch=7)
    trained = train(blob_store, tmp_path / "run", settings)
    assert trained.steps == 1 if minutes < 0.1 else trained.steps >= 1
    assert _rows(tmp_path / "run")[-1]["dice_liver"]  # the end is validated, whatever was before
    assert (tmp_path / "run" / "model.keras").exists()


def test_it_ends_early_where_validation_gets_no_better(blob_store, tmp_path, monkeypatch):
    from liverseg_tf.train.session.validation import Scores, Validator

    dice = iter([0.5, 0.6, 0.55, 0.6, 0.9])
    monkeypatch.setattr(
        Validator,
        "score",
        lambda *args: Scores({"case_2": {"liver": next(dice), "tumour": np.nan}}),
    )
    settings = dataclasses.replace(TINY, epochs=5, patience=2, steps_per_epoch=1)
    trained = train(blob_store, tmp_path / "run", settings)
    assert trained.steps == 4
    assert trained.dice["liver"] == 0.6
    assert is_finished(tmp_path / "run", blob_store, settings)


def test_without_validation_cases_the_training_cases_judge(blob_store, tmp_path):
    split = {"train": ["case_0"], "val": [], "test": []}
    trained = train(dataclasses.replace(blob_store, split=split), tmp_path / "run", TINY)
    assert trained.validated_on == ["case_0"]
    assert "measured on training cases" in trained.notes[0]


def test_a_folder_with_a_run_is_left_alone(blob_store, tmp_path):
    settings = dataclasses.replace(TINY, epochs=1, steps_per_epoch=1)
    train(blob_store, tmp_path / "run", settings)
    before = (tmp_path / "run" / "run.json").read_bytes()
    with pytest.raises(SettingsError, match="Expected a new folder"):
        train(blob_store, tmp_path / "run", settings)
    assert (tmp_path / "run" / "run.json").read_bytes() == before
    assert is_finished(tmp_path / "run", blob_store, settings)
    with pytest.raises(SettingsError, match=r"seed 3. Received 4"):
        is_finished(tmp_path / "run", blob_store, dataclasses.replace(settings, seed=4))
    assert not is_finished(tmp_path / "other", blob_store, settings)


_TRAINED = """
import sys, pathlib
from liverseg_tf.cli.shared.tensorflow import import_tensorflow
import_tensorflow()
from liverseg_tf.tiles.store import TileStore
from liverseg_tf.train.session.fit import ExecutionOptions, train
from liverseg_tf.train.settings import TrainSettings
def report(now):
    print(now.share, flush=True)
store = TileStore.open(pathlib.Path(sys.argv[1]))
settings = TrainSettings(
    base_filters=4, depth=2, epochs=6, steps_per_epoch=3, batch_size=4, dropout=0.1,
    deep_supervision=2
)
train(store, pathlib.Path(sys.argv[2]), settings, ExecutionOptions(report=report))
"""


def _start(store, folder):
    return subprocess.Popen(
        [sys.executable, "-c", _TRAINED, str(store.folder), str(folder)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


@pytest.mark.slow
def test_a_run_that_is_killed_goes_on_to_the_same_weights(blob_store, tmp_path):
    whole = _start(blob_store, tmp_path / "whole")
    killed, kills = tmp_path / "killed", 0
    assert whole.communicate()[0]
    assert whole.returncode == 0
    for checkpoints in (1, 3):
        process = _start(blob_store, killed)
        deadline = time.monotonic() + 120
        while process.poll() is None and time.monotonic() < deadline:
            found = Checkpoint.read(killed)
            if found is not None and found.told["standing"]["epoch"] >= checkpoints:
                process.send_signal(signal.SIGKILL)
                kills += 1
                break
            time.sleep(0.005)
        process.wait()
    assert kills == 2
    last = _start(blob_store, killed)
    assert last.communicate()[0]
    assert last.returncode == 0
    _assert_same_runs(tmp_path / "whole", killed)
    assert not (killed / "checkpoint.npz").exists()


def test_a_signal_ends_it_between_two_steps(blob_store, tmp_path, monkeypatch):
    settings = dataclasses.replace(TINY, epochs=1, steps_per_epoch=7)
    train(blob_store, tmp_path / "whole", settings)
    step = loop.Loop._step

    def stop_after_three(self, image, truth):
        step(self, image, truth)
        if self.standing.step == 3:
            os.kill(os.getpid(), signal.SIGTERM)

    monkeypatch.setattr(loop.Loop, "_step", stop_after_three)
    with pytest.raises(Interrupted):
        train(blob_store, tmp_path / "run", settings)
    monkeypatch.undo()
    assert Checkpoint.read(tmp_path / "run").told["standing"]["step"] == 3
    trained = train(blob_store, tmp_path / "run", settings)
    assert trained.steps == 7
    _assert_same_runs(tmp_path / "whole", tmp_path / "run")


@pytest.fixture
def interrupted(blob_store, tmp_path, monkeypatch):
    """A run that a full disk ended after its first epoch."""
    write, saved = Checkpoint.write, []

    def fail(self, folder):
        saved.append(1)
        if len(saved) == 2:
            raise LiverSegError("Expected to write checkpoint.npz. Received: No space left.")
        write(self, folder)

    monkeypatch.setattr(Checkpoint, "write", fail)
    with pytest.raises(LiverSegError, match="No space left"):
        train(blob_store, tmp_path / "run", dataclasses.replace(TINY, epochs=3))
    monkeypatch.undo()
    return tmp_path / "run"


def test_only_the_same_settings_split_and_tiles_go_on(blob_store, interrupted):
    three = dataclasses.replace(TINY, epochs=3)
    with pytest.raises(SettingsError, match=r"batch_size 4. Received 2"):
        train(blob_store, interrupted, dataclasses.replace(three, batch_size=2))
    other = dataclasses.replace(blob_store, split=blob_store.split | {"train": ["case_0"]})
    with pytest.raises(SettingsError, match="Expected the split of the run"):
        train(other, interrupted, three)
    cases = {name: dict(case) for name, case in blob_store.cases.items()}
    cases["case_1"]["checksum"] = "another"
    with pytest.raises(LiverSegError, match=r"Received other tiles of case case_1"):
        train(dataclasses.replace(blob_store, cases=cases), interrupted, three)
    assert train(blob_store, interrupted, three).steps == 15


def test_a_broken_checkpoint_is_told(blob_store, interrupted):
    path = interrupted / "checkpoint.npz"
    path.write_bytes(path.read_bytes()[:-100])
    with pytest.raises(LiverSegError, match=r"Expected a checkpoint at .*Received a broken one"):
        train(blob_store, interrupted, dataclasses.replace(TINY, epochs=3))


@pytest.mark.parametrize(
    ("spoil", "says"),
    [
        ("recut", "Received other tiles of case case_1"),
        ("removed", "Received one without"),
        ("store", "Expected a tile store"),
    ],
)
def test_a_store_that_changes_under_the_run_is_told(blob_store, tmp_path, spoil, says):
    def change(progress):
        if spoil == "recut":
            store = TileStore.open(blob_store.folder)
            store.cases["case_1"]["checksum"] = "another"
            store.save()
        elif spoil == "removed":
            blob_store.path("case_0").unlink(missing_ok=True)
        else:
            (blob_store.folder / "store.json").unlink(missing_ok=True)

    settings = dataclasses.replace(TINY, epochs=1, steps_per_epoch=2)
    with pytest.raises(LiverSegError, match=says):
        train(blob_store, tmp_path / "run", settings, ExecutionOptions(report=change))


def test_a_loss_that_is_not_finite_stops_the_run_and_keeps_the_best(
    blob_store, tmp_path, monkeypatch
):
    real = loop.learning_rate

    def explode(peak, progress, decay):
        return real(peak, progress, decay) if progress < 0.5 else 1e30

    monkeypatch.setattr(loop, "learning_rate", explode)
    settings = dataclasses.replace(TINY, epochs=4, normalisation="none", ema_decay=0.0)
    with pytest.raises(LiverSegError, match=r"Expected a finite loss.*lower the learning rate"):
        train(blob_store, tmp_path / "run", settings, ExecutionOptions(Hardware()))
    assert all(np.isfinite(weight).all() for weight in _weights(tmp_path / "run"))


def test_a_run_begins_with_the_weights_of_another(blob_store, tmp_path):
    settings = dataclasses.replace(TINY, epochs=1, steps_per_epoch=2, ema_decay=0.0)
    train(blob_store, tmp_path / "first", settings)
    further = dataclasses.replace(settings, init_from=tmp_path / "first", learning_rate=1e-9)
    trained = train(blob_store, tmp_path / "second", further)
    assert trained.notes == ()
    for before, after in zip(
        _weights(tmp_path / "first"), _weights(tmp_path / "second"), strict=True
    ):
        if before.ndim == 4:
            np.testing.assert_allclose(before, after, atol=1e-6)
    wider = dataclasses.replace(further, context=3, regions=Regions({"tumour": (2,)}))
    trained = train(blob_store, tmp_path / "third", wider)
    assert "down0_conv_a: 3x3x3x4 here, 3x3x1x4 in" in trained.notes[0]
    assert "logits: 1x1x4x1 1 here, 1x1x4x2 2 in" in trained.notes[0]
    assert "bottom" not in trained.notes[0]


def test_tensorboard_gets_figures_pictures_and_the_network(blob_store, tmp_path):
    pytest.importorskip("tensorboard")
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    settings = dataclasses.replace(TINY, epochs=2, steps_per_epoch=2)
    train(blob_store, tmp_path / "run", settings, ExecutionOptions(tensorboard=True))
    events = EventAccumulator(str(tmp_path / "run" / "tensorboard"), {"tensors": 0})
    events.Reload()
    tags = set(events.Tags()["tensors"])
    assert tags == {
        *("seconds", "learning_rate", "loss", "dice/liver", "dice/tumour"),
        *("validation/case_2", "keras"),
    }
    logged = [float(row["loss"]) for row in _rows(tmp_path / "run")]
    points = [float(tf.make_ndarray(one.tensor_proto)) for one in events.Tensors("loss")]
    assert points == pytest.approx(logged, rel=1e-6)
    assert [one.step for one in events.Tensors("loss")] == [2, 4]
    picture = events.Tensors("validation/case_2")[-1].tensor_proto.string_val
    assert picture[2].startswith(b"\x89PNG")
    assert json.loads(events.Tensors("keras")[0].tensor_proto.string_val[0])["config"]["layers"]


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("depth", 0),
        ("patch", 3),
        ("normalisation", "layer"),
        ("dropout", 1.0),
        ("batch_size", 0),
        ("loss", "dice"),
        ("deep_supervision", 5),
        ("optimizer", "adam"),
        ("learning_rate", 0.0),
        ("decay", "step"),
        ("average", 1.0),
        ("patience", 0),
        ("minutes", 0.0),
        ("context_spacing_mm", 0.0),
        ("foreground_fraction", 1.5),
    ],
)
def test_settings_that_make_no_sense_are_refused_by_name(name, value):
    with pytest.raises(SettingsError, match=f"Expected {name} .* Received {value}"):
        TrainSettings(**{name: value})


def test_settings_come_back_from_json():
    settings = TrainSettings(context=3, loss="dice-ce", minutes=2.5, init_from="run")
    assert TrainSettings.from_json(json.loads(json.dumps(settings.to_json()))) == settings
    assert settings.differences(TrainSettings()) == ["context", "start", "minutes", "loss"]
