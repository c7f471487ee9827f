"""Resampling in the graph is bitwise equal to that of `ct/resample.py`."""

import numpy as np
import pytest
import tensorflow as tf

from liverseg_tf.ct.resample import PlaneResampler
from liverseg_tf.serve.export import graph


@tf.function(
    input_signature=[
        tf.TensorSpec((None, None, None, 2), tf.float32),
        tf.TensorSpec((2,), tf.float64),
        tf.TensorSpec((), tf.float64),
    ]
)
def _there_and_back(slices, spacing_mm, target_mm):
    plane = graph.PlaneGeometry.from_slices(slices, spacing_mm, target_mm)
    there = graph.resample(slices, plane)
    return there, graph.resample(there, plane.inverse)


@pytest.mark.parametrize(
    ("shape", "spacing", "target"),
    [
        ((64, 50), (0.7, 0.8), 1.5),
        ((128, 96), (0.703125, 0.9765625), 1.5),
        ((33, 47), (5.0, 6.5), 1.5),
        ((40, 40), (1.5, 1.5), 1.5),
        ((300, 20), (0.1, 3.7), 1.5),
        ((1, 7), (0.7, 0.7), 1.5),
        ((77, 99), (float(np.float32(0.7)), 0.81), 4.0),
    ],
)
def test_both_directions_equal_the_resampling_matrices(shape, spacing, target):
    values = np.random.default_rng(0).integers(-1024, 3072, (3, *shape, 2)).astype(np.float32)
    there, back = _there_and_back(values, np.array(spacing), target)
    resampler = PlaneResampler.to_spacing(shape, spacing, (target, target))
    for channel in range(2):
        expected = resampler.apply(values[..., channel])
        np.testing.assert_array_equal(there[..., channel], expected)
        np.testing.assert_array_equal(back[..., channel], resampler.inverse.apply(expected))
