"""Train on the packed tiles for a limited time, and record the validation Dice."""

import shutil
import time
from dataclasses import replace

from measure_memory import read_preset
from measuring import measure_rows, parse_options
from plan import TRAINING_MINUTES

from liverseg_tf.cli.shared.tensorflow import import_backend

PRESET, QUICK_MINUTES = "fast", 0.1


def main() -> None:
    started, options = time.monotonic(), parse_options()
    import_backend()
    measure_rows(options, lambda row: measure(options, started))


def measure(options, started: float) -> dict:
    """Train as `liverseg train --preset fast --minutes 1.5`; the time includes the start."""
    from liverseg_tf.tiles.store import TileStore
    from liverseg_tf.train.learner.execution import ExecutionOptions
    from liverseg_tf.train.session.fit import train

    store = TileStore.open(options.store)
    minutes = QUICK_MINUTES if options.quick else TRAINING_MINUTES
    settings = replace(read_preset(PRESET, options.quick), minutes=minutes)
    folder = options.out / "run"
    shutil.rmtree(folder, ignore_errors=True)  # a run of an earlier call that was stopped
    result = train(store, folder, settings, ExecutionOptions(started=started))
    return {
        "dice": result.dice,
        "validation_cases": len(result.validated_on),
        "training_cases": len(store.split["train"]),
        "steps": result.steps,
        "seconds": result.seconds,
        "preset": PRESET,
    }


if __name__ == "__main__":
    main()
