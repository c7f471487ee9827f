"""Measure what each transform of the data augmentation costs on a processor.

    python benchmarks/augmentation.py --threads 1

In each repeat, batches of random tiles (8 of 256 x 256 with three channels) are augmented with the
recommended transforms, and with each of the others added to them, in turn. It prints the processor
time of the compiled transforms on the device, and that of drawing their parameters.
"""

import argparse
import os
import statistics
import time

import numpy as np
from measure import print_hardware

TILES, SIDE, SLICES = 8, 256, 3
STEPS = 6  # batches of a measurement


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--threads", type=int, help="Number of cores to use; all by default.")
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--only", nargs="+", help="Transforms to measure; all by default.")
    options = parser.parse_args()
    if options.threads and hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[: options.threads])
    print_hardware()
    from liverseg_tf.choices import DEFAULT_TRANSFORMS, TRANSFORMS

    others = options.only or [name for name in TRANSFORMS if name not in DEFAULT_TRANSFORMS]
    chosen = {"recommended": DEFAULT_TRANSFORMS}
    chosen |= {f"+ {name}": (*DEFAULT_TRANSFORMS, name) for name in others}
    if not options.only:
        chosen["all"] = TRANSFORMS
    measures = {name: measure_with(transforms) for name, transforms in chosen.items()}
    found: dict[str, list[tuple[float, float]]] = {name: [] for name in chosen}
    for _ in range(options.repeats):
        for name, measure in measures.items():
            found[name].append(measure())
    print(f"medians of {options.repeats} repeats, {TILES} tiles of {SIDE} x {SIDE} x {SLICES}")
    base, _ = map(statistics.median, zip(*found["recommended"], strict=True))
    for name, times in found.items():
        device, draw = map(statistics.median, zip(*times, strict=True))
        print(
            f"{name:22} {device * 1e3:7.1f} ms ({(device - base) * 1e3:+6.1f} ms); "
            f"draws {draw * 1e3:5.2f} ms",
            flush=True,
        )


def measure_with(transforms: tuple[str, ...]):
    """Return a function that measures the processor seconds of a batch: transforms and draws."""
    from liverseg_tf.ct.regions import Regions
    from liverseg_tf.train.data.draws import BatchDraws
    from liverseg_tf.train.data.mask_codes import MaskCodes
    from liverseg_tf.train.data.pipeline import batch_maker
    from liverseg_tf.train.settings import TrainSettings

    rng = np.random.default_rng(0)
    image = rng.integers(0, 256, (TILES, SIDE, SIDE, SLICES), np.uint8)
    mask = np.zeros((TILES, SIDE, SIDE, 1), np.uint8)
    mask[:, 60:160, 40:150], mask[:, 90:120, 180:220] = 1, 3
    regions = Regions({"liver": [1, 2]})
    settings = TrainSettings(context=SLICES, transforms=transforms, regions=regions)
    draws = BatchDraws(settings, TILES, (SIDE, SIDE))
    make_batch = batch_maker(MaskCodes(regions))
    np.asarray(make_batch(image, mask, draws.draw(0))[0])  # compiles it

    def measure() -> tuple[float, float]:
        started = time.process_time()
        parameters = [draws.draw(step) for step in range(STEPS)]
        drawn = time.process_time()
        for one in parameters:
            np.asarray(make_batch(image, mask, one)[0])
        return (time.process_time() - drawn) / STEPS, (drawn - started) / STEPS

    return measure


if __name__ == "__main__":
    main()
