"""Time to draw lesions, and structures that look like lesions, into training tiles.

    python benchmarks/lesion_speed.py STORE --cases 6

Prints the processor time for each tile with three slices, less the time to read it, of lesions
alone and with each kind of lookalike. The samplers take turns; the median of the rounds counts.
"""

import argparse
import statistics
import time
from pathlib import Path

from liverseg_tf.choices import LOOKALIKES
from liverseg_tf.ct.regions import LIVER_REGIONS
from liverseg_tf.model.spec import NetworkSpec
from liverseg_tf.tiles.store import TileStore
from liverseg_tf.train.data.lesion_tiles import LesionSampler, LesionShare
from liverseg_tf.train.data.sampling import BatchSampler

BATCH, ROUNDS, STEPS = 8, 7, 10


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("store", type=Path)
    parser.add_argument("--cases", type=int, default=6)
    options = parser.parse_args()
    store = TileStore.open(options.store)
    names = list(store.cases)[: options.cases]
    arguments = (store, names, NetworkSpec(store.spec, LIVER_REGIONS, 3), BATCH, 0.5)
    kinds = {"lesions": (), **{kind: (kind,) for kind in LOOKALIKES}, "all": LOOKALIKES}
    samplers = {
        name: LesionSampler(LesionShare(1.0, 0, kind), *arguments) for name, kind in kinds.items()
    }
    samplers["reading"] = BatchSampler(*arguments)
    times: dict[str, list[float]] = {name: [] for name in samplers}
    for number in range(ROUNDS + 1):
        for name, sampler in samplers.items():
            start = time.process_time()
            for step in range(STEPS):
                sampler.batch(0, number * STEPS + step)
            if number:  # the first round finds the organs
                times[name].append((time.process_time() - start) / STEPS / BATCH)
    medians = {name: statistics.median(values) for name, values in times.items()}
    print(f"{'drawn':10} {'ms a tile':>10} {'tiles a second':>15}")
    for name in kinds:
        seconds = medians[name] - medians["reading"]
        label = name if name == "lesions" else f"+ {name}"
        print(f"{label:10} {1000 * seconds:10.2f} {1 / seconds:15.0f}")


if __name__ == "__main__":
    main()
