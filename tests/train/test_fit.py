import csv
import dataclasses
import json

import keras
import numpy as np
import pytest

from liverseg_tf.errors import LiverSegError, SettingsError
from liverseg_tf.predict.run import RunPredictor, RunRecord
from liverseg_tf.train import monitor
from liverseg_tf.train.fit import train
from liverseg_tf.train.settings import TrainSettings

TINY = TrainSettings(base_filters=4, depth=3, epochs=2, steps_per_epoch=5, batch_size=4, seed=3)


def _weights(folder):
    model = keras.saving.load_model(folder / "model.keras", compile=False)
    return model.get_weights()


def test_a_run_holds_all_that_is_needed_to_predict(blob_store, tmp_path):
    seen = []
    trained = train(blob_store, tmp_path / "run", TINY, seen.append)
    assert trained.steps == 10
    assert trained.validated_on == ["case_2"]
    assert trained.absent == []
    assert seen[-1].share == 1
    names = {path.name for path in (tmp_path / "run").iterdir()}
    assert names == {"model.keras", "run.json", "log.csv", "curves.png"}

    record = json.loads((tmp_path / "run" / "run.json").read_text())
    assert record["settings"]["learning_rate"] == TINY.learning_rate
    assert record["versions"].keys() >= {"tensorflow", "keras", "python", "backend"}
    assert record["store"]["checksums"]["case_1"] == blob_store.cases["case_1"]["checksum"]
    assert record["result"]["steps"] == 10
    read = RunRecord.read(tmp_path / "run")
    assert read.split == blob_store.split
    assert read.network.tiles == blob_store.spec
    assert read.network.stride == 8
    tiles = np.zeros((1, 48, 48, 1), np.uint8)
    assert RunPredictor(tmp_path / "run").probabilities(tiles).shape == (1, 48, 48, 2)

    with open(tmp_path / "run" / "log.csv") as file:
        rows = list(csv.DictReader(file))
    assert [row["step"] for row in rows] == ["5", "10"]
    best = max((float(row["dice_liver"]) + float(row["dice_tumour"])) / 2 for row in rows)
    assert np.mean(list(trained.dice.values())) == pytest.approx(best)


def test_the_same_seed_gives_the_same_weights(blob_store, tmp_path):
    settings = dataclasses.replace(TINY, epochs=1, dropout=0.1)
    for name in "ab":
        train(blob_store, tmp_path / name, settings)
    for left, right in zip(_weights(tmp_path / "a"), _weights(tmp_path / "b"), strict=True):
        np.testing.assert_array_equal(left, right)


@pytest.mark.slow
def test_it_learns_blobs(blob_store, tmp_path):
    settings = dataclasses.replace(TINY, base_filters=8, epochs=3, steps_per_epoch=60)
    trained = train(blob_store, tmp_path / "run", settings)
    assert trained.dice["liver"] > 0.9


def test_a_wall_clock_budget_ends_the_run(blob_store, tmp_path):
    settings = dataclasses.replace(TINY, minutes=0.2, steps_per_epoch=7)
    trained = train(blob_store, tmp_path / "run", settings)
    assert trained.steps >= 1
    with open(tmp_path / "run" / "log.csv") as file:
        last = list(csv.DictReader(file))[-1]
    assert last["dice_liver"]  # the end is validated, whatever was before
    assert (tmp_path / "run" / "model.keras").exists()


def test_without_validation_cases_the_training_cases_judge(blob_store, tmp_path):
    split = {"train": ["case_0"], "val": [], "test": []}
    trained = train(dataclasses.replace(blob_store, split=split), tmp_path / "run", TINY)
    assert trained.validated_on == ["case_0"]


def test_a_folder_with_a_run_is_left_alone(blob_store, tmp_path):
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "run.json").write_text("{}")
    with pytest.raises(SettingsError, match="Expected a new folder"):
        train(blob_store, tmp_path / "run", TINY)
    assert (tmp_path / "run" / "run.json").read_text() == "{}"


def test_a_loss_that_is_not_finite_stops_the_run_and_keeps_the_best(
    blob_store, tmp_path, monkeypatch
):
    real = monitor.learning_rate

    def explode(peak, progress):
        return real(peak, progress) if progress < 0.5 else 1e30

    monkeypatch.setattr(monitor, "learning_rate", explode)
    settings = dataclasses.replace(TINY, epochs=4, normalisation="none")
    with pytest.raises(LiverSegError, match=r"Expected a finite loss.*lower the learning rate"):
        train(blob_store, tmp_path / "run", settings)
    assert all(np.isfinite(weight).all() for weight in _weights(tmp_path / "run"))


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("depth", 0),
        ("normalisation", "layer"),
        ("dropout", 1.0),
        ("batch_size", 0),
        ("learning_rate", 0.0),
        ("minutes", 0.0),
        ("foreground", 1.5),
    ],
)
def test_settings_that_make_no_sense_are_refused_by_name(name, value):
    with pytest.raises(SettingsError, match=f"Expected {name} .* Received {value}"):
        TrainSettings(**{name: value})
