"""What a run will take, told before it begins."""

import time

import keras
import numpy as np

from liverseg_tf.tiles.store import TileStore
from liverseg_tf.train.data.pipeline import training_batches
from liverseg_tf.train.data.sampling import BatchSampler
from liverseg_tf.train.learner.components import TrainingComponents
from liverseg_tf.train.learner.execution import ExecutionOptions
from liverseg_tf.train.learner.factory import make_learner
from liverseg_tf.train.learner.hardware import Hardware
from liverseg_tf.train.network.choose import network_spec
from liverseg_tf.train.settings import TrainSettings

_FIRST, _TIMED = 2, 5  # steps: the first ones are traced
# weights, gradients and AdamW's two moments; the mean and the kept network; float32 each
_COPIES = 6
# times what the layers put out: a processor took 0.9 to 1.3 times that, cards need work space
_ACTIVATIONS = 1.5


def plan(store: TileStore, settings: TrainSettings, way: ExecutionOptions) -> list[str]:
    """Lines that tell parameters, memory, steps and time.

    The time is measured: some steps are made with real batches, and forgotten.

    Args:
        store: of the run.
        settings: of the run.
        way: how.

    Raises:
        LiverSegError: when no training case holds a region.
    """
    network = network_spec(store, settings)
    sampler = BatchSampler(
        store, store.split["train"], network, settings.batch_size, settings.foreground_fraction
    )
    learner = make_learner(network, settings, way)
    seconds = _seconds_per_step(learner, sampler, settings)
    parts = learner.parts
    rows, cols = sampler.shape
    slices = sum(store.cases[name]["slices"] for name in store.split["train"])
    steps = settings.epochs * settings.steps_per_epoch
    if settings.minutes is not None:
        steps = int(settings.minutes * 60 / seconds)
    tiles = steps * settings.batch_size
    sides = {side: len(names) for side, names in store.split.items()}
    return [
        f"cases: {sides['train']} to learn from, {sides['val']} to validate, {sides['test']} kept",
        f"tiles: {rows} x {cols} x {network.channels}, {settings.batch_size} in a batch; "
        f"{slices} slices to draw from",
        f"parameters: {parts.model.count_params():,}",
        f"memory: about {memory_bytes(parts, sampler.shape, settings.batch_size) / 1e9:.1f} GB of "
        f"the device ({parts.hardware.precision}), TensorFlow's own not counted",
        f"steps: {steps:,}, {tiles:,} tiles, each slice {tiles / slices:.0f} times",
        f"time: about {_told(steps * seconds)}, {settings.batch_size / seconds:.1f} tiles/s "
        "without validation",
    ]


def memory_bytes(parts: TrainingComponents, shape: tuple[int, int], batch_size: int) -> int:
    """Of a step, about: copies of the weights, and what the layers put out for a batch.

    Args:
        parts: of the learner.
        shape: (h, w) of the tiles.
        batch_size: tiles.
    """
    inputs = keras.Input((*shape, parts.spec.channels))
    sized = keras.models.clone_model(parts.model, input_tensors=inputs)
    bytes_each = 4 if parts.hardware == Hardware("float32", parts.hardware.compiled) else 2
    numbers = sum(int(np.prod(layer.output.shape[1:])) for layer in sized.layers)
    activations = numbers * batch_size * bytes_each * _ACTIVATIONS
    return round(parts.model.count_params() * 4 * _COPIES + activations)


def _seconds_per_step(learner, sampler: BatchSampler, settings: TrainSettings) -> float:
    batches = learner.batches(lambda shards: training_batches(sampler, settings, 0, shards))
    for _ in range(_FIRST):
        float(learner.step(*next(batches), settings.peak_rate))
    started = time.monotonic()
    for _ in range(_TIMED):
        float(learner.step(*next(batches), settings.peak_rate))
    return (time.monotonic() - started) / _TIMED


def _told(seconds: float) -> str:
    if seconds < 90:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 5400 else f"{seconds / 3600:.1f} h"
