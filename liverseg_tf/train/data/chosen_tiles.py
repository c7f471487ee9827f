"""Expensive transforms, which are computed for one tile of each block of a batch only."""

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
from keras import ops, tree

# Each tile of a block is chosen with equal probability, and the transform is applied with this
# multiple of its probability, which therefore is at most 1 / BLOCK.
BLOCK = 4


class ChosenTiles(NamedTuple):
    """One tile of each block, to which a transform is applied.

    Args:
        tile: (blocks,) int32 index of the chosen tile; 0 if the block's lies in another shard.
        value: Parameters of the transform: an array or a named tuple of arrays, float32 or int32;
            the first axis of each are the blocks.
        block: (tiles,) int32 block of each tile.
        applies: (tiles,) bool, whether the transform is applied to the tile.
    """

    tile: np.ndarray
    value: Any
    block: np.ndarray
    applies: np.ndarray


def choose_tiles(
    rng: np.random.Generator,
    count: int,
    positions: slice,
    probability: float,
    draw: Callable[[np.random.Generator, int], Any],
) -> ChosenTiles:
    """Choose the tiles of a transform, and draw its parameters for each of them.

    Args:
        rng: Generator of the batch.
        count: Number of tiles in the batch.
        positions: Positions in the batch of the tiles for which parameters are returned.
        probability: Fraction of the tiles to which the transform is applied, at most 1 / BLOCK.
        draw: Function of the generator and a number of blocks; it returns their parameters.
    """
    first, stop, _ = positions.indices(count)
    starts = np.arange(0, count, BLOCK)
    sizes = np.minimum(BLOCK, count - starts)
    chosen = starts + (rng.random(len(starts)) * sizes).astype(int)
    value = draw(rng, len(starts))
    active = rng.random(len(starts)) < probability * sizes
    # the blocks of these positions; a part that does not start at a block has one more
    blocks = slice(first // BLOCK, -(-stop // BLOCK))
    value = tree.map_structure(lambda array: _narrow(array[blocks]), value)
    chosen, active = chosen[blocks], active[blocks]
    here = (chosen >= first) & (chosen < stop)
    block = np.arange(first, stop) // BLOCK - first // BLOCK
    applies = (chosen[block] == np.arange(first, stop)) & active[block]
    tile = np.where(here, chosen - first, 0)
    return ChosenTiles(tile.astype(np.int32), value, block.astype(np.int32), applies)


def _narrow(array: np.ndarray) -> np.ndarray:
    return array.astype(np.int32 if array.dtype.kind == "i" else np.float32)


def transform_chosen(image, chosen: ChosenTiles, transform, mask=None):
    """Apply a transform to the chosen tiles; all other tiles stay unchanged.

    Args:
        image: (tiles, h, w, channels) float32.
        chosen: The tiles, with the parameters of the transform.
        transform: Function of (blocks, h, w, channels), the parameters and, if there is a mask,
            the (blocks, h, w, 1) mask.
        mask: (tiles, h, w, 1) for transforms that depend on it.
    """
    masks = () if mask is None else (ops.take(mask, chosen.tile, axis=0),)
    transformed = transform(ops.take(image, chosen.tile, axis=0), chosen.value, *masks)
    applies = ops.reshape(chosen.applies, (-1, 1, 1, 1))
    return ops.where(applies, ops.take(transformed, chosen.block, axis=0), image)
