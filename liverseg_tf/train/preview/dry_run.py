"""A description of a run before it begins: cases, memory, steps and time."""

import time

import keras
import numpy as np

from liverseg_tf.plural import count
from liverseg_tf.tiles.store import TileStore
from liverseg_tf.train.data.pipeline import training_batches
from liverseg_tf.train.data.sampling import BatchSampler
from liverseg_tf.train.learner.components import TrainingComponents
from liverseg_tf.train.learner.execution import ExecutionOptions
from liverseg_tf.train.learner.factory import make_learner
from liverseg_tf.train.learner.learner import Learner
from liverseg_tf.train.network.from_settings import make_network_spec
from liverseg_tf.train.settings import TrainSettings

_UNTIMED_STEPS, _TIMED_STEPS = 2, 5  # the first steps include tracing
# float32 copies of the parameters: weights, gradients, the two moments of AdamW, the moving
# average and the inference model
_PARAMETER_COPIES = 6
# Memory of a step divided by that of the layers' outputs. Measured on a CPU: 0.9 to 1.3. GPUs need
# additional workspace.
_ACTIVATION_FACTOR = 1.5


def describe_run(
    store: TileStore, settings: TrainSettings, execution: ExecutionOptions
) -> list[str]:
    """Describe a run without writing anything.

    The time is measured on a few training steps with real batches, whose result is discarded.

    Args:
        store: Store with the tiles and the split of the cases.
        settings: Settings of the run.
        execution: Hardware and hosts.

    Returns:
        Lines of text: cases, tiles, parameters, memory, steps and time.

    Raises:
        LiverSegError: If no training case contains a region.
    """
    network = make_network_spec(store, settings)
    sampler = BatchSampler(
        store, store.split["train"], network, settings.batch_size, settings.foreground_fraction
    )
    learner = make_learner(network, settings, execution)
    seconds_per_step = _measure_step(learner, sampler, settings)
    components = learner.components
    rows, columns = sampler.shape
    slices = sum(store.cases[name]["slices"] for name in store.split["train"])
    steps = settings.epochs * settings.steps_per_epoch
    if settings.minutes is not None:
        steps = int(settings.minutes * 60 / seconds_per_step)
    tiles = steps * settings.batch_size
    case_counts = {part: len(names) for part, names in store.split.items()}
    memory_gb = estimate_memory(components, sampler.shape, settings.batch_size) / 1e9
    return [
        f"cases: {case_counts['train']} for training, {case_counts['val']} for validation, "
        f"{case_counts['test']} for testing",
        f"tiles: {rows} x {columns} x {network.channels}, batches of {settings.batch_size}; "
        f"{count(slices, 'training slice')}",
        f"parameters: {components.model.count_params():,}",
        f"memory: about {memory_gb:.1f} GB of the device ({components.hardware.precision}), "
        "without TensorFlow's own memory",
        f"steps: {steps:,} ({tiles:,} tiles, each slice {tiles / slices:.0f} times)",
        f"time: about {_format_duration(steps * seconds_per_step)}, "
        f"{settings.batch_size / seconds_per_step:.1f} tiles/s without validation",
    ]


def estimate_memory(components: TrainingComponents, shape: tuple[int, int], batch_size: int) -> int:
    """Estimate the memory of a training step, in bytes.

    It is the memory of the copies of the weights and of the outputs of all layers for a batch.

    Args:
        components: Components of the learner.
        shape: (h, w) of the tiles in pixels.
        batch_size: Number of tiles in a batch.
    """
    inputs = keras.Input((*shape, components.spec.channels))
    sized_model = keras.models.clone_model(components.model, input_tensors=inputs)
    bytes_per_value = 4 if components.hardware.precision == "float32" else 2
    values = sum(int(np.prod(layer.output.shape[1:])) for layer in sized_model.layers)
    activations = values * batch_size * bytes_per_value * _ACTIVATION_FACTOR
    return round(components.model.count_params() * 4 * _PARAMETER_COPIES + activations)


def _measure_step(learner: Learner, sampler: BatchSampler, settings: TrainSettings) -> float:
    """Measure the mean duration of a training step in seconds."""
    batches = learner.batches(lambda shards: training_batches(sampler, settings, 0, shards))

    def step() -> None:
        image, truth = next(batches)
        float(learner.step(image, truth, settings.max_learning_rate))  # waits for the end

    for _ in range(_UNTIMED_STEPS):
        step()
    started = time.monotonic()
    for _ in range(_TIMED_STEPS):
        step()
    return (time.monotonic() - started) / _TIMED_STEPS


def _format_duration(seconds: float) -> str:
    if seconds < 90:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 5400 else f"{seconds / 3600:.1f} h"
