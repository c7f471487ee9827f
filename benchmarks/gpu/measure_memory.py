"""Measure the memory on the GPU that each preset needs to train with its default batch size."""

import gc
import itertools
import tomllib
from dataclasses import replace
from pathlib import Path

from measuring import SMALL_NETWORK, PeakMemory, measure_rows, parse_options, regions

import liverseg_tf
from liverseg_tf.cli.shared.tensorflow import import_backend

STEPS = 3


def main() -> None:
    options = parse_options()
    import_backend()

    from liverseg_tf.tiles.store import TileStore

    store, memory = TileStore.open(options.store), PeakMemory()
    # the peak of JAX only grows: the rows are in the order of the memory that presets need
    measure_rows(
        options,
        lambda row: measure(store, read_preset(row.split("_")[1], options.quick), memory),
    )


def read_preset(name: str, quick: bool):
    """Return the settings of a preset; with fewer filters and tiles in a dry run."""
    from liverseg_tf.train.settings import TrainSettings

    path = Path(liverseg_tf.__file__).parent / "presets" / f"{name}.toml"
    values = tomllib.loads(path.read_text()).get("train", {})
    settings = TrainSettings(
        regions=regions(), **{key.replace("-", "_"): value for key, value in values.items()}
    )
    return (
        replace(settings, batch_size=2, deep_supervision=1, **SMALL_NETWORK) if quick else settings
    )


def measure(store, settings, memory: PeakMemory) -> dict:
    """Train a few steps, with augmentation, on the tiles of the store."""
    from liverseg_tf.train.data.pipeline import training_batches
    from liverseg_tf.train.data.sampling import BatchSampler
    from liverseg_tf.train.learner.execution import ExecutionOptions
    from liverseg_tf.train.learner.factory import make_learner
    from liverseg_tf.train.network.from_settings import make_network_spec

    gc.collect()
    memory.start()
    network = make_network_spec(store, settings)
    sampler = BatchSampler(
        store, store.split["train"], network, settings.batch_size, settings.foreground_fraction
    )
    learner = make_learner(network, settings, ExecutionOptions())
    batches = learner.batches(lambda shards: training_batches(sampler, settings, 0, shards))
    for image, truth in itertools.islice(batches, STEPS):
        float(learner.step(image, truth, 1e-3))
    return {
        "gigabytes": memory.gigabytes(),
        "batch": settings.batch_size,
        "precision": learner.components.hardware.precision,
    }


if __name__ == "__main__":
    main()
