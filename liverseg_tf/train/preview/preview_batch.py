"""A picture of a training batch: augmented tiles with the contours of their regions."""

from pathlib import Path

import numpy as np
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from liverseg_tf.tiles.store import TileStore
from liverseg_tf.train.custom_parts import CustomParts
from liverseg_tf.train.data.mask_codes import NOT_LABELLED
from liverseg_tf.train.data.pipeline import training_batches
from liverseg_tf.train.network.from_settings import make_network_spec
from liverseg_tf.train.preview.contours import COLOURS, draw_contours
from liverseg_tf.train.preview.figure_file import literal, write_figure
from liverseg_tf.train.settings import TrainSettings

_TILES_PER_ROW = 4
_NAMES_PER_ROW = 6
_TILE_INCHES = 2.5


def write_batch_preview(store: TileStore, settings: TrainSettings, path: Path) -> None:
    """Draw the first batch of a run after augmentation; of the context, only the middle slice.

    Args:
        store: Store with the tiles and the split of the cases.
        settings: Settings of the run.
        path: Path of the picture.

    Raises:
        LiverSegError: If no training case contains a region, or the file cannot be written.
    """
    network = make_network_spec(store, settings)
    sampler = CustomParts().make_sampler(store, network, settings)
    image, truth = map(np.asarray, next(training_batches(sampler, settings)))
    # the first window of the middle slice
    channel = image.shape[-1] // 2 // network.tiles.channels * network.tiles.channels
    write_figure(draw_tiles(image[..., channel], truth, settings.learnt_regions.names), path)


def draw_tiles(tiles: np.ndarray, truth: np.ndarray, region_names: tuple[str, ...]) -> Figure:
    """Draw tiles in a grid, each with the contours of its regions.

    Args:
        tiles: (tiles, h, w), 0..255.
        truth: Ground truth (tiles, h, w, regions), 0 or 1, or -1 where a region is not labelled.
        region_names: Names of the regions for the legend.
    """
    columns = min(len(tiles), _TILES_PER_ROW)
    rows = -(-len(tiles) // columns)
    figure = Figure(
        figsize=(_TILE_INCHES * columns, _TILE_INCHES * rows + 0.4), layout="constrained"
    )
    for number, tile in enumerate(tiles):
        axes = figure.add_subplot(rows, columns, number + 1)
        axes.imshow(tile, cmap="gray", vmin=0, vmax=255, interpolation="nearest")
        axes.axis("off")
        draw_contours(axes, truth[number])
        not_labelled = [
            literal(name)
            for region, name in enumerate(region_names)
            if (truth[number, ..., region] == NOT_LABELLED).all()
        ]
        if not_labelled:
            axes.set_title(f"not labelled: {', '.join(not_labelled)}", fontsize=7, wrap=True)
    _draw_legend(figure, region_names)
    return figure


def _draw_legend(figure: Figure, region_names: tuple[str, ...]) -> None:
    lines = [
        Line2D([], [], color=COLOURS[n % len(COLOURS)], label=literal(name))
        for n, name in enumerate(region_names)
    ]
    figure.legend(
        handles=lines,
        loc="outside lower center",
        ncols=min(len(region_names), _NAMES_PER_ROW),
        frameon=False,
    )
