import numpy as np
import pytest
import tensorflow as tf

from liverseg_tf.train.data.random import BatchRandom, BatchSlice

SEED = np.array([1, 2], np.int32)


def _random(first=0, count=64, batch=64, seed=SEED):
    return BatchRandom(seed, BatchSlice(first, count, batch))


def test_numbers_are_in_range_and_differ_between_tiles_and_calls():
    random = _random(count=512, batch=512)
    first, second = random.uniform(-2, 3).numpy(), random.uniform(-2, 3).numpy()
    assert first.min() >= -2
    assert first.max() <= 3
    assert len(np.unique(first)) > 500
    assert abs(np.corrcoef(first, second)[0, 1]) < 0.2
    factors = np.exp(random.uniform_log(0.5, 2).numpy())
    assert np.median(factors) == pytest.approx(1, abs=0.1)
    assert random.bernoulli(0.25).numpy().mean() == pytest.approx(0.25, abs=0.06)
    fields = random.normal((30, 20)).numpy()
    assert fields.shape == (512, 30, 20)
    assert fields.std() == pytest.approx(1, abs=0.02)
    assert random.uniform_scalar(0, 1).shape == ()


def test_equal_seeds_give_equal_numbers_and_different_seeds_do_not():
    assert (_random().uniform(0, 1).numpy() == _random().uniform(0, 1).numpy()).all()
    other = _random(seed=np.array([1, 3], np.int32))
    assert (_random().uniform(0, 1).numpy() != other.uniform(0, 1).numpy()).any()


def _change_subset(random):
    return random.apply_to_subset(
        0.4,
        lambda r, value: value + r.normal((2,)) + r.uniform(5, 6)[:, None],
        tf.zeros((random._batch_slice.count, 2)),
    )


def test_a_tile_gets_the_same_numbers_in_any_part_of_the_batch():
    whole = _random()
    expected = [whole.uniform(0, 1), whole.normal((3, 3)), _change_subset(whole)]
    for first, count in ((0, 32), (32, 32), (10, 5)):
        part = _random(first, count)
        numbers = [part.uniform(0, 1), part.normal((3, 3)), _change_subset(part)]
        for actual, whole_batch in zip(numbers, expected, strict=True):
            np.testing.assert_allclose(actual, whole_batch[first : first + count], rtol=1e-6)


def test_a_subset_is_changed_and_the_other_tiles_are_not():
    values = _change_subset(_random(count=500, batch=500)).numpy()
    changed = (values != 0).any(axis=1)
    assert changed.mean() == pytest.approx(0.4, abs=0.08)
    assert (values[changed] > 0).mean() > 0.99


@pytest.mark.parametrize(("probability", "means"), [(0.0, [0, 1]), (1.0, [1, 0])])
def test_a_transform_of_several_tensors_on_no_tile_or_all_tiles(probability, means):
    pair = (tf.zeros((4, 2)), tf.ones((4, 3)))
    result = _random(count=4, batch=4).apply_to_subset(
        probability, lambda r, two, other: (two[0] + other, two[1] * 0), pair, tf.ones((4, 1))
    )
    assert [float(tf.reduce_mean(tensor)) for tensor in result] == means
