"""Stage 2: a store's training cases become a run."""

import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import keras

from liverseg_tf.tiles.network import NetworkSpec
from liverseg_tf.tiles.store import TileStore
from liverseg_tf.train.budget import ClockBudget, StepBudget
from liverseg_tf.train.losses import dice_and_cross_entropy
from liverseg_tf.train.monitor import Monitor, Progress
from liverseg_tf.train.pipeline import training_batches
from liverseg_tf.train.run import Run
from liverseg_tf.train.sampling import BatchSampler
from liverseg_tf.train.settings import TrainSettings
from liverseg_tf.train.unet import UNetSpec, build_unet
from liverseg_tf.train.validation import Judge


@dataclass(frozen=True)
class Trained:
    """The end of a run.

    Args:
        dice: validation Dice of the kept model by region.
        validated_on: names of the cases it was measured on.
        absent: regions that no training slice holds, which the model can't find.
        steps: batches learnt from.
        seconds: wall clock.
    """

    dice: dict[str, float]
    validated_on: list[str]
    absent: list[str]
    steps: int
    seconds: float


def train(
    store: TileStore,
    folder: Path,
    settings: TrainSettings,
    report: Callable[[Progress], None] = lambda progress: None,
    started: float | None = None,
) -> Trained:
    """Train a U-Net on a store.

    Cases of the validation side choose the best model; where the store has none, the training
    cases do, which tells nothing about other patients.

    Args:
        store: its split says which cases are for training.
        folder: of the run; it must not hold one.
        settings: of the run.
        report: called about every second.
        started: `time.monotonic()` when the budget of `minutes` began; now if None.

    Raises:
        SettingsError: when the folder holds a run.
        LiverSegError: when no training case holds a region, or the loss is not finite.
    """
    started = time.monotonic() if started is None else started
    network = NetworkSpec(store.spec, settings.regions, settings.context, 2**settings.depth)
    keras.utils.set_random_seed(settings.seed)
    sampler = BatchSampler(
        store, store.split["train"], network, settings.batch_size, settings.foreground
    )
    run = Run.create(folder)
    model = build_unet(_unet_spec(network, settings))
    parts = {
        "settings": settings.to_json(),
        "parameters": model.count_params(),
        "store": {
            "split": store.split,
            "checksums": {name: case["checksum"] for name, case in store.cases.items()},
        },
    }
    run.write_record(network, **parts)
    model.compile(
        keras.optimizers.AdamW(
            settings.learning_rate, weight_decay=settings.weight_decay, clipnorm=1.0
        ),
        dice_and_cross_entropy,
    )
    # with its variables there, the step's graph is traced once instead of twice (6 s)
    model.optimizer.build(model.trainable_variables)
    judges = store.split["val"] or store.split["train"]
    monitor = Monitor(
        run,
        _budget(settings, started),
        settings.learning_rate,
        Judge(store, tuple(judges), network, settings.batch_size),
        report,
    )
    model.fit(
        training_batches(sampler, settings),
        epochs=settings.epochs if settings.minutes is None else 10**9,
        steps_per_epoch=settings.steps_per_epoch,
        callbacks=[monitor],
        shuffle=False,
        verbose=0,
    )
    trained = Trained(
        monitor.best_dice,
        judges,
        sampler.absent_regions(),
        monitor.step,
        time.monotonic() - started,
    )
    result = {"dice": trained.dice, "validated_on": judges, "steps": trained.steps}
    run.write_record(network, **parts, result=result | {"seconds": round(trained.seconds, 1)})
    return trained


def _unet_spec(network: NetworkSpec, settings: TrainSettings) -> UNetSpec:
    return UNetSpec(
        network.channels,
        tuple(network.regions.names),
        settings.base_filters,
        settings.depth,
        settings.normalisation,
        settings.dropout,
    )


def _budget(settings: TrainSettings, started: float) -> StepBudget | ClockBudget:
    if settings.minutes is None:
        return StepBudget(settings.epochs * settings.steps_per_epoch)
    return ClockBudget(settings.minutes * 60, started)
