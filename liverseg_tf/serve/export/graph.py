"""Intensity window and in-plane resampling as TensorFlow ops, so that a server takes raw slices.

`ct/resample.py`, `ct/intensity.py` and `tiles/transform.py` define these operations. Sums are
computed here in the same order and precision, so that the results of a server and of local
prediction are bitwise equal. Only core ops are used, which every TensorFlow Serving supports.
"""

from collections.abc import Sequence
from typing import NamedTuple

import tensorflow as tf

from liverseg_tf.tiles.transform import MAX_SLICE_SIDE

_NEGLIGIBLE = 1e-7


class PlaneGeometry(NamedTuple):
    """The shapes before and after resampling, and the ratio of the spacings.

    Args:
        source: (2,) int32, rows and columns of the native slices.
        target: (2,) int32, rows and columns at the spacing of the network's tiles.
        ratio: (2,) float64, target spacing divided by native spacing.
    """

    source: tf.Tensor
    target: tf.Tensor
    ratio: tf.Tensor

    @classmethod
    def from_slices(
        cls, slices: tf.Tensor, spacing_mm: tf.Tensor, target_mm: float | None
    ) -> "PlaneGeometry":
        """Create the geometry of slices. The graph asserts that shape and spacing are valid.

        Args:
            slices: (batch, rows, cols, n).
            spacing_mm: (2,) float64, (row, col).
            target_mm: Spacing of the network's tiles. None keeps the native spacing.
        """
        source = tf.shape(slices)[1:3]
        valid = tf.reduce_all(tf.math.is_finite(spacing_mm) & (spacing_mm > 0))
        message = "Expected a spacing above 0 mm along rows and columns. Received:"
        check = tf.debugging.Assert(valid, [message, spacing_mm])
        with tf.control_dependencies([check]):
            ratio = tf.ones(2, tf.float64) if target_mm is None else target_mm / spacing_mm
        one = tf.constant(1, tf.float64)
        target = tf.maximum(one, tf.round(tf.cast(source, tf.float64) / ratio))
        largest = tf.reduce_max(tf.concat([target, tf.cast(source, tf.float64)], 0))
        message = (
            f"Expected slices of 1 to {MAX_SLICE_SIDE} pixels per side, before and after "
            "resampling. Received this shape and this spacing in mm:"
        )
        valid = (largest <= MAX_SLICE_SIDE) & (tf.reduce_min(source) > 0)
        with tf.control_dependencies([tf.debugging.Assert(valid, [message, source, spacing_mm])]):
            return cls(source, tf.cast(target, tf.int32), tf.identity(ratio))

    @property
    def inverse(self) -> "PlaneGeometry":
        """The geometry of resampling back to the native slices."""
        return PlaneGeometry(self.target, self.source, 1 / self.ratio)


def resample(slices: tf.Tensor, plane: PlaneGeometry) -> tf.Tensor:
    """Resample slices, first along the rows and then along the columns.

    The result equals that of `PlaneResampler.apply`.

    Args:
        slices: (batch, rows, cols, n) float32 of the source shape.
        plane: Geometry of the resampling.

    Returns:
        (batch, rows, cols, n) float32 of the target shape.
    """
    for axis in (0, 1):
        taps = _resampling_taps(plane.source[axis], plane.target[axis], plane.ratio[axis])
        # the transpose makes columns contiguous for the second pass, and then restores the order
        slices = tf.transpose(_weighted_sum(slices, *taps), [0, 2, 1, 3])
    return slices


def apply_window(slices: tf.Tensor, lower: tf.Tensor, scale: tf.Tensor) -> tf.Tensor:
    """Map intensity windows to integers of 0..255, as `to_uint8` does.

    Args:
        slices: (batch, rows, cols, context) float32, HU or MR units.
        lower: (batch, windows) float32, intensity that becomes 0.
        scale: (batch, windows) float32, steps per unit of intensity.

    Returns:
        (batch, rows, cols, context * windows) float32, integer values.
    """
    lower, scale = lower[:, None, None, None], scale[:, None, None, None]
    values = (slices[..., None] - lower) * scale + 0.5
    values = tf.floor(tf.minimum(tf.maximum(values, 0.0), 255.0))
    channels = slices.shape[-1] * lower.shape[-1]
    return tf.reshape(values, tf.concat([tf.shape(slices)[:3], [channels]], 0))


def pad(tiles: tf.Tensor, stride: int) -> tf.Tensor:
    """Pad (batch, h, w, n) with zeros at the bottom and right to multiples of the stride."""
    missing = -tf.shape(tiles)[1:3] % stride
    return tf.pad(tiles, [(0, 0), (0, missing[0]), (0, missing[1]), (0, 0)])


def to_labels(
    probabilities: tf.Tensor, labels: Sequence[int], thresholds: Sequence[float]
) -> tf.Tensor:
    """Convert probabilities to a label map. Where regions overlap, the later region is written.

    Args:
        probabilities: (batch, rows, cols, regions) float32.
        labels: Label that is written for each region.
        thresholds: Probability above which a voxel belongs to each region.

    Returns:
        (batch, rows, cols) uint8.
    """
    mask = tf.zeros(tf.shape(probabilities)[:3], tf.uint8)
    for region, (value, threshold) in enumerate(zip(labels, thresholds, strict=True)):
        inside = probabilities[..., region] > threshold
        mask = tf.where(inside, tf.constant(value, tf.uint8), mask)
    return mask


def _resampling_taps(
    source: tf.Tensor, target: tf.Tensor, ratio: tf.Tensor
) -> tuple[tf.Tensor, tf.Tensor]:
    """Compute the entries of `resampling_matrix`.

    Returns:
        Source indices, (target, taps) int32, and weights, (target, taps) float32.
    """
    width = tf.maximum(tf.constant(1, tf.float64), ratio)
    lengths = tf.cast(source, tf.float64), tf.cast(target, tf.float64)
    offsets = tf.range(lengths[1], dtype=tf.float64) - (lengths[1] - 1) / 2
    centres = offsets * ratio + (lengths[0] - 1) / 2
    centres = tf.minimum(tf.maximum(centres, tf.constant(0, tf.float64)), lengths[0] - 1)
    # only pixels under the triangle filter, because every tap costs a pass over the slices
    first = tf.cast(tf.floor(centres - width), tf.int32) + 1
    taps = first[:, None] + tf.range(tf.cast(tf.math.ceil(2 * width), tf.int32))
    weights = 1 - tf.abs(tf.cast(taps, tf.float64) - centres[:, None]) / width
    inside = (taps >= 0) & (taps < source) & (weights > 0)
    weights = tf.where(inside, weights, tf.zeros_like(weights))
    weights /= tf.reduce_sum(weights, axis=1, keepdims=True)
    weights = tf.where(weights > _NEGLIGIBLE, weights, tf.zeros_like(weights))
    return tf.clip_by_value(taps, 0, source - 1), tf.cast(weights, tf.float32)


def _weighted_sum(slices: tf.Tensor, indices: tf.Tensor, weights: tf.Tensor) -> tf.Tensor:
    """Sum weighted rows, one tap after another as scipy does; a matrix product rounds differently.

    Args:
        slices: (batch, rows, cols, n) float32.
        indices: (target, taps) int32 rows.
        weights: (target, taps) float32.

    Returns:
        (batch, target, cols, n) float32.
    """

    def add(tap, total):
        rows = tf.gather(slices, indices[:, tap], axis=1)
        return tap + 1, total + weights[:, tap, None, None] * rows

    shape, (target, count) = tf.shape(slices), tf.unstack(tf.shape(indices))
    static = [None, None, None, slices.shape[-1]]
    start = tf.zeros([shape[0], target, shape[2], slices.shape[-1]])
    _, total = tf.while_loop(
        lambda tap, total: tap < count,
        add,
        (0, start),
        shape_invariants=(tf.TensorShape([]), tf.TensorShape(static)),
        parallel_iterations=1,
    )
    return total
