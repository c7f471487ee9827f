"""Random numbers for the tiles of a batch: a pure function of the seed, the call and the tile."""

import math
from collections.abc import Callable
from dataclasses import dataclass

import tensorflow as tf


@dataclass(frozen=True)
class BatchSlice:
    """The tiles of a batch that this host processes.

    Args:
        first: Position in the batch of the first of these tiles.
        count: Number of these tiles.
        batch_size: Number of tiles in the whole batch.
    """

    first: int
    count: int
    batch_size: int


class BatchRandom:
    """Stateless random numbers for each tile of a batch.

    Every call is an independent stream, in which each tile has its fixed place. Hosts that
    process different parts of a batch therefore draw the same numbers for a tile as a single
    host would.

    Args:
        seed: (2,) int32.
        batch_slice: Tiles for which numbers are drawn.
        subset: (n,) int32 indices into these tiles. Numbers are drawn for this subset only;
            None draws them for all tiles.
        stream_count: One-element list with the number of streams so far. Objects for a subset
            share it with the object for all tiles, so that no stream is used twice.
    """

    def __init__(
        self, seed, batch_slice: BatchSlice, subset=None, stream_count: list[int] | None = None
    ):
        self._seed, self._batch_slice, self._subset = seed, batch_slice, subset
        self._stream_count = [0] if stream_count is None else stream_count

    def uniform(self, low: float, high: float):
        """Draw one number per tile, (tiles,) float32, uniformly from [low, high)."""
        part = self._batch_slice
        numbers = tf.random.stateless_uniform([part.batch_size], self._next_stream(), low, high)
        return self._take_subset(numbers[part.first : part.first + part.count])

    def uniform_log(self, low: float, high: float):
        """Draw the logarithm of a factor per tile, (tiles,) float32, from [ln(low), ln(high))."""
        return self.uniform(math.log(low), math.log(high))

    def bernoulli(self, probability: float):
        """Draw 1 with this probability, else 0, for each tile: (tiles,) float32."""
        return tf.cast(self.uniform(0, 1) < probability, tf.float32)

    def uniform_scalar(self, low: float, high: float):
        """Draw one number, () float32, that all tiles share."""
        return tf.random.stateless_uniform([], self._next_stream(), low, high)

    def normal(self, shape):
        """Draw standard normal numbers: (tiles, *shape) float32."""
        stream = self._next_stream()
        part = self._batch_slice
        positions = self._take_subset(part.first + tf.range(part.count))

        def draw_tile(position):
            seed = tf.random.experimental.stateless_fold_in(stream, position)
            return tf.random.stateless_normal(shape, seed)

        return tf.map_fn(draw_tile, positions, fn_output_signature=tf.float32)

    def apply_to_subset(self, probability: float, transform: Callable, value, *arguments):
        """Apply a transform to a random subset of the tiles.

        Args:
            probability: Probability that a tile belongs to the subset.
            transform: Function of a `BatchRandom` for the subset, `value` of the subset and
                `arguments` of the subset. It returns the new value of the subset.
            value: Tensor (tiles, ...), or a nested structure of such tensors.
            arguments: Further tensors (tiles, ...) that the transform reads.

        Returns:
            `value` with the tiles of the subset transformed and all others unchanged.
        """
        subset = tf.cast(tf.where(self.uniform(0, 1) < probability)[:, 0], tf.int32)

        def gather(tensor):
            return tf.gather(tensor, subset)

        def scatter(tensor, transformed):
            return tf.tensor_scatter_nd_update(tensor, subset[:, None], transformed)

        def transform_subset():
            random = BatchRandom(self._seed, self._batch_slice, subset, self._stream_count)
            transformed = transform(
                random, tf.nest.map_structure(gather, value), *map(gather, arguments)
            )
            return tf.nest.map_structure(scatter, value, transformed)

        return tf.cond(tf.size(subset) > 0, transform_subset, lambda: value)

    def _take_subset(self, values):
        return values if self._subset is None else tf.gather(values, self._subset)

    def _next_stream(self):
        self._stream_count[0] += 1
        return tf.random.experimental.stateless_fold_in(self._seed, self._stream_count[0])
