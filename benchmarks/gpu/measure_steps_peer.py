"""Measure training steps of plain PyTorch, with torch.compile and channels_last."""

import functools
import gc
import time

import torch
from measuring import measure_rows, measure_step_times, parse_options, sizes_of
from peers.train_torch import make_batch, make_step


def main() -> None:
    process_started = time.perf_counter()
    options = parse_options()

    def measure(row: str) -> dict:
        return measure_step(*sizes_of(row, options.quick), options.quick, process_started)

    measure_rows(options, measure)


def measure_step(side: int, batch: int, quick: bool, process_started: float) -> dict:
    """Measure the step of benchmarks/peers/train_torch.py."""
    device = "cuda" if torch.cuda.is_available() else "cpu"
    torch._dynamo.reset()  # otherwise the next shape is compiled for all shapes
    gc.collect()
    if device == "cuda":
        torch.cuda.empty_cache()
        torch.cuda.reset_peak_memory_stats()
    started = time.perf_counter()
    step, _ = make_step("bfloat16", not quick, device)
    step = functools.partial(step, *make_batch(side, batch, device))
    found = measure_step_times(step, side, batch, quick, (process_started, started))
    if device == "cuda":
        found["gigabytes"] = torch.cuda.max_memory_allocated() / 1e9
    kind = "eager" if quick else "torch.compile"
    found["what"] = f"PyTorch {torch.__version__} {kind}, channels_last"
    return found


if __name__ == "__main__":
    main()
