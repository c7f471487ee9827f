"""The network and its training."""

from collections.abc import Callable
from dataclasses import fields
from pathlib import Path
from typing import Any

import keras

from liverseg_tf.api.stores import RegionsLike, as_regions, as_store
from liverseg_tf.ct.regions import LIVER_REGIONS, Regions
from liverseg_tf.errors import SettingsError
from liverseg_tf.model.postprocessing import PostProcessing
from liverseg_tf.predict.models.run import RunPredictor
from liverseg_tf.predict.tuning.selection import expected_postprocessing
from liverseg_tf.predict.tuning.tune import tune_postprocessing
from liverseg_tf.tiles.store import TileStore
from liverseg_tf.train.custom_parts import CUSTOM_LOSS, CustomParts
from liverseg_tf.train.learner.execution import ExecutionOptions
from liverseg_tf.train.network import unet
from liverseg_tf.train.session.fit import TrainingResult, train
from liverseg_tf.train.settings import TrainSettings


def build_unet(
    regions: RegionsLike = LIVER_REGIONS, channels: int = 1, **architecture: Any
) -> keras.Model:
    """Build the U-Net of `liverseg train` as a functional model.

    Args:
        regions: Regions to predict, one output channel each.
        channels: Number of input channels: context slices times intensity windows.
        architecture: Further fields of `UNetSpec`: base_filters, depth, normalisation, dropout,
            residual, attention, patch, stem_filters, encoder, encoder_weights.

    Returns:
        Model from tiles (batch, h, w, channels), 0 to 255, to probabilities (batch, h, w, regions).
        Height and width may be any multiples of 2 ** depth.

    Raises:
        SettingsError: If an option is unknown.
        LiverSegError: If the weights of the encoder cannot be read.

    Example:
        >>> import liverseg_tf as ls
        >>> model = ls.build_unet({"liver": [1, 2], "tumour": [2]}, base_filters=4, depth=2)
        >>> model.input_shape, model.output_shape
        ((None, None, None, 1), (None, None, None, 2))
    """
    _check_names(architecture, unet.UNetSpec, ("channels", "outputs"))
    return unet.build_unet(unet.UNetSpec(channels, as_regions(regions).names, **architecture))


def train_model(
    store: TileStore | Path | str,
    run: Path | str,
    *,
    loss: str | Callable = "dice-topk",
    model: keras.Model | None = None,
    from_logits: bool = False,
    augment: float | Callable = 1.0,
    execution: ExecutionOptions = ExecutionOptions(),
    **settings: Any,
) -> TrainingResult:
    """Train a network on a store and write a run, as `liverseg train` does.

    A run that was interrupted continues with the same call. Thresholds and post-processing are
    chosen on the validation cases at the end. What you hand over as an object, the run records with
    its import path and a checksum of its source. It is never imported from a record: to continue
    such a run, hand over the same objects.

    Args:
        store: Store, or its folder.
        run: New folder of the run.
        loss: Name, as in `liverseg train --loss`; or a loss as in `keras.Model.compile`, a function
            or an object of ground truth and probabilities, both (batch, h, w, regions) float32.
        model: Network of your own in place of the U-Net: any functional or sequential Keras model
            from tiles (batch, h, w, channels), 0 to 255, to (batch, h, w, regions). Training
            starts with its weights, and changes a copy.
        from_logits: Whether this network returns logits instead of probabilities.
        augment: Strength of the data augmentation, 0 for none; or a function of your own, see
            `tile_dataset`.
        execution: Precision, devices and progress.
        settings: Further fields of `TrainSettings`, such as regions, epochs, steps_per_epoch,
            minutes, batch_size, context, seed.

    Returns:
        Validation Dice, steps and notes of the run.

    Raises:
        SettingsError: If a setting is unknown or out of range, or the folder holds a finished run,
            or an interrupted one with other settings or other objects.
        LiverSegError: If no training case contains a region, the loss is not finite, or a file
            cannot be read or written.

    Example:
        >>> import keras
        >>> import liverseg_tf as ls
        >>> result = ls.train_model(
        ...     "store",
        ...     "own",
        ...     loss=keras.losses.BinaryFocalCrossentropy(),
        ...     model=ls.build_unet(base_filters=2, depth=2),
        ...     augment=0,
        ...     epochs=1,
        ...     steps_per_epoch=1,
        ...     batch_size=2,
        ... )
        >>> result.steps, sorted(result.dice)
        (1, ['liver', 'tumour'])
    """
    _check_names(settings, TrainSettings, ("loss", "augment"))
    if "regions" in settings:
        settings["regions"] = as_regions(settings["regions"])
    custom = CustomParts(
        loss if callable(loss) else None, model, from_logits, augment if callable(augment) else None
    )
    chosen = TrainSettings(
        loss=CUSTOM_LOSS if callable(loss) else loss,
        augment=0.0 if callable(augment) else augment,
        **settings,
    )
    tiles = as_store(store)
    choose = make_chooser(tiles, chosen.regions)
    return train(tiles, Path(run), chosen, execution, choose, custom)


def make_chooser(store: TileStore, regions: Regions) -> Callable[[Path], PostProcessing]:
    """Return the function that chooses the post-processing of a run on its validation cases.

    Without validation cases, it takes what the names of the regions suggest.

    Args:
        store: Store of the run.
        regions: Regions of the run.
    """

    def choose(folder: Path) -> PostProcessing:
        if not store.split["val"]:
            return expected_postprocessing(regions)
        return tune_postprocessing(RunPredictor(folder), store, store.split["val"]).postprocessing

    return choose


def _check_names(given: dict[str, Any], known: type, taken: tuple[str, ...]) -> None:
    names = [field.name for field in fields(known) if field.name not in taken]
    for name in given:
        if name not in names:
            raise SettingsError(f"Expected settings of {', '.join(names)}. Received {name}.")
