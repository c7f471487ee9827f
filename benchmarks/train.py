"""Compare training steps with those of PyTorch, and the input pipeline with that of MONAI.

    python benchmarks/train.py --peers PEERS/bin/python

PEERS is an environment with benchmarks/peers/requirements-train.txt; torch.compile needs a C++
compiler. The same U-Net (1.9 million parameters) is trained on batches of 8 tiles of 256 x 256 on
the same cores. Runs of liverseg_tf, of eager PyTorch and of torch.compile alternate, each in its
own process, and the faster one of PyTorch's two is the peer. On a machine that is in use, compare
the processor seconds of a step, with --threads 1. `--threads 1 2` measures the steps on one core
and then on two. The pipelines read, sample, augment and batch the slices of one store. On a GPU,
use --batch 64. `--only variants --threads 1` compares networks with patches, in bfloat16.
"""

import argparse
import json
import math
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from measure import print_hardware

PEERS = Path(__file__).parent / "peers"
SIDE, BATCH, STEPS = 256, 8, 6
PRECISIONS = ("float32", "bfloat16")
PHANTOMS, PIPELINE_BATCHES = 6, 60
VARIANTS = {
    "--patch 2": ["patch=2"],
    "--patch 2 --stem-filters 8": ["patch=2", "stem_filters=8"],
    "--patch 2 --base-filters 24": ["patch=2", "base_filters=24"],
    "--patch 2 --base-filters 24 --stem-filters 8": [
        "patch=2",
        "base_filters=24",
        "stem_filters=8",
    ],
    "--patch 1": ["patch=1"],
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--peers", help="Python executable of the peers' environment.")
    parser.add_argument("--repeats", type=int, default=3, help="Number of repeats.")
    parser.add_argument("--side", type=int, default=SIDE, help="Side of the tiles in pixels.")
    parser.add_argument("--batch", type=int, default=BATCH, help="Tiles per batch.")
    parser.add_argument(
        "--threads", type=int, nargs="+", help="Numbers of cores for the steps; all by default."
    )
    parser.add_argument("--only", choices=["step", "pipeline", "variants"])
    parser.add_argument("--precisions", nargs="+", default=PRECISIONS, choices=PRECISIONS)
    parser.add_argument(
        "--work", type=Path, help="Folder in which the store of the pipelines is kept."
    )
    parser.add_argument("--measure", choices=["step", "pipeline"], help=argparse.SUPPRESS)
    parser.add_argument("--precision", default="float32", help=argparse.SUPPRESS)
    parser.add_argument("--settings", nargs="*", default=[], help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.measure == "step":
        print(json.dumps(measure_step(options)))
        return
    if options.measure == "pipeline":
        print(json.dumps(measure_pipeline(options.work)))
        return
    print_hardware()
    if options.only == "variants":
        on_cores(compare_variants, options)
        return
    rates = {} if options.only == "pipeline" else on_cores(compare_steps, options)
    if options.only != "step":
        with tempfile.TemporaryDirectory() as folder:
            options.work = options.work or Path(folder)
            compare_pipelines(options, max(rates.values(), default=0))


def on_cores(compare, options: argparse.Namespace):
    """Call a comparison on each number of cores; return its result on the last one."""
    if not options.threads or not hasattr(os, "sched_setaffinity"):
        return compare(options)
    cores, rates = sorted(os.sched_getaffinity(0)), None
    for threads in options.threads:
        # the libraries start as many threads as there are cores that the process may use
        os.sched_setaffinity(0, cores[:threads])
        print(f"on {threads} of {len(cores)} cores:")
        rates = compare(options)
    os.sched_setaffinity(0, cores)
    return rates


def compare_steps(options: argparse.Namespace) -> dict[str, float]:
    """Return the images per second of liverseg_tf by precision."""
    print(f"training steps, batches of {options.batch} tiles of {options.side} x {options.side}")
    shape, rates = ["--side", options.side, "--batch", options.batch], {}
    commands = {"liverseg": [sys.executable, __file__, "--measure", "step"]}
    if options.peers:
        commands["eager"] = [options.peers, PEERS / "train_torch.py"]
        commands["compile"] = [*commands["eager"], "--compile"]
    for precision in options.precisions:
        found: dict[str, list[dict]] = {name: [] for name in commands}
        for _ in range(options.repeats):
            for name, command in commands.items():
                found[name].append(result_of([*command, *shape, "--precision", precision]))
        for name, results in found.items():
            print(f"{name:8} {precision:9} {told(results)}", flush=True)
        rates[precision] = rate = median(found["liverseg"], "rate")
        if options.peers:
            peer = max(median(found[name], "rate") for name in ("eager", "compile"))
            work = min(median(found[name], "processor_seconds") for name in ("eager", "compile"))
            ratio = work / median(found["liverseg"], "processor_seconds")
            print(
                f"         {precision:9} liverseg is {rate / peer:.2f} times as fast as the faster "
                f"one of PyTorch's; {ratio:.2f} times by processor seconds",
                flush=True,
            )
    return rates


def compare_variants(options: argparse.Namespace) -> None:
    """Compare the steps of networks with patches, in alternating processes."""
    found: dict[str, list[dict]] = {name: [] for name in VARIANTS}
    for _ in range(options.repeats):
        for name, settings in VARIANTS.items():
            command = [sys.executable, __file__, "--measure", "step", "--precision", "bfloat16"]
            command += ["--side", options.side, "--batch", options.batch, "--settings", *settings]
            found[name].append(result_of(command))
    base = median(found["--patch 2"], "processor_seconds")
    for name, results in found.items():
        seconds = median(results, "processor_seconds")
        print(
            f"{name:46} {median(results, 'rate'):6.1f} images/s, {seconds:.3f} processor seconds, "
            f"{seconds / base:.2f} times --patch 2; {results[0]['parameters']:,} parameters",
            flush=True,
        )


def told(results: list[dict]) -> str:
    found = results[0]
    memory = f", {found['gigabytes']:.1f} GB" if "gigabytes" in found else ""
    share = f", {100 * found['share']:.0f} % of the matrix rate" if "share" in found else ""
    return (
        f"{median(results, 'rate'):7.1f} images/s, {median(results, 'processor_seconds'):.2f} "
        f"processor seconds, started in {median(results, 'start_seconds'):.0f} s; {found['what']}, "
        f"{found['parameters']:,} parameters{memory}{share}"
    )


def median(found: list[dict], key: str) -> float:
    return statistics.median(one[key] for one in found)


def result_of(command: list) -> dict:
    done = subprocess.run([*map(str, command)], capture_output=True, text=True, check=False)
    if done.returncode:
        raise SystemExit(f"{done.stderr}\nThis command failed: {' '.join(map(str, command))}")
    return json.loads(done.stdout.splitlines()[-1])


def measure_step(options: argparse.Namespace) -> dict:
    """Measure the images per second of the learner that `liverseg train` uses."""
    from liverseg_tf.cli.shared.tensorflow import import_backend

    import_backend()
    import keras
    import numpy as np

    from liverseg_tf.model.spec import NetworkSpec
    from liverseg_tf.train.learner.execution import ExecutionOptions
    from liverseg_tf.train.learner.factory import make_learner
    from liverseg_tf.train.learner.hardware import choose_hardware
    from liverseg_tf.train.settings import TrainSettings

    started = time.perf_counter()
    given = dict(setting.split("=") for setting in options.settings)
    settings = TrainSettings(
        batch_size=options.batch, **{name: int(value) for name, value in given.items()}
    )
    learner = make_learner(
        NetworkSpec(), settings, ExecutionOptions(choose_hardware(options.precision))
    )
    rng = np.random.default_rng(0)
    shape = (options.batch, options.side, options.side)
    image = keras.ops.convert_to_tensor(rng.uniform(0, 255, (*shape, 1)).astype(np.float32))
    truth = keras.ops.convert_to_tensor((rng.random((*shape, 2)) > 0.9).astype(np.uint8))
    for _ in range(3):
        float(learner.step(image, truth, 1e-3))
    start_seconds = time.perf_counter() - started
    times, processor = [], time.process_time()
    for _ in range(STEPS):
        started = time.perf_counter()
        float(learner.step(image, truth, 1e-3))
        times.append(time.perf_counter() - started)
    processor_seconds = (time.process_time() - processor) / STEPS
    seconds = statistics.median(times)
    found = {
        "rate": options.batch / seconds,
        "processor_seconds": processor_seconds,
        "start_seconds": start_seconds,
        "parameters": learner.components.model.count_params(),
        "what": f"Keras {keras.__version__} on {keras.backend.backend()}",
        "share": flops_of(learner.components.model, shape)
        / seconds
        / matrix_rate(options.precision),
    }
    if keras.backend.backend() == "jax":
        import jax

        memory = jax.devices()[0].memory_stats() or {}
        if "peak_bytes_in_use" in memory:
            found["gigabytes"] = memory["peak_bytes_in_use"] / 1e9
    return found


def flops_of(model, shape: tuple[int, int, int]) -> float:
    """Return the operations of a step's convolutions: forward, and twice as many backward."""
    import keras

    inputs = keras.Input(batch_shape=(*shape, model.input_shape[-1]))
    sized = keras.models.clone_model(model, input_tensors=inputs)
    flops = 0
    for layer in sized.layers:
        if isinstance(layer, keras.layers.Conv2DTranspose):
            flops += 2 * math.prod(layer.kernel.shape) * math.prod(layer.input.shape[:3])
        elif isinstance(layer, keras.layers.Conv2D):
            flops += 2 * math.prod(layer.kernel.shape) * math.prod(layer.output.shape[:3])
    return 3.0 * flops


def matrix_rate(precision: str, side: int = 4096) -> float:
    """Measure the floating-point operations per second of a product of two large matrices."""
    import keras
    import numpy as np

    if keras.backend.backend() != "jax":
        side //= 2
    values = np.random.default_rng(0).random((side, side)).astype(np.float32)
    matrix = keras.ops.cast(keras.ops.convert_to_tensor(values), precision)
    times = []
    for _ in range(STEPS):
        started = time.perf_counter()
        float(keras.ops.matmul(matrix, matrix)[0, 0])
        times.append(time.perf_counter() - started)
    return 2 * side**3 / min(times)


def compare_pipelines(options: argparse.Namespace, step_rate: float) -> None:
    """Compare the augmented slices per second with those of MONAI's CacheDataset and DataLoader."""
    make_store(options.work)
    found: dict[str, list[dict]] = {"liverseg": [], "monai": []}
    for _ in range(options.repeats):
        command = [sys.executable, __file__, "--measure", "pipeline", "--work", options.work]
        found["liverseg"].append(result_of(command))
        if options.peers:
            command = [options.peers, PEERS / "pipeline_monai.py", options.work / "slices"]
            found["monai"].append(result_of(command))
    ours = median(found["liverseg"], "rate")
    print(f"pipeline, {SIDE} x {SIDE}, all augmentations, {os.cpu_count()} cores")
    print(f"liverseg {ours:7.1f} slices/s without training")
    waits = 100 * median(found["liverseg"], "waits")
    print(f"         {waits:.1f} % of the time of a run is spent waiting for batches")
    if step_rate:
        print(f"         {ours / step_rate:.1f} times what the fastest step above consumes")
    if options.peers:
        peer = median(found["monai"], "rate")
        print(f"monai    {peer:7.1f} slices/s ({found['monai'][0]['what']})")
        print(f"         liverseg is {ours / peer:.1f} times as fast")


def make_store(work: Path) -> None:
    """Write a store of phantoms, and the same tiles as arrays."""
    if (work / "slices").is_dir():
        return
    import numpy as np

    from liverseg_tf.phantom.phantoms import make_phantom
    from liverseg_tf.phantom.spec import PhantomSpec
    from liverseg_tf.tiles.case_tiles import cut_tiles
    from liverseg_tf.tiles.spec import TileSpec
    from liverseg_tf.tiles.store import TileStore

    store = TileStore(work / "store", TileSpec())
    records = {}
    (work / "slices").mkdir(parents=True)
    for seed in range(PHANTOMS):
        tiles = cut_tiles(*make_phantom(seed, PhantomSpec(tumours=2)), store.spec)
        name = f"phantom_{seed}"
        store.write(name, tiles)
        records[name] = tiles.record
        np.savez(work / "slices" / f"{name}.npz", image=tiles.image[..., 0], mask=tiles.mask)
    split = {"train": list(records), "val": [], "test": []}
    TileStore(store.folder, store.spec, cases=records, split=split).save()


def measure_pipeline(work: Path) -> dict:
    """Measure the slices per second of `training_batches`."""
    from liverseg_tf.cli.shared.tensorflow import import_backend

    import_backend()
    from liverseg_tf.tiles.store import TileStore
    from liverseg_tf.train.data.pipeline import training_batches
    from liverseg_tf.train.data.sampling import BatchSampler
    from liverseg_tf.train.network.from_settings import make_network_spec
    from liverseg_tf.train.settings import TrainSettings

    store, settings = TileStore.open(work / "store"), TrainSettings(mirror=True)
    names = store.split["train"]
    sampler = BatchSampler(
        store, names, make_network_spec(store, settings), BATCH, settings.foreground_fraction
    )
    batches = iter(training_batches(sampler, settings))
    for _ in range(8):
        next(batches)
    started = time.perf_counter()
    for _ in range(PIPELINE_BATCHES):
        next(batches)
    rate = BATCH * PIPELINE_BATCHES / (time.perf_counter() - started)
    return {"rate": rate, "waits": measure_waits(store, settings, sampler)}


def measure_waits(store, settings, sampler) -> float:
    """Return the fraction of the time in which the learner waits for its next batch."""
    from liverseg_tf.train.data.pipeline import training_batches
    from liverseg_tf.train.learner.execution import ExecutionOptions
    from liverseg_tf.train.learner.factory import make_learner
    from liverseg_tf.train.network.from_settings import make_network_spec

    learner = make_learner(make_network_spec(store, settings), settings, ExecutionOptions())
    batches = learner.batches(lambda shards: training_batches(sampler, settings, 0, shards))
    waited, started = 0.0, 0.0
    for step in range(3 + 4 * STEPS):
        if step == 3:
            waited, started = 0.0, time.perf_counter()
        asked = time.perf_counter()
        batch = next(batches)
        waited += time.perf_counter() - asked
        float(learner.step(*batch, 1e-3))
    return waited / (time.perf_counter() - started)


if __name__ == "__main__":
    main()
