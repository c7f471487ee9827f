"""Random numbers for the tiles of a batch: a function of the seed, the draw and the tile alone."""

import math
from collections.abc import Callable
from dataclasses import dataclass

import tensorflow as tf


@dataclass(frozen=True)
class BatchSlice:
    """The tiles of a batch that are here.

    Args:
        first: of them.
        count: how many.
        batch: tiles of the whole batch.
    """

    first: int
    count: int
    batch: int


class BatchRandom:
    """Every call is a stream of its own, in which each tile has its place.

    Hosts that make parts of a batch hence draw for their tiles what one host would.

    Args:
        seed: (2,) int32.
        rows: the tiles.
        chosen: of `rows`, the tiles that are drawn for; None for all.
        streams: numbers of streams, shared with the draws that this one was taken from.
    """

    def __init__(self, seed, rows: BatchSlice, chosen=None, streams: list[int] | None = None):
        self._seed, self._rows, self._chosen = seed, rows, chosen
        self._streams = [0] if streams is None else streams

    def uniform(self, low: float, high: float):
        """(tiles,) float32."""
        drawn = tf.random.stateless_uniform([self._rows.batch], self._stream(), low, high)
        return self._mine(drawn[self._rows.first : self._rows.first + self._rows.count])

    def log_uniform(self, low: float, high: float):
        """(tiles,) float32, the natural logarithm of factors."""
        return self.uniform(math.log(low), math.log(high))

    def coin(self, chance: float):
        """(tiles,) float32: 1 with this chance, else 0."""
        return tf.cast(self.uniform(0, 1) < chance, tf.float32)

    def shared(self, low: float, high: float):
        """() float32, the same for all tiles."""
        return tf.random.stateless_uniform([], self._stream(), low, high)

    def normal(self, shape):
        """(tiles, *shape) float32."""
        stream = self._stream()
        places = self._mine(self._rows.first + tf.range(self._rows.count))

        def field(place):
            seed = tf.random.experimental.stateless_fold_in(stream, place)
            return tf.random.stateless_normal(shape, seed)

        return tf.map_fn(field, places, fn_output_signature=tf.float32)

    def sometimes(self, chance: float, change: Callable, value, *given):
        """Change some of the tiles.

        Args:
            chance: of each tile.
            change: takes draws for the chosen tiles, their `value` and what is `given` of them;
                returns what takes the place of `value`.
            value: a tensor (tiles, ...), or several.
            given: tensors (tiles, ...).

        Returns:
            What `value` is, changed in the chosen tiles.
        """
        chosen = tf.cast(tf.where(self.uniform(0, 1) < chance)[:, 0], tf.int32)

        def take(tensor):
            return tf.gather(tensor, chosen)

        def put(tensor, part):
            return tf.tensor_scatter_nd_update(tensor, chosen[:, None], part)

        def changed():
            draws = BatchRandom(self._seed, self._rows, chosen, self._streams)
            parts = change(draws, tf.nest.map_structure(take, value), *map(take, given))
            return tf.nest.map_structure(put, value, parts)

        return tf.cond(tf.size(chosen) > 0, changed, lambda: value)

    def _mine(self, values):
        return values if self._chosen is None else tf.gather(values, self._chosen)

    def _stream(self):
        self._streams[0] += 1
        return tf.random.experimental.stateless_fold_in(self._seed, self._streams[0])
