import numpy as np
import pytest

import liverseg_tf as ls
from liverseg_tf.train.network import losses


@pytest.mark.parametrize(
    ("name", "function"),
    [
        ("Dice", losses.batch_dice_loss),
        ("CrossEntropy", losses.cross_entropy),
        ("DiceAndCrossEntropy", losses.dice_and_cross_entropy),
        ("DiceAndTopCrossEntropy", losses.dice_and_top_cross_entropy),
        ("FocalTversky", losses.focal_tversky),
    ],
)
def test_losses_of_probabilities_and_of_logits_are_those_of_training(name, function):
    rng = np.random.default_rng(0)
    truth = rng.integers(0, 2, (2, 16, 16, 2)).astype(np.float32)
    logits = (3 * rng.normal(size=truth.shape)).astype(np.float32)
    expected = float(function(truth, logits))
    loss = getattr(ls.losses, name)
    assert float(loss(from_logits=True)(truth, logits)) == pytest.approx(expected, rel=1e-6)
    found = float(loss()(truth, 1 / (1 + np.exp(-logits))))
    assert found == pytest.approx(expected, rel=1e-4)
    config = loss(from_logits=True).get_config()
    assert loss.from_config(config).from_logits


def test_every_loss_of_train_is_offered():
    functions = {getattr(ls.losses, name)._function for name in ls.losses.__all__}
    assert functions >= set(losses.LOSSES.values())


def test_a_loss_in_a_graph_for_batches_of_any_size():
    import tensorflow as tf

    loss = ls.losses.DiceAndTopCrossEntropy()
    shape = tf.TensorSpec((None, 16, 16, 2))
    graph = tf.function(lambda truth, found: loss(truth, found), input_signature=[shape, shape])
    rng = np.random.default_rng(0)
    truth = rng.integers(0, 2, (3, 16, 16, 2)).astype(np.float32)
    found = rng.random(truth.shape).astype(np.float32)
    assert float(graph(truth, found)) == pytest.approx(float(loss(truth, found)), rel=1e-4)
