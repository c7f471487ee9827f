import math

import numpy as np
import pytest

import liverseg_tf as ls
from liverseg_tf.ct.regions import LIVER_REGIONS
from liverseg_tf.errors import SettingsError
from liverseg_tf.model.spec import NetworkSpec
from liverseg_tf.train.session.validation import Validator


def _predict(tiles):
    """Probabilities that depend on the tile alone, and contradict each other in some voxels."""
    values = np.asarray(tiles, np.float32)[..., 0] / 255
    return np.stack([values, 1.2 * values - 0.3], axis=-1).clip(0, 1)


@pytest.mark.parametrize("region", [None, "liver"])
def test_the_dice_of_cases_is_that_of_the_validation(facade_folder, region):
    store = ls.open_store(facade_folder / "store")
    side = "train"
    store.split["val"] = store.split[side]  # several cases
    names = tuple(store.split["val"])
    scores = Validator(store, names, NetworkSpec(store.spec), 8).score(_predict)
    metric = ls.metrics.CaseDice(store, region=region)
    for image, truth in ls.tile_batches(store, "val", batch_size=3):
        assert math.isnan(float(metric.result()))
        metric.update_state(truth, _predict(image))
    expected = scores.mean_dice if region is None else scores.region_dice[region]
    np.testing.assert_allclose(float(metric.result()), expected, rtol=1e-5)
    metric.update_state(truth, _predict(image))  # a slice that it knows already
    assert math.isnan(float(metric.result()))
    metric.reset_state()
    assert math.isnan(float(metric.result()))


def test_the_dice_of_all_tiles_is_pooled():
    rng = np.random.default_rng(0)
    labels = rng.integers(0, 3, (6, 8, 8))
    found = rng.random((6, 8, 8, 2)).astype(np.float32)
    truth = LIVER_REGIONS.masks(labels.astype(np.uint8))
    metric = ls.metrics.Dice()
    for part in (slice(0, 2), slice(2, 6)):
        metric.update_state(truth[part].astype(np.float32), found[part])
    masks = LIVER_REGIONS.masks(LIVER_REGIONS.labels_of(found > 0.5))
    axes = (0, 1, 2)
    dice = 2 * (truth & masks).sum(axes) / (truth.sum(axes) + masks.sum(axes))
    np.testing.assert_allclose(float(metric.result()), dice.mean(), rtol=1e-5)


def test_an_unknown_region_is_refused():
    with pytest.raises(SettingsError, match="a region of liver, tumour"):
        ls.metrics.Dice(region="spleen")
