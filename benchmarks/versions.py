"""Compare the training steps of this version with those of another one, batches included.

    git clone --branch VERSION . OTHER
    python benchmarks/versions.py OTHER

Both versions train on the same store of phantoms with the settings of a preset, in a process each;
the processes alternate. A step is `next(batches)` and `learner.step`, as in `liverseg train`. The
ratio is the time of the other version divided by that of this one, so that above 1 this version is
faster. On a machine that is in use, compare the processor seconds, with --threads 1.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
import tomllib
from pathlib import Path

from measure import print_hardware
from train import PRECISIONS, make_store

PACKAGE = Path(__file__).resolve().parents[1]
UNTIMED = 2  # steps that are traced and compiled


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("other", type=Path, help="Folder with the other version.")
    parser.add_argument("--presets", nargs="+", default=["fast", "accurate"])
    parser.add_argument("--precisions", nargs="+", default=PRECISIONS, choices=PRECISIONS)
    parser.add_argument("--steps", type=int, default=8)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--batch", type=int, help="Tiles per batch; that of the preset by default.")
    parser.add_argument("--threads", type=int, help="Number of cores to use; all by default.")
    parser.add_argument("--work", type=Path, help="Folder in which the store is kept.")
    parser.add_argument("--measure", nargs=2, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.threads and hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[: options.threads])
    if options.measure:
        print(json.dumps(measure(options, *options.measure)))
        return
    print_hardware()
    with tempfile.TemporaryDirectory() as folder:
        options.work = options.work or Path(folder)
        make_store(options.work)
        for preset in options.presets:
            for precision in options.precisions:
                compare(options, preset, precision)


def compare(options: argparse.Namespace, preset: str, precision: str) -> None:
    versions = {"this": PACKAGE, "other": options.other.resolve()}
    found: dict[str, list[dict]] = {name: [] for name in versions}
    arguments = [*sys.argv[1:], "--work", str(options.work), "--measure", preset, precision]
    for _ in range(options.repeats):
        for name, folder in versions.items():
            done = subprocess.run(
                [sys.executable, __file__, *arguments],
                env=os.environ | {"PYTHONPATH": str(folder)},
                capture_output=True,
                text=True,
                check=False,
            )
            if done.returncode:
                raise SystemExit(f"{done.stderr}\nThe version in {folder} failed.")
            found[name].append(json.loads(done.stdout.splitlines()[-1]))
    print(f"{preset}, {precision}")
    for key, unit in (("seconds", "s"), ("processor", "processor seconds")):
        this, other = (statistics.median(one[key] for one in found[name]) for name in versions)
        print(
            f"    {this:.3f} {unit} per step, {other:.3f} in the other version: {other / this:.3f}",
            flush=True,
        )


def measure(options: argparse.Namespace, preset: str, precision: str) -> dict:
    """Measure the seconds and the processor seconds of a step, batches included."""
    from liverseg_tf.cli.shared.tensorflow import import_tensorflow

    import_tensorflow()
    from liverseg_tf.tiles.store import TileStore
    from liverseg_tf.train.data.pipeline import training_batches
    from liverseg_tf.train.data.sampling import BatchSampler
    from liverseg_tf.train.learner.execution import ExecutionOptions
    from liverseg_tf.train.learner.factory import make_learner
    from liverseg_tf.train.learner.hardware import Hardware
    from liverseg_tf.train.network.from_settings import make_network_spec
    from liverseg_tf.train.settings import TrainSettings

    recipe = tomllib.loads((PACKAGE / f"liverseg_tf/presets/{preset}.toml").read_text())["train"]
    values = {name.replace("-", "_"): value for name, value in recipe.items()}
    if options.batch:
        values["batch_size"] = options.batch
    settings = TrainSettings(**values)
    store = TileStore.open(options.work / "store")
    network = make_network_spec(store, settings)
    sampler = BatchSampler(
        store, store.split["train"], network, settings.batch_size, settings.foreground_fraction
    )
    learner = make_learner(network, settings, ExecutionOptions(Hardware(precision)))
    batches = learner.batches(lambda shards: training_batches(sampler, settings, 0, shards))
    for step in range(UNTIMED + options.steps):
        if step == UNTIMED:
            started, processor = time.perf_counter(), time.process_time()
        float(learner.step(*next(batches), 1e-3))
    return {
        "seconds": (time.perf_counter() - started) / options.steps,
        "processor": (time.process_time() - processor) / options.steps,
    }


if __name__ == "__main__":
    main()
