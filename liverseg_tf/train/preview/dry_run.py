"""A description of a run before it begins: cases, memory, steps and time."""

import time

from liverseg_tf.plural import count
from liverseg_tf.tiles.store import TileStore
from liverseg_tf.train.custom_parts import CustomParts
from liverseg_tf.train.data.device_tiles import DeviceTiles, cache_bytes, cache_on_device
from liverseg_tf.train.data.pipeline import training_batches
from liverseg_tf.train.data.sampling import BatchSampler
from liverseg_tf.train.learner.execution import ExecutionOptions
from liverseg_tf.train.learner.factory import make_learner
from liverseg_tf.train.learner.learner import Learner
from liverseg_tf.train.learner.memory import estimate_memory
from liverseg_tf.train.network.from_settings import make_network_spec
from liverseg_tf.train.settings import TrainSettings

_UNTIMED_STEPS, _TIMED_STEPS = 2, 5  # the first steps include tracing


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
    custom = CustomParts()
    sampler = custom.make_sampler(store, network, settings)
    learner = make_learner(network, settings, execution)
    components = learner.components
    step_bytes = estimate_memory(components, sampler.shape, settings.batch_size)
    choice = custom.cache_choice(settings, execution.cache_on_device)
    cache = cache_on_device(sampler, choice, lambda: step_bytes)
    seconds_per_step = _measure_step(learner, sampler, settings, cache)
    rows, columns = sampler.shape
    slices = sum(store.cases[name]["slices"] for name in store.split["train"])
    steps = settings.epochs * settings.steps_per_epoch
    if settings.minutes is not None:
        steps = int(settings.minutes * 60 / seconds_per_step)
    tiles = steps * settings.batch_size
    case_counts = {part: len(names) for part, names in store.split.items()}
    cached = [f"cache: {cache_bytes(sampler) / 1e9:.1f} GB of training tiles on the device"]
    return [
        f"cases: {case_counts['train']} for training, {case_counts['val']} for validation, "
        f"{case_counts['test']} for testing",
        f"tiles: {rows} x {columns} x {network.channels}, batches of {settings.batch_size}; "
        f"{count(slices, 'training slice')}",
        f"parameters: {components.model.count_params():,}",
        f"memory: about {step_bytes / 1e9:.1f} GB of the device ({components.hardware.precision}), "
        "without that of Keras' backend",
        *(cached if cache else []),
        f"steps: {steps:,} ({tiles:,} tiles, each slice {tiles / slices:.0f} times)",
        f"time: about {_format_duration(steps * seconds_per_step)}, "
        f"{settings.batch_size / seconds_per_step:.1f} tiles/s without validation",
    ]


def _measure_step(
    learner: Learner, sampler: BatchSampler, settings: TrainSettings, cache: DeviceTiles | None
) -> float:
    """Measure the mean duration of a training step in seconds."""
    batches = learner.batches(lambda shards: training_batches(sampler, settings, 0, shards, cache))

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
