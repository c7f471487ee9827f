import json
from pathlib import Path

import keras
import numpy as np
import pytest

import liverseg_tf as ls
from liverseg_tf.errors import SettingsError
from liverseg_tf.model.run_record import RunRecord


def _network(activation="sigmoid", shape=(64, 64, 1)):
    """A network of a fixed size, with a layer of its own scale."""
    inputs = keras.Input(shape)
    x = keras.layers.Rescaling(1 / 255)(inputs)
    return keras.Model(inputs, keras.layers.Conv2D(2, 3, padding="same", activation=activation)(x))


def _begin(model, folder, store):
    """What `Model.fit` does before the first step."""
    callback = ls.RunCheckpoint(folder, store)
    callback.set_model(model)
    callback.on_train_begin()


def _fit(model, folder, store, epochs=1, callbacks=(), **options):
    model.compile("sgd", ls.losses.Dice(options.get("from_logits", False)), run_eagerly=True)
    return model.fit(
        ls.tile_dataset(store, batch_size=2, augment=0),
        epochs=epochs,
        steps_per_epoch=2,
        shuffle=False,
        verbose=0,
        callbacks=[ls.RunCheckpoint(folder, store, **options), *callbacks],
    )


@pytest.mark.slow
def test_a_fitted_model_becomes_a_run_that_segments(facade_folder, tmp_path):
    store = ls.open_store(facade_folder / "store")
    seen = []
    watch = keras.callbacks.LambdaCallback(on_epoch_end=lambda epoch, logs: seen.append(dict(logs)))
    model, run = _network(), tmp_path / "run"
    history = _fit(model, run, store, epochs=2, callbacks=[watch])
    assert {"loss", "val_dice", "val_dice_liver", "val_dice_tumour"} <= set(history.history)
    assert [row["val_dice"] for row in seen] == history.history["val_dice"]
    record = RunRecord.read(run)
    assert record.finished
    assert record.network.stride == 1
    assert record.split == store.split
    details = json.loads((run / "run.json").read_text())
    assert details["result"]["steps"] == 4
    best = np.nanmean([details["result"]["dice"][name] for name in record.network.regions.names])
    assert best == pytest.approx(max(history.history["val_dice"]))
    assert len((run / "log.csv").read_text().splitlines()) == 3
    assert (run / "curves.png").exists()
    predictor = ls.load_model(run)
    tiles = np.random.default_rng(0).integers(0, 256, (1, 64, 64, 1), np.uint8)
    if history.history["val_dice"][1] > history.history["val_dice"][0]:
        expected = np.asarray(model(tiles.astype(np.float32)))
        np.testing.assert_allclose(predictor.probabilities(tiles), expected, atol=1e-5)
    assert ls.segment(facade_folder / "ct.nii.gz", predictor).array.shape == (8, 64, 64)
    with pytest.raises(SettingsError, match="holds a finished run"):
        _begin(_network(), run, store)


def test_logits_are_refused_before_the_first_step_or_become_probabilities(facade_folder, tmp_path):
    store = facade_folder / "store"
    model = _network(activation=None)
    model.set_weights([weights + 3 for weights in model.get_weights()])
    with pytest.raises(SettingsError, match="from_logits=True"):
        _begin(model, tmp_path / "run", store)
    assert not Path(tmp_path / "run").exists()
    _fit(model, tmp_path / "run", store, from_logits=True, tune=False)
    tiles = np.zeros((1, 32, 32, 1), np.uint8)
    values = ls.load_model(tmp_path / "run").probabilities(tiles)
    assert 0 <= values.min() <= values.max() <= 1


def test_a_model_of_other_channels_and_an_interrupted_training_are_refused(facade_folder, tmp_path):
    store = facade_folder / "store"
    model = _network(shape=(64, 64, 3))
    with pytest.raises(SettingsError, match="1 channel"):
        _begin(model, tmp_path / "run", store)
    (tmp_path / "old").mkdir()
    (tmp_path / "old" / "checkpoint.npz").touch()
    with pytest.raises(SettingsError, match="an interrupted run of train"):
        _begin(_network(), tmp_path / "old", store)
