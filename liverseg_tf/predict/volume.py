"""Stage 3 for one volume: slices through the network, labels back on the scanner's grid."""

from collections.abc import Callable
from dataclasses import replace
from typing import Protocol

import numpy as np

from liverseg_tf.ct.orientation import Orientation, to_canonical
from liverseg_tf.ct.volume import Volume
from liverseg_tf.tiles.grid import TileGrid
from liverseg_tf.tiles.network import NetworkSpec

THRESHOLD = 0.5


class Predictor(Protocol):
    """Anything that gives probabilities for tiles: a run, an export, a server."""

    network: NetworkSpec

    def probabilities(self, tiles: np.ndarray) -> np.ndarray:
        """(batch, h, w, channels) uint8 to (batch, h, w, regions) float32."""


def predict_volume(
    image: Volume,
    predictor: Predictor,
    batch_size: int = 8,
    on_slices: Callable[[int], None] = lambda count: None,
) -> Volume:
    """Segment a volume, slab by slab.

    Whole slices go through the network, since it is fully convolutional; their probabilities
    return to the native in-plane grid and become labels before the next slab is read. Only the
    labels of the whole volume are held, never its probabilities.

    Args:
        image: HU or MR units, any axis order.
        predictor: of the slices.
        batch_size: slices at a time.
        on_slices: called with the number of slices that a slab held.

    Returns:
        uint8 labels on the image's grid, with its header.
    """
    network = predictor.network
    canonical = to_canonical(image)
    grid = TileGrid.of(canonical, replace(network.tiles, tile_shape=None))
    labels = np.empty(canonical.array.shape, np.uint8)
    for start in range(0, len(labels), batch_size):
        stop = min(start + batch_size, len(labels))
        tiles = _tiles(canonical.array, range(start, stop), grid, network)
        # the last batch is filled up: one shape, one compiled function
        filled = np.zeros((batch_size, *network.padded(grid.shape), network.channels), np.uint8)
        filled[: len(tiles), : grid.shape[0], : grid.shape[1]] = tiles
        found = predictor.probabilities(filled)[: len(tiles), : grid.shape[0], : grid.shape[1]]
        labels[start:stop] = _labels(found, grid, network)
        on_slices(stop - start)
    native = Orientation.of(image.affine).from_canonical(labels)
    return image.with_array(np.ascontiguousarray(native))


def _tiles(array: np.ndarray, chosen: range, grid: TileGrid, network: NetworkSpec) -> np.ndarray:
    """(batch, h, w, channels) uint8 of the chosen slices with their neighbours."""
    reach = network.context // 2
    first, last = max(chosen.start - reach, 0), min(chosen.stop + reach, len(array))
    cut = grid.cut_image(array[first:last])
    # beyond the volume's ends its last slice is repeated, which is where `cut` ends as well
    return np.stack([network.stack(cut, z - first) for z in chosen])


def _labels(probabilities: np.ndarray, grid: TileGrid, network: NetworkSpec) -> np.ndarray:
    """Native labels (batch, row, col) uint8 of probabilities (batch, h, w, regions)."""
    labels = np.zeros((len(probabilities), *grid.native_shape), np.uint8)
    # the way back averages with weights that sum to 1: it never exceeds the tile's maximum
    busy = np.flatnonzero(probabilities.max(axis=(1, 2, 3)) > THRESHOLD)
    if len(busy):
        masks = [
            grid.restore_values(probabilities[busy, ..., region]) > THRESHOLD
            for region in range(probabilities.shape[-1])
        ]
        labels[busy] = network.regions.labels_of(np.stack(masks, axis=-1))
    return labels
