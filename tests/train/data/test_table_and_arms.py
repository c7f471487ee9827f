import numpy as np
from tensors import apply_to_arrays

from liverseg_tf.train.data.table_and_arms import (
    TableAndArms,
    add_table_and_arms,
    draw_table_and_arms,
)

SIZE = 64


def _draw(count, strength=1.0):
    return TableAndArms(
        *map(np.float32, draw_table_and_arms(np.random.default_rng(0), count, strength))
    )


def test_objects_are_drawn_in_air_near_the_edges_and_the_body_stays():
    image = np.zeros((100, SIZE, SIZE, 2), np.float32)
    body = np.zeros((SIZE, SIZE), bool)
    body[8:56, 4:60] = True
    image[:, body] = 0.4
    drawn = apply_to_arrays(add_table_and_arms, image, _draw(100))
    np.testing.assert_array_equal(drawn[:, body], image[:, body])
    assert 0 <= drawn.min() < drawn.max() <= 1
    shown = (drawn[..., 0] > 0.1) & ~body
    assert 0.8 < shown.any(axis=(1, 2)).mean() < 1
    empty = apply_to_arrays(add_table_and_arms, np.zeros_like(image), _draw(100))[..., 0] > 0.1
    assert not empty[:, 16:48, 16:48].any()
    assert empty[:, :, :8].any()
    assert empty[:, :, -8:].any()
    assert empty[:, 48:].any()


def test_strength_0_draws_nothing():
    image = np.zeros((20, SIZE, SIZE, 1), np.float32)
    np.testing.assert_array_equal(apply_to_arrays(add_table_and_arms, image, _draw(20, 0.0)), image)
