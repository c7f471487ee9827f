"""What the measurements of benchmarks/gpu.sh share: their options, results, times and memory."""

import argparse
import os
import statistics
import subprocess
import time
import traceback
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

from results import write_result

from liverseg_tf.errors import LiverSegError

QUICK_STEPS = 2
SMALL_NETWORK = {"base_filters": 4, "depth": 2}  # for a dry run


def parse_options() -> argparse.Namespace:
    """Read the options of a process that measures rows."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--rows", nargs="+", required=True, help="Rows to measure, in this order.")
    parser.add_argument("--call", required=True, help="Identifier of the call.")
    parser.add_argument("--out", type=Path, required=True, help="Folder of the results.")
    parser.add_argument("--store", type=Path, required=True, help="Store of tiles.")
    parser.add_argument("--quick", action="store_true", help="Measure tiny sizes on the CPU.")
    return parser.parse_args()


def measure_rows(options: argparse.Namespace, measure: Callable[[str], dict]) -> None:
    """Measure the rows one after another, and write each result or the reason why there is none."""
    for row in options.rows:
        try:
            found = {"values": measure(row)}
        except Exception as error:  # the next row is measured in any case
            traceback.print_exc()
            text = " ".join(str(error).split())[:300]
            is_plain = isinstance(error, LiverSegError)
            found = {"error": text if is_plain else f"{type(error).__name__}: {text}"}
        write_result(options.out, row, options.call, found)
        print(row, found, flush=True)


def measure_step_times(
    step: Callable[[], object], side: int, batch: int, quick: bool, started: tuple[float, float]
) -> dict:
    """Measure a new step: the time until it has run once, and its rate.

    Args:
        step: Function that starts a step and returns its loss.
        side: Height and width of the images in pixels.
        batch: Number of images of a step.
        quick: Whether a few steps are enough.
        started: When the process and the making of the step began, as `time.perf_counter`.
    """
    float(step())
    process_seconds, start_seconds = (time.perf_counter() - moment for moment in started)
    for _ in range(1 if quick else 3):
        float(step())
    return {
        "side": side,
        "batch": batch,
        "process_seconds": process_seconds,
        "start_seconds": start_seconds,
        "rate": measure_rate(step, batch, quick),
    }


def measure_rate(step: Callable[[], object], batch: int, quick: bool) -> float:
    """Return the images per second of repeated steps.

    As in a training run, the loss of a step is read while the next step is computed. The rate is
    the median of several series of steps.

    Args:
        step: Function that starts a step and returns its loss. It was called before.
        batch: Number of images of a step.
        quick: Whether a few steps are enough.
    """
    series = 1 if quick else 5
    count = QUICK_STEPS
    if not quick:
        seconds = _time_steps(step, 5) / 5
        count = max(5, round(0.3 / seconds))
    return statistics.median(batch * count / _time_steps(step, count) for _ in range(series))


def _time_steps(step: Callable[[], object], count: int) -> float:
    started, pending = time.perf_counter(), None
    for _ in range(count):
        loss = step()
        if pending is not None:
            float(pending)
        pending = loss
    float(pending)
    return time.perf_counter() - started


def measure_end_to_end(
    batches: Iterator[tuple], step: Callable, batch: int, quick: bool
) -> dict[str, float | None]:
    """Train on batches for some seconds, as a run does.

    Args:
        batches: Pairs of image and ground truth.
        step: Function of such a pair that starts a step and returns its loss.
        batch: Number of tiles in a batch.
        quick: Whether a few steps are enough.

    Returns:
        Images per second; the fraction of the time in which the loop waits for the next batch; and
        the utilisation of the GPU, 0 to 1. While the loop waits, the step before may still be
        computed.
    """
    warm_up, limit = (1, 0.0) if quick else (10, 8.0)
    for _ in range(warm_up):
        float(step(*next(batches)))
    waited, steps, pending = 0.0, 0, None
    with Utilisation() as utilisation:
        started = time.perf_counter()
        while time.perf_counter() - started < limit or steps < QUICK_STEPS:
            asked = time.perf_counter()
            image, truth = next(batches)
            waited += time.perf_counter() - asked
            loss = step(image, truth)
            if pending is not None:
                float(pending)
            pending, steps = loss, steps + 1
        float(pending)
        seconds = time.perf_counter() - started
    return {
        "rate": batch * steps / seconds,
        "waiting": waited / seconds,
        "utilisation": utilisation.mean,
    }


class Utilisation:
    """Share of the time in which the GPU computes, asked of nvidia-smi several times a second.

    Attributes:
        mean: Mean over the block, 0 to 1; None without nvidia-smi.
    """

    mean: float | None = None

    def __enter__(self) -> "Utilisation":
        self._process = None
        card = os.environ.get("CUDA_VISIBLE_DEVICES", "0").split(",")[0]
        query = ["--query-gpu=utilization.gpu", "--format=csv,noheader,nounits", "--loop-ms=200"]
        with suppress(OSError):
            self._process = subprocess.Popen(
                ["nvidia-smi", "-i", card, *query], stdout=subprocess.PIPE, text=True
            )
        return self

    def __exit__(self, *_) -> None:
        if self._process is None:
            return
        self._process.terminate()
        shares = [float(line) for line in self._process.communicate()[0].split() if line.isdigit()]
        self.mean = statistics.mean(shares) / 100 if shares else None


def reset_peak_memory() -> None:
    """Forget the peak of the memory so far; only PyTorch can do this."""
    import keras

    if keras.backend.backend() == "torch":
        import torch

        if torch.cuda.is_available():
            torch.cuda.reset_peak_memory_stats()


def peak_memory_gb() -> float | None:
    """Return the peak of the memory that the backend has allocated on the GPU."""
    import keras

    if keras.backend.backend() == "torch":
        import torch

        return torch.cuda.max_memory_allocated() / 1e9 if torch.cuda.is_available() else None
    import jax

    peak = (jax.devices()[0].memory_stats() or {}).get("peak_bytes_in_use")
    return None if peak is None else peak / 1e9


class PeakMemory:
    """The peak of each of several measurements in one process.

    JAX cannot reset its peak: a measurement that needs less than an earlier one has no figure.
    """

    def __init__(self) -> None:
        self._before = 0.0

    def start(self) -> None:
        reset_peak_memory()

    def gigabytes(self) -> float | None:
        """Return the peak since `start`; None if it is unknown."""
        import keras

        peak = peak_memory_gb()
        if peak is None or keras.backend.backend() == "torch":
            return peak
        grown, self._before = peak > self._before, max(peak, self._before)
        return peak if grown else None


def regions():
    """Return the two regions of the packed tiles."""
    from liverseg_tf.ct.regions import Regions

    return Regions({"liver": (1,), "spleen": (3,)})


def input_batch(quick: bool) -> int:
    """Return the batch size of the end-to-end rows; a small one in a dry run."""
    return 4 if quick else 64


def sizes_of(row: str, quick: bool) -> tuple[int, int]:
    """Return side and batch size of the row of a step; small ones in a dry run."""
    side, batch = map(int, row.split("_")[-2:])
    return (side // 4, max(2, batch // 16)) if quick else (side, batch)
