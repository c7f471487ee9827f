"""A picture of the transforms of a run: each one alone, with several random numbers."""

from dataclasses import replace
from pathlib import Path

import numpy as np
from matplotlib.figure import Figure

from liverseg_tf.errors import SettingsError
from liverseg_tf.tiles.store import TileStore
from liverseg_tf.train.custom_parts import CustomParts
from liverseg_tf.train.data.augmentation import augment_batch
from liverseg_tf.train.data.draws import BatchDraws
from liverseg_tf.train.data.region_maps import region_groups
from liverseg_tf.train.network.from_settings import make_network_spec
from liverseg_tf.train.preview.figure_file import write_figure
from liverseg_tf.train.settings import TrainSettings

EXAMPLES = 4  # of each transform
_COPIES = 8  # tiles that are augmented at once
_MAX_BATCHES = 40  # enough for a transform of one tile in seven
_VISIBLE = 0.2  # mean difference of grey values from which a tile counts as changed
_TILE_INCHES = 1.6


def write_transform_preview(store: TileStore, settings: TrainSettings, path: Path) -> None:
    """Draw what each transform alone does to a tile of the first batch, one transform in a row.

    The tile is the one with the most labelled pixels; of the context, only the middle slice is
    drawn.

    Args:
        store: Store with the tiles and the split of the cases.
        settings: Settings of the run.
        path: Path of the picture.

    Raises:
        SettingsError: If there is no augmentation.
        LiverSegError: If no training case contains a region, or the file cannot be written.
    """
    if not settings.augment:
        raise SettingsError("Expected augment above 0 for a picture of the transforms. Received 0.")
    network = make_network_spec(store, settings)
    sampler = CustomParts().make_sampler(store, network, settings)
    groups, windows = (
        region_groups(sampler.codes.table, sampler.codes.are_labels),
        network.tiles.channels,
    )
    image, mask = sampler.batch(settings.seed, 0)
    # groups 0 and 1 are background, which has codes above 0 in stores with partial labels
    best = int((groups[mask] > 1).sum(axis=(1, 2, 3)).argmax())
    image, mask = image[best].copy(), mask[best].copy()
    examples = {
        name: make_examples(image, mask, replace(settings, transforms=(name,)), groups, windows)
        for name in settings.transforms
    }
    middle = image.shape[-1] // 2 // windows * windows  # the first window of the middle slice
    write_figure(draw_examples(image[..., middle], examples, middle), path)


def make_examples(
    image: np.ndarray, mask: np.ndarray, settings: TrainSettings, groups: np.ndarray, windows: int
) -> list[np.ndarray]:
    """Augment a tile until some of the results differ from it.

    Args:
        image: (h, w, channels) uint8.
        mask: (h, w, 1) uint8 labels.
        settings: Settings of the run, with the transforms to show.
        groups: (256,) int32 group of each value of the mask.
        windows: Number of channels of each slice.

    Returns:
        At most EXAMPLES images (h, w, channels) float32 in 0..255.
    """
    draws = BatchDraws(replace(settings, mirror=False), _COPIES, image.shape[:2], windows)
    images, masks = (np.repeat(array[None], _COPIES, axis=0) for array in (image, mask))
    examples: list[np.ndarray] = []
    for step in range(_MAX_BATCHES):
        augmented, _ = augment_batch(images, masks, draws.draw(step), groups)
        changed = np.asarray(augmented)
        difference = np.abs(changed - image).mean(axis=(1, 2, 3))
        examples += list(changed[difference > _VISIBLE])
        if len(examples) >= EXAMPLES:
            break
    return examples[:EXAMPLES]


def draw_examples(
    original: np.ndarray, examples: dict[str, list[np.ndarray]], channel: int
) -> Figure:
    """Draw a row for each transform: the tile, and what the transform makes of it.

    Args:
        original: (h, w), 0..255.
        examples: Images (h, w, channels) of each transform.
        channel: Channel that is drawn.
    """
    rows, columns = len(examples), EXAMPLES + 1
    figure = Figure(figsize=(_TILE_INCHES * columns, (_TILE_INCHES + 0.2) * rows))
    figure.subplots_adjust(0, 0, 1, 1 - 0.2 / figure.get_figheight(), 0.02, 0.14)
    for row, (name, images) in enumerate(examples.items()):
        for column, tile in enumerate([original, *(image[..., channel] for image in images)]):
            axes = figure.add_subplot(rows, columns, row * columns + column + 1)
            axes.imshow(tile, cmap="gray", vmin=0, vmax=255, interpolation="nearest")
            axes.axis("off")
            if column == 0:
                axes.set_title(name, loc="left", fontsize=8, pad=3)
    return figure
