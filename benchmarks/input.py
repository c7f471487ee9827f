"""Measure how fast training slices come from a store, beside a plain copy of the same bytes.

    python benchmarks/input.py --threads 2

The store holds phantoms of 256 x 256 and is in memory (warm). A slice is one image and its mask. In
each repeat, `read_batches`, which hands uint8 batches to the device, alternates with threads that
copy the same number of bytes from the same files, and with `read_batches` that also draws the
parameters of the augmentation.
"""

import argparse
import itertools
import os
import statistics
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
from measure import print_hardware
from train import make_store

from liverseg_tf.tiles.store import TileStore
from liverseg_tf.train.data.pipeline import read_batches
from liverseg_tf.train.data.sampling import BatchSampler
from liverseg_tf.train.network.from_settings import make_network_spec
from liverseg_tf.train.settings import TrainSettings

SLICES = 8192
BATCHES = (8, 64)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--threads", type=int, help="Number of cores to use; all by default.")
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--context", type=int, default=1, help="Slices of the input.")
    parser.add_argument("--work", type=Path, help="Folder in which the store is kept.")
    options = parser.parse_args()
    if options.threads and hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[: options.threads])
    print_hardware()
    with tempfile.TemporaryDirectory() as folder:
        work = options.work or Path(folder)
        make_store(work)
        store = TileStore.open(work / "store")
        for batch in BATCHES:
            settings = TrainSettings(batch_size=batch, augment=0.0, context=options.context)
            compare(store, settings, options.repeats)


def compare(store: TileStore, settings: TrainSettings, repeats: int) -> None:
    sampler = BatchSampler(
        store,
        store.split["train"],
        make_network_spec(store, settings),
        settings.batch_size,
        settings.foreground_fraction,
    )
    threads = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    plain = PlainCopy(store, settings.context, threads or 1)
    augmented = TrainSettings(batch_size=settings.batch_size, context=settings.context)
    jobs = {
        "read_batches": lambda: read(sampler, settings),
        "plain copy": plain.run,
        "with draws": lambda: read(sampler, augmented),
    }
    rates: dict[str, list[tuple[float, float]]] = {name: [] for name in jobs}
    for _ in range(repeats):
        for name, job in jobs.items():
            rates[name].append(rates_of(job))
    limit, processor_limit = map(statistics.median, zip(*rates["plain copy"], strict=True))
    print(f"batches of {settings.batch_size} slices, context {settings.context}, {threads} threads")
    for name, found in rates.items():
        rate, processor = map(statistics.median, zip(*found, strict=True))
        print(
            f"{name:12} {rate:8,.0f} slices/s, {rate / limit:.2f} of a plain copy; "
            f"{processor:8,.0f} per processor second, {processor / processor_limit:.2f}",
            flush=True,
        )


def rates_of(job) -> tuple[float, float]:
    """Return the slices per second and per processor second of all threads."""
    started, processor = time.perf_counter(), time.process_time()
    job()
    seconds, processor_seconds = time.perf_counter() - started, time.process_time() - processor
    return SLICES / seconds, SLICES / processor_seconds


def read(sampler: BatchSampler, settings: TrainSettings) -> None:
    """Take batches as training does: each is dropped when the next one is asked for."""
    batches = read_batches(sampler, settings)
    for _ in itertools.islice(batches, SLICES // settings.batch_size):
        pass


class PlainCopy:
    """Threads that copy as many bytes, a case at a time, into memory that they have used before."""

    def __init__(self, store: TileStore, context: int, threads: int):
        cases = [store.read(name, compare=False) for name in store.split["train"]]
        self._sources = [
            [*[np.asarray(case.image)] * context, np.asarray(case.mask)] for case in cases
        ]
        size = max(array.size for arrays in self._sources for array in arrays)
        self._targets = [np.zeros(size, np.uint8) for _ in range(threads)]

    def run(self) -> None:
        with ThreadPoolExecutor(len(self._targets)) as executor:
            list(executor.map(self._copy, self._targets))

    def _copy(self, target: np.ndarray) -> None:
        left = SLICES // len(self._targets)
        for arrays in itertools.cycle(self._sources):
            count = min(left, len(arrays[0]))
            for array in arrays:
                source = array[:count].reshape(-1)
                np.copyto(target[: source.size], source)
            left -= count
            if not left:
                return


if __name__ == "__main__":
    main()
