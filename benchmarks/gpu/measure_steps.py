"""Measure training steps of liverseg_tf, and a product of large matrices, with one backend."""

import functools
import gc
import math
import time

from measuring import (
    SMALL_NETWORK,
    PeakMemory,
    measure_rows,
    measure_step_times,
    parse_options,
    sizes_of,
)

from liverseg_tf.cli.shared.tensorflow import import_backend

MATRIX_SIDE, QUICK_MATRIX_SIDE, PRODUCTS = 8192, 256, 10
PRECISION = "bfloat16"


def main() -> None:
    started = time.perf_counter()
    options = parse_options()
    import_backend()
    memory = PeakMemory()

    def measure(row: str) -> dict:
        if row.startswith("matrix"):
            return {"rate": measure_matrix_rate(options.quick)}
        return measure_step(*sizes_of(row, options.quick), options.quick, memory, started)

    measure_rows(options, measure)


def measure_step(
    side: int, batch: int, quick: bool, memory: PeakMemory, process_started: float
) -> dict:
    """Measure the learner that `liverseg train` uses, on one batch that stays on the device."""
    import keras
    import numpy as np
    from train import flops_of

    from liverseg_tf.model.spec import NetworkSpec
    from liverseg_tf.train.learner.execution import ExecutionOptions
    from liverseg_tf.train.learner.factory import make_learner
    from liverseg_tf.train.learner.hardware import choose_hardware
    from liverseg_tf.train.settings import TrainSettings

    _forget()
    memory.start()
    started = time.perf_counter()
    learner = make_learner(
        NetworkSpec(),
        TrainSettings(batch_size=batch, **(SMALL_NETWORK if quick else {})),
        ExecutionOptions(choose_hardware(PRECISION)),
    )
    rng, shape = np.random.default_rng(0), (batch, side, side)
    image = keras.ops.convert_to_tensor(rng.uniform(0, 255, (*shape, 1)).astype(np.float32))
    truth = keras.ops.convert_to_tensor((rng.random((*shape, 2)) > 0.9).astype(np.uint8))
    step = functools.partial(learner.step, image, truth, 1e-3)
    found = measure_step_times(step, side, batch, quick, (process_started, started))
    found["gigabytes"] = memory.gigabytes()
    found["flops_per_image"] = flops_of(learner.components.model, shape) / batch
    found["what"] = f"Keras {keras.__version__} on {keras.backend.backend()}"
    return found


def measure_matrix_rate(quick: bool) -> float:
    """Return the floating-point operations per second of products of large random matrices."""
    import keras
    import numpy as np

    side = QUICK_MATRIX_SIDE if quick else MATRIX_SIDE
    values = np.random.default_rng(0).standard_normal((side, side), np.float32)
    values /= math.sqrt(side)  # the products keep their size
    matrix = keras.ops.cast(keras.ops.convert_to_tensor(values), PRECISION)
    times = []
    for _ in range(4):  # the first one compiles
        started, product = time.perf_counter(), matrix
        for _ in range(PRODUCTS):
            product = keras.ops.matmul(product, matrix)
        float(keras.ops.cast(product[0, 0], "float32"))
        times.append(time.perf_counter() - started)
    return PRODUCTS * 2 * side**3 / min(times)


def _forget() -> None:
    """Free the memory of the step that was measured before."""
    import keras

    keras.utils.clear_session()
    gc.collect()
    if keras.backend.backend() == "torch":
        import torch

        torch._dynamo.reset()  # otherwise the next shape is compiled for all shapes
        torch.cuda.empty_cache()


if __name__ == "__main__":
    main()
