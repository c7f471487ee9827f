import numpy as np
import pytest
import tensorflow as tf

from liverseg_tf.train.data.random import BatchRandom, BatchSlice

SEED = np.array([1, 2], np.int32)


def _draws(first=0, count=64, batch=64, seed=SEED):
    return BatchRandom(seed, BatchSlice(first, count, batch))


def test_numbers_are_in_their_ranges_and_differ_between_tiles_and_calls():
    draws = _draws(count=512, batch=512)
    first, second = draws.uniform(-2, 3).numpy(), draws.uniform(-2, 3).numpy()
    assert first.min() >= -2
    assert first.max() <= 3
    assert len(np.unique(first)) > 500
    assert abs(np.corrcoef(first, second)[0, 1]) < 0.2
    factors = np.exp(draws.log_uniform(0.5, 2).numpy())
    assert np.median(factors) == pytest.approx(1, abs=0.1)
    assert draws.coin(0.25).numpy().mean() == pytest.approx(0.25, abs=0.06)
    fields = draws.normal((30, 20)).numpy()
    assert fields.shape == (512, 30, 20)
    assert fields.std() == pytest.approx(1, abs=0.02)
    assert draws.shared(0, 1).shape == ()


def test_the_same_seed_draws_the_same_and_another_one_does_not():
    assert (_draws().uniform(0, 1).numpy() == _draws().uniform(0, 1).numpy()).all()
    other = _draws(seed=np.array([1, 3], np.int32))
    assert (_draws().uniform(0, 1).numpy() != other.uniform(0, 1).numpy()).any()


def _some(draws):
    return draws.sometimes(
        0.4,
        lambda d, v: v + d.normal((2,)) + d.uniform(5, 6)[:, None],
        tf.zeros((draws._rows.count, 2)),
    )


def test_a_tile_draws_the_same_in_any_part_of_the_batch():
    whole = _draws()
    expected = [whole.uniform(0, 1), whole.normal((3, 3)), _some(whole)]
    for first, count in ((0, 32), (32, 32), (10, 5)):
        part = _draws(first, count)
        found = [part.uniform(0, 1), part.normal((3, 3)), _some(part)]
        for one, of_whole in zip(found, expected, strict=True):
            np.testing.assert_allclose(one, of_whole[first : first + count], rtol=1e-6)


def test_some_tiles_are_changed_and_the_others_stay():
    values = _some(_draws(count=500, batch=500)).numpy()
    changed = (values != 0).any(axis=1)
    assert changed.mean() == pytest.approx(0.4, abs=0.08)
    assert (values[changed] > 0).mean() > 0.99


@pytest.mark.parametrize(("chance", "left"), [(0.0, [0, 1]), (1.0, [1, 0])])
def test_none_or_all_of_several_tensors(chance, left):
    pair = (tf.zeros((4, 2)), tf.ones((4, 3)))
    found = _draws(count=4, batch=4).sometimes(
        chance, lambda d, two, given: (two[0] + given, two[1] * 0), pair, tf.ones((4, 1))
    )
    assert [float(tf.reduce_mean(one)) for one in found] == left
