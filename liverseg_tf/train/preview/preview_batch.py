"""Tiles with the contours of their regions, as pictures: what a network sees, and finds."""

from pathlib import Path

import numpy as np
from matplotlib.figure import Figure

from liverseg_tf.tiles.store import TileStore
from liverseg_tf.train.data.pipeline import training_batches
from liverseg_tf.train.data.sampling import BatchSampler
from liverseg_tf.train.network.choose import network_spec
from liverseg_tf.train.preview.contours import COLOURS, draw_contours
from liverseg_tf.train.preview.figure_file import write_picture
from liverseg_tf.train.settings import TrainSettings

_IN_A_ROW = 4
_SIDE_INCHES = 2.5


def show_batch(store: TileStore, settings: TrainSettings, path: Path) -> None:
    """Draw the first batch of a run as the network sees it: augmented, its middle slice.

    Args:
        store: of the run.
        settings: of the run.
        path: of the picture.

    Raises:
        LiverSegError: when no training case holds a region, or the file can't be written.
    """
    network = network_spec(store, settings)
    sampler = BatchSampler(
        store, store.split["train"], network, settings.batch_size, settings.foreground_fraction
    )
    image, truth = next(training_batches(sampler, settings).as_numpy_iterator())
    middle = image.shape[-1] // 2 // network.tiles.channels * network.tiles.channels
    write_picture(draw_tiles(image[..., middle], truth, network.regions.names), path)


def draw_tiles(tiles: np.ndarray, truth: np.ndarray, names: tuple[str, ...]) -> Figure:
    """Tiles in a grid, each with the contours of its regions.

    Args:
        tiles: (tiles, h, w), 0..255.
        truth: (tiles, h, w, regions), 0 or 1.
        names: of the regions.
    """
    columns = min(len(tiles), _IN_A_ROW)
    rows = -(-len(tiles) // columns)
    figure = Figure(
        figsize=(_SIDE_INCHES * columns, _SIDE_INCHES * rows + 0.4), layout="constrained"
    )
    for number, tile in enumerate(tiles):
        axes = figure.add_subplot(rows, columns, number + 1)
        axes.imshow(tile, cmap="gray", vmin=0, vmax=255, interpolation="nearest")
        axes.axis("off")
        draw_contours(axes, truth[number])
    _draw_legend(figure, names)
    return figure


def _draw_legend(figure: Figure, names: tuple[str, ...]) -> None:
    from matplotlib.lines import Line2D

    lines = [
        Line2D([], [], color=COLOURS[n % len(COLOURS)], label=name) for n, name in enumerate(names)
    ]
    figure.legend(handles=lines, loc="outside lower center", ncols=len(names), frameon=False)
