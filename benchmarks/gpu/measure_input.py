"""Measure training with every augmentation, from tiles on the host and from tiles on the device."""

from measuring import (
    SMALL_NETWORK,
    PeakMemory,
    input_batch,
    measure_end_to_end,
    measure_rows,
    parse_options,
    regions,
)

from liverseg_tf.cli.shared.tensorflow import import_backend


def main() -> None:
    options = parse_options()
    import_backend()
    import keras

    from liverseg_tf.tiles.store import TileStore
    from liverseg_tf.train.data.device_tiles import DeviceTiles
    from liverseg_tf.train.data.pipeline import training_batches
    from liverseg_tf.train.data.sampling import BatchSampler
    from liverseg_tf.train.learner.execution import ExecutionOptions
    from liverseg_tf.train.learner.factory import make_learner
    from liverseg_tf.train.learner.hardware import choose_hardware
    from liverseg_tf.train.network.from_settings import make_network_spec
    from liverseg_tf.train.settings import TrainSettings

    store, memory = TileStore.open(options.store), PeakMemory()
    batch = input_batch(options.quick)
    size = SMALL_NETWORK if options.quick else {}
    settings = TrainSettings(regions=regions(), batch_size=batch, mirror=True, **size)
    network = make_network_spec(store, settings)
    sampler = BatchSampler(
        store, store.split["train"], network, batch, settings.foreground_fraction
    )
    learner = make_learner(network, settings, ExecutionOptions(choose_hardware("bfloat16")))

    def measure(row: str) -> dict:
        memory.start()
        cache = DeviceTiles(sampler) if row == "input_cache" else None
        batches = learner.batches(
            lambda shards: training_batches(sampler, settings, 0, shards, cache)
        )
        found = measure_end_to_end(
            batches, lambda image, truth: learner.step(image, truth, 1e-3), batch, options.quick
        )
        found["gigabytes"] = memory.gigabytes()
        found["batch"] = batch
        found["what"] = f"Keras {keras.__version__} on {keras.backend.backend()}"
        return found

    measure_rows(options, measure)


if __name__ == "__main__":
    main()
