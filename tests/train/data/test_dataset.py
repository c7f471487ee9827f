import itertools

import keras
import numpy as np
import pytest
import tensorflow as tf

from liverseg_tf.ct.regions import LIVER_REGIONS
from liverseg_tf.model.spec import NetworkSpec
from liverseg_tf.train.data.dataset import AugmentingModel, training_dataset
from liverseg_tf.train.data.pipeline import training_batches
from liverseg_tf.train.data.sampling import BatchSampler
from liverseg_tf.train.settings import TrainSettings


def _sampler(store):
    return BatchSampler(store, store.split["train"], NetworkSpec(store.spec), 4, 0.5)


@pytest.mark.parametrize("augment", [0.0, pytest.param(1.0, marks=pytest.mark.slow)])
def test_fit_trains_on_the_batches_of_the_learner(blob_store, augment):
    sampler = _sampler(blob_store)
    settings = TrainSettings(batch_size=4, augment=augment, seed=2)
    dataset = training_dataset(sampler, settings, first_step=3)
    assert [spec.dtype for spec in dataset.element_spec[:2]] == [tf.uint8, tf.uint8]

    seen = []

    def loss(truth, found):
        seen.append((np.asarray(truth), np.asarray(found)))
        return keras.losses.binary_crossentropy(truth, found)

    inputs = keras.Input((48, 48, 1))
    outputs = keras.layers.Conv2D(len(LIVER_REGIONS), 1, activation="sigmoid")(inputs / 255)
    network = keras.Model(inputs, outputs)
    before = [np.asarray(weight) for weight in network.weights]
    model = AugmentingModel(network, LIVER_REGIONS)
    model.compile("sgd", loss, run_eagerly=True)
    history = model.fit(dataset, steps_per_epoch=2, shuffle=False, verbose=0)

    assert np.isfinite(history.history["loss"]).all()
    expected = list(itertools.islice(training_batches(sampler, settings, 3), 2))
    for (truth, _), (_, regions) in zip(seen, expected, strict=True):
        np.testing.assert_array_equal(truth, np.asarray(regions))
    # the images: the first prediction, with the weights before the step
    kernel, bias = before
    logits = np.asarray(expected[0][0]) / 255 @ kernel[0, 0] + bias
    np.testing.assert_allclose(seen[0][1], 1 / (1 + np.exp(-logits)), atol=1e-5)
    assert (np.asarray(network.weights[0]) != kernel).any()  # the network itself is trained
