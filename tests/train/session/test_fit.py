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
from liverseg_tf.model.postprocessing import PostProcessing
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

pytestmark = pytest.mark.slow
AUGMENTED = TrainSettings(
    base_filters=4, depth=2, epochs=2, steps_per_epoch=5, batch_size=4, seed=3
)
TINY = dataclasses.replace(AUGMENTED, augment=0.0)
LONGER = dataclasses.replace(AUGMENTED, base_filters=8, epochs=3, steps_per_epoch=60)
# tests with this mark are about the loop and the files of a run, not about what it learns
untraced = pytest.mark.usefixtures("untraced_training")


def _read_weights(folder):
    model = keras.saving.load_model(folder / "model.keras", compile=False)
    return model.get_weights()


def _read_rows(folder, name="log.csv"):
    with open(folder / name) as file:
        return list(csv.DictReader(file))


def _assert_same_runs(left, right):
    for a, b in zip(_read_weights(left), _read_weights(right), strict=True):
        np.testing.assert_array_equal(a, b)
    for a, b in zip(_read_rows(left), _read_rows(right), strict=True):
        assert {k: v for k, v in a.items() if k != "seconds"} == {
            k: v for k, v in b.items() if k != "seconds"
        }
    assert _read_rows(left, "validation.csv") == _read_rows(right, "validation.csv")


@pytest.fixture(scope="module")
def finished(tmp_path_factory, make_blob_store):
    """A finished run that has learned something: its store, folder, result and progress."""
    store = make_blob_store(tmp_path_factory.mktemp("finished"))
    folder, reports = store.folder.parent / "run", []
    trained = train(store, folder, LONGER, ExecutionOptions(report=reports.append))
    return store, folder, trained, reports


def test_a_run_contains_everything_that_prediction_needs(finished):
    blob_store, run, trained, reports = finished
    assert trained.steps == 180
    assert trained.validated_on == ["case_2"]
    assert trained.notes == ()
    assert reports[-1].fraction == 1
    names = {path.name for path in run.iterdir()}
    assert names == {"model.keras", "run.json", "log.csv", "validation.csv", "curves.png"}

    record = json.loads((run / "run.json").read_text())
    assert TrainSettings.from_json(record["settings"]) == LONGER
    assert record["hardware"]["precision"] in ("float32", "bfloat16")
    assert record["versions"].keys() >= {"tensorflow", "keras", "python", "backend"}
    assert record["store"]["checksums"]["case_1"] == blob_store.cases["case_1"]["checksum"]
    assert record["result"]["steps"] == 180
    run_record = RunRecord.read(run)
    assert run_record.split == blob_store.split
    assert run_record.network.tiles == blob_store.spec
    assert run_record.network.stride == 4
    tiles = np.zeros((1, 48, 48, 1), np.uint8)
    assert RunPredictor(run).probabilities(tiles).shape == (1, 48, 48, 2)

    rows = _read_rows(run)
    assert [row["step"] for row in rows] == ["60", "120", "180"]
    best = max((float(row["dice_liver"]) + float(row["dice_tumour"])) / 2 for row in rows)
    assert np.mean(list(trained.dice.values())) == pytest.approx(best)
    cases = _read_rows(run, "validation.csv")
    assert [(row["epoch"], row["case"], row["region"]) for row in cases] == [
        (epoch, "case_2", region) for epoch in "123" for region in ("liver", "tumour")
    ]
    assert float(cases[-2]["dice"]) == pytest.approx(float(rows[-1]["dice_liver"]))


@pytest.mark.usefixtures("eager")
def test_the_same_seed_gives_the_same_weights(blob_store, tmp_path):
    settings = dataclasses.replace(AUGMENTED, epochs=1, dropout=0.1)
    for name in "ab":
        train(blob_store, tmp_path / name, settings)
    _assert_same_runs(tmp_path / "a", tmp_path / "b")


def test_training_segments_the_synthetic_cases(finished):
    assert finished[2].dice["liver"] > 0.9


@untraced
@pytest.mark.parametrize("minutes", [0.06, 0.001])
def test_a_wall_clock_budget_ends_the_run(blob_store, tmp_path, minutes):
    settings = dataclasses.replace(TINY, minutes=minutes, steps_per_epoch=7)
    trained = train(blob_store, tmp_path / "run", settings)
    assert trained.steps == 1 if minutes < 0.01 else trained.steps >= 1
    assert _read_rows(tmp_path / "run")[-1]["dice_liver"]  # the last epoch is validated in any case
    assert (tmp_path / "run" / "model.keras").exists()


@untraced
def test_training_stops_early_without_improvement(blob_store, tmp_path, monkeypatch):
    from liverseg_tf.train.session.validation import ValidationScores, Validator

    dice = iter([0.5, 0.6, 0.55, 0.6, 0.9])
    monkeypatch.setattr(
        Validator,
        "score",
        lambda *args: ValidationScores({"case_2": {"liver": next(dice), "tumour": np.nan}}),
    )
    settings = dataclasses.replace(TINY, epochs=5, patience=2, steps_per_epoch=1)
    trained = train(blob_store, tmp_path / "run", settings)
    assert trained.steps == 4
    assert trained.dice["liver"] == 0.6
    assert is_finished(tmp_path / "run", blob_store, settings)


@untraced
def test_without_validation_cases_the_training_cases_are_scored(blob_store, tmp_path):
    split = {"train": ["case_0"], "val": [], "test": []}
    trained = train(dataclasses.replace(blob_store, split=split), tmp_path / "run", TINY)
    assert trained.validated_on == ["case_0"]
    assert "measured on training cases" in trained.notes[0]


@untraced
def test_a_folder_with_a_finished_run_is_not_changed(blob_store, tmp_path):
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


_TRAIN = """
import sys, pathlib
from liverseg_tf.cli.shared.tensorflow import import_tensorflow
import_tensorflow()
from liverseg_tf.tiles.store import TileStore
from liverseg_tf.train.learner.execution import ExecutionOptions
from liverseg_tf.train.session.fit import train
from liverseg_tf.train.settings import TrainSettings
def report(progress):
    print(progress.fraction, flush=True)
store = TileStore.open(pathlib.Path(sys.argv[1]))
settings = TrainSettings(
    base_filters=4, depth=2, epochs=6, steps_per_epoch=3, batch_size=4, dropout=0.1,
    deep_supervision=2
)
for folder in sys.argv[2:]:
    train(store, pathlib.Path(folder), settings, ExecutionOptions(report=report))
"""


def _start(store, *folders):
    """Train into each folder, in one separate process."""
    return subprocess.Popen(
        [sys.executable, "-c", _TRAIN, str(store.folder), *map(str, folders)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def test_a_killed_run_is_resumed_to_the_same_weights(blob_store, tmp_path):
    killed, kills = tmp_path / "killed", 0
    process = _start(blob_store, tmp_path / "uninterrupted", killed)
    deadline = time.monotonic() + 1200
    while process.poll() is None and time.monotonic() < deadline:
        checkpoint = Checkpoint.read(killed)
        if checkpoint and checkpoint.metadata["training_state"]["epoch"] >= 2:
            process.send_signal(signal.SIGKILL)
            kills += 1
            break
        time.sleep(0.005)
    process.wait()
    assert kills == 1
    last = _start(blob_store, killed)
    assert last.communicate()[0]
    assert last.returncode == 0
    _assert_same_runs(tmp_path / "uninterrupted", killed)
    assert not (killed / "checkpoint.npz").exists()


@untraced
def test_a_signal_ends_training_between_two_steps(blob_store, tmp_path, monkeypatch):
    settings = dataclasses.replace(TINY, epochs=1, steps_per_epoch=7)
    train(blob_store, tmp_path / "uninterrupted", settings)
    train_step = loop.TrainingLoop._train_step

    def stop_twice(self, image, truth):
        train_step(self, image, truth)
        if self.state.step in (3, 5):
            os.kill(os.getpid(), signal.SIGTERM)

    with monkeypatch.context() as patch:
        patch.setattr(loop.TrainingLoop, "_train_step", stop_twice)
        for step in (3, 5):
            with pytest.raises(Interrupted):
                train(blob_store, tmp_path / "run", settings)
            checkpoint = Checkpoint.read(tmp_path / "run")
            assert checkpoint.metadata["training_state"]["step"] == step
    # the last part with the tiles on the device, whose batches are the same
    cached = ExecutionOptions(cache_on_device=True)
    trained = train(blob_store, tmp_path / "run", settings, cached)
    assert trained.steps == 7
    _assert_same_runs(tmp_path / "uninterrupted", tmp_path / "run")


class _Killed(BaseException):
    """Takes the place of SIGKILL."""


@untraced
def test_a_run_killed_after_its_last_step_is_resumed_there(blob_store, tmp_path, monkeypatch):
    settings = dataclasses.replace(TINY, epochs=1, steps_per_epoch=2)
    chosen, run = PostProcessing(largest=("liver",)), tmp_path / "run"

    def kill(folder):
        assert RunRecord.read(folder).warnings(folder)
        raise _Killed

    with pytest.raises(_Killed):
        train(blob_store, run, settings, choose_postprocessing=kill)
    assert not is_finished(run, blob_store, settings)
    weights = (run / "model.keras").read_bytes()

    monkeypatch.setattr(loop.TrainingLoop, "_train_step", None)  # nothing is trained again
    trained = train(blob_store, run, settings, choose_postprocessing=lambda folder: chosen)
    assert trained.steps == 2
    assert trained.postprocessing == chosen
    assert (run / "model.keras").read_bytes() == weights
    record = RunRecord.read(run)
    assert record.postprocessing == chosen
    assert record.finished
    assert record.warnings(run) == ()
    assert {path.name for path in run.iterdir()} == {
        *("model.keras", "run.json", "log.csv", "validation.csv", "curves.png")
    }


@pytest.fixture
def interrupted(blob_store, tmp_path, monkeypatch, untraced_training):
    """A run that was ended by a full disk after its first epoch."""
    write, calls = Checkpoint.write, []

    def fail(self, folder):
        calls.append(1)
        if len(calls) == 2:
            raise LiverSegError("Expected to write checkpoint.npz. Received: No space left.")
        write(self, folder)

    monkeypatch.setattr(Checkpoint, "write", fail)
    with pytest.raises(LiverSegError, match="No space left"):
        train(blob_store, tmp_path / "run", dataclasses.replace(TINY, epochs=3))
    monkeypatch.undo()
    return tmp_path / "run"


def test_resuming_needs_the_same_settings_split_and_tiles(blob_store, interrupted):
    three = dataclasses.replace(TINY, epochs=3)
    with pytest.raises(SettingsError, match=r"batch_size 4. Received 2"):
        train(blob_store, interrupted, dataclasses.replace(three, batch_size=2))
    other = dataclasses.replace(blob_store, split=blob_store.split | {"train": ["case_0"]})
    with pytest.raises(SettingsError, match="started with another split"):
        train(other, interrupted, three)
    cases = {name: dict(case) for name, case in blob_store.cases.items()}
    cases["case_1"]["checksum"] = "another"
    with pytest.raises(LiverSegError, match=r"Received other tiles of case case_1"):
        train(dataclasses.replace(blob_store, cases=cases), interrupted, three)
    assert train(blob_store, interrupted, three).steps == 15


def test_a_damaged_checkpoint_is_reported(blob_store, interrupted):
    path = interrupted / "checkpoint.npz"
    path.write_bytes(path.read_bytes()[:-100])
    with pytest.raises(LiverSegError, match=r"The checkpoint .* is damaged .*: delete it"):
        train(blob_store, interrupted, dataclasses.replace(TINY, epochs=3))


@untraced
@pytest.mark.parametrize(
    ("change", "message"),
    [
        ("recut", "Received other tiles of case case_1"),
        ("removed", r"case_0.* was removed during training"),
        ("store", "Expected a tile store"),
    ],
)
def test_a_change_of_the_store_during_training_is_reported(blob_store, tmp_path, change, message):
    def change_store(progress):
        if change == "recut":
            store = TileStore.open(blob_store.folder)
            store.cases["case_1"]["checksum"] = "another"
            store.save()
        elif change == "removed":
            blob_store.path("case_0").unlink(missing_ok=True)
        else:
            (blob_store.folder / "store.json").unlink(missing_ok=True)

    settings = dataclasses.replace(TINY, epochs=1, steps_per_epoch=2)
    with pytest.raises(LiverSegError, match=message):
        train(blob_store, tmp_path / "run", settings, ExecutionOptions(report=change_store))


@pytest.mark.usefixtures("eager")
def test_a_loss_that_is_not_finite_ends_the_run_and_the_best_model_is_kept(
    blob_store, tmp_path, monkeypatch
):
    learning_rate = loop.learning_rate

    def diverge(maximum, completed, decay):
        return learning_rate(maximum, completed, decay) if completed < 0.5 else 1e30

    monkeypatch.setattr(loop, "learning_rate", diverge)
    settings = dataclasses.replace(TINY, epochs=4, normalisation="none", ema_decay=0.0)
    with pytest.raises(LiverSegError, match=r"Expected a finite loss.*lower the learning rate"):
        train(blob_store, tmp_path / "run", settings, ExecutionOptions(Hardware()))
    assert all(np.isfinite(weight).all() for weight in _read_weights(tmp_path / "run"))


@untraced
def test_training_starts_from_the_weights_of_another_run(blob_store, tmp_path):
    settings = dataclasses.replace(TINY, epochs=1, steps_per_epoch=2, ema_decay=0.0)
    train(blob_store, tmp_path / "first", settings)
    second = dataclasses.replace(settings, init_from=tmp_path / "first", learning_rate=1e-9)
    trained = train(blob_store, tmp_path / "second", second)
    assert trained.notes == ()
    for before, after in zip(
        _read_weights(tmp_path / "first"), _read_weights(tmp_path / "second"), strict=True
    ):
        if before.ndim == 4:
            np.testing.assert_allclose(before, after, atol=1e-6)
    wider = dataclasses.replace(second, context=3, regions=Regions({"lesion": (2,)}))
    trained = train(blob_store, tmp_path / "third", wider)
    assert "down0_conv_a: 3x3x3x4 here, 3x3x1x4 in" in trained.notes[0]
    assert "logits: lesion, no such regions in" in trained.notes[0]
    assert "bottleneck" not in trained.notes[0]


@untraced
def test_tensorboard_files_contain_scalars_images_and_the_graph(blob_store, tmp_path):
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
    logged = [float(row["loss"]) for row in _read_rows(tmp_path / "run")]
    points = [float(tf.make_ndarray(event.tensor_proto)) for event in events.Tensors("loss")]
    assert points == pytest.approx(logged, rel=1e-6)
    assert [event.step for event in events.Tensors("loss")] == [2, 4]
    image = events.Tensors("validation/case_2")[-1].tensor_proto.string_val
    assert image[2].startswith(b"\x89PNG")
    assert json.loads(events.Tensors("keras")[0].tensor_proto.string_val[0])["config"]["layers"]
