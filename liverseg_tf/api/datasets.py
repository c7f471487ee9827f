"""The batches of a store for `Model.fit`, and as NumPy arrays for loops in any framework."""

import functools
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from keras import ops

from liverseg_tf.api.stores import RegionsLike, as_regions, as_store
from liverseg_tf.choices import SIDES
from liverseg_tf.ct.annotation import read_annotation
from liverseg_tf.ct.regions import LIVER_REGIONS, Regions
from liverseg_tf.errors import LiverSegError, SettingsError
from liverseg_tf.model.spec import NetworkSpec
from liverseg_tf.tiles.store import TileStore
from liverseg_tf.train.custom_parts import CustomParts
from liverseg_tf.train.data.pipeline import training_batches
from liverseg_tf.train.settings import TrainSettings

if TYPE_CHECKING:  # loops with JAX or PyTorch do not need it
    import tensorflow as tf

# Sides of tiles are padded to multiples of it, which suits a U-Net of up to five levels.
STRIDE = 32
Batches = Iterator[tuple[np.ndarray, np.ndarray]]


def tile_dataset(
    store: TileStore | Path | str,
    side: str = "train",
    batch_size: int = 8,
    augment: float | Callable = 1.0,
    regions: RegionsLike = LIVER_REGIONS,
    context: int = 1,
    seed: int = 0,
) -> "tf.data.Dataset":
    """Return the batches of a store as a dataset for `Model.fit` and `Model.evaluate`.

    Of the training side, a third of each batch shows a region, and batches never end: give
    `Model.fit` the `steps_per_epoch`, and this dataset once for all epochs, since a new iteration
    starts again with the first batch. With sides of multiples of 32 pixels, they are the batches
    of `liverseg train` with the same settings. The other sides give every slice once, in order and
    without augmentation.

    Args:
        store: Store, or its folder.
        side: Side of the split: 'train', 'val' or 'test'.
        batch_size: Number of tiles in a batch.
        augment: Strength of the data augmentation of the training side, 0 for none; or a function
            of your own of one tile: image (h, w, channels) uint8, mask (h, w) uint8 and a generator
            of random numbers, to the changed image and mask.
        regions: Regions to learn: names and labels, nested ones from the outside in.
        context: Number of neighbouring slices in the channels of the image, odd.
        seed: Seed of the batches.

    Returns:
        Dataset of image (tiles, h, w, channels) float32, 0 to 255, and ground truth
        (tiles, h, w, regions) float32, 0 or 1. Its `as_numpy_iterator` yields NumPy arrays;
        `tile_batches` does without TensorFlow.

    Raises:
        SettingsError: If a setting is out of range.
        LiverSegError: If the side has no cases, or one that does not label every region.

    Example:
        >>> import liverseg_tf as ls
        >>> dataset = ls.tile_dataset("store", batch_size=4, augment=0)
        >>> image, truth = next(dataset.as_numpy_iterator())
        >>> image.shape, truth.shape, truth.dtype
        ((4, 64, 64, 1), (4, 64, 64, 2), dtype('float32'))
        >>> sum(len(image) for image, _ in ls.tile_dataset("store", "val"))  # slices
        8
    """
    import tensorflow as tf

    batches = _prepare(store, side, batch_size, augment, regions, context, seed)
    image, truth = next(batches())
    size = batch_size if side == "train" else None  # the last batch of a case may be smaller
    signature = tuple(tf.TensorSpec((size, *part.shape[1:]), part.dtype) for part in (image, truth))
    dataset = tf.data.Dataset.from_generator(batches, output_signature=signature)
    return dataset.prefetch(tf.data.AUTOTUNE)


def tile_batches(
    store: TileStore | Path | str,
    side: str = "train",
    batch_size: int = 8,
    augment: float | Callable = 1.0,
    regions: RegionsLike = LIVER_REGIONS,
    context: int = 1,
    seed: int = 0,
) -> Batches:
    """Iterate over the batches of a store as NumPy arrays, for a loop with JAX or PyTorch.

    The batches are those of `tile_dataset`, where the arguments are described. They are augmented
    by the backend of Keras (the variable KERAS_BACKEND); TensorFlow is needed only if it is that.

    Yields:
        Image (tiles, h, w, channels) float32, 0 to 255, and ground truth (tiles, h, w, regions)
        float32, 0 or 1.

    Example:
        >>> import liverseg_tf as ls
        >>> image, truth = next(ls.tile_batches("store", batch_size=2, augment=0))
        >>> type(image).__name__, image.shape, float(truth.max())
        ('ndarray', (2, 64, 64, 1), 1.0)
    """
    return _prepare(store, side, batch_size, augment, regions, context, seed)()


def _prepare(
    store: TileStore | Path | str,
    side: str,
    batch_size: int,
    augment: float | Callable,
    regions: RegionsLike,
    context: int,
    seed: int,
) -> Callable[[], Batches]:
    """Check the arguments of `tile_batches`, and return the function that iterates from the start.

    The tiles are compared with their checksums once.
    """
    store, regions = as_store(store), as_regions(regions)
    if side not in SIDES:
        raise SettingsError(f"Expected a side of {', '.join(SIDES)}. Received {side}.")
    names = store.split.get(side, [])
    if not names:
        raise LiverSegError(f"Expected cases on the side {side} of {store.folder}. Received none.")
    for name in names:
        annotation = read_annotation(store.cases[name])
        if annotation.ignored is not None or not all(annotation.known_regions(regions)):
            raise LiverSegError(
                "Expected cases that label every region everywhere, since losses of Keras have no "
                f"weights for what is unknown. Received case {name}, which does not: use "
                "train_model, or regions that all cases label."
            )
    network = NetworkSpec(store.spec, regions, context, STRIDE)
    if side != "train":
        for name in names:
            store.read(name)
        return functools.partial(_all_slices, store, names, network, batch_size)
    custom = CustomParts(augment=augment if callable(augment) else None)
    settings = TrainSettings(
        regions=regions,
        context=context,
        batch_size=batch_size,
        augment=0.0 if callable(augment) else augment,
        seed=seed,
    )
    sampler = custom.make_sampler(store, network, settings)
    return lambda: _to_numpy(training_batches(sampler, settings))


def _to_numpy(batches: Iterator) -> Batches:
    for image, truth in batches:
        yield ops.convert_to_numpy(image), ops.convert_to_numpy(truth).astype(np.float32)


def _all_slices(
    store: TileStore, names: list[str], network: NetworkSpec, batch_size: int
) -> Batches:
    """Yield every slice of some cases once, in order; a batch has slices of one case only."""
    shapes = np.array([store.read(name, compare=False).mask.shape[1:] for name in names])
    height, width = shapes.max(axis=0)
    rows, columns = network.padded((int(height), int(width)))
    regions: Regions = network.regions
    for name in names:
        case = store.read(name, compare=False)
        h, w = case.mask.shape[1:]
        step = network.slice_step(case.slice_mm)
        for start in range(0, len(case.mask), batch_size):
            count = min(batch_size, len(case.mask) - start)
            image = np.zeros((count, rows, columns, network.channels), np.float32)
            labels = np.zeros((count, rows, columns), np.uint8)
            for position in range(count):
                image[position, :h, :w] = network.stack(case.image, start + position, step)
                labels[position, :h, :w] = case.mask[start + position]
            yield image, regions.masks(labels).astype(np.float32)
