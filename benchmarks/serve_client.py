"""Measure the overhead of the client for benchmarks/serve.py: a local model and a model server.

The server is that of the tests (gRPC's C core, TensorFlow, the official messages) in its own
process on the same cores; it is not TensorFlow Serving.
"""

import os
import statistics
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

SERVERS = Path(__file__).parents[1] / "tests" / "serve" / "servers.py"


def measure_client(work: Path, local, image, repeats: int, name: str) -> dict[str, dict]:
    """Measure the throughput for volumes and the latency of batches, locally and on a server.

    Local and served predictions alternate, so that other load on the machine affects both.

    Args:
        work: Folder of the models; the server serves `work/NAME/VERSION/`.
        local: Predictor of the same SavedModel in this process.
        image: CT that is predicted.
        repeats: Number of volumes for each predictor.
        name: Name and version of the model, as in an address.

    Returns:
        For 'SavedModel' and 'gRPC client': slices_per_s (median), and p50_ms and p99_ms of single
        batches of 4 slices, one at a time. REST is not measured: the test server takes seconds to
        write floats as text, which does not represent the real server.
    """
    from liverseg_tf.serve.client.address import ServerAddress
    from liverseg_tf.serve.client.served_model import ServedModel

    with serving(work, "grpc") as port:
        address = ServerAddress.parse(f"grpc://127.0.0.1:{port}/{name}")
        with ServedModel(address) as served:
            return compare({"SavedModel": local, "gRPC client": served}, image, repeats)


def compare(predictors: dict, image, repeats: int, batches: int = 50) -> dict[str, dict]:
    """Compare predictors, whose masks must be equal; see `measure_client`."""
    import numpy as np

    from liverseg_tf.predict.segment_volume import find_regions

    seconds = {name: [] for name in predictors}
    masks = {}
    for repeat in range(repeats + 1):
        for name, predictor in predictors.items():
            started = time.perf_counter()
            masks[name] = find_regions(image, predictor).labels().array
            if repeat:  # the first repeat is a warm-up
                seconds[name].append(time.perf_counter() - started)
    first = next(iter(masks.values()))
    different = {name: int((mask != first).sum()) for name, mask in masks.items()}
    assert not any(different.values()), different
    channels = predictors["SavedModel"].network.channels
    tiles = np.random.default_rng(0).integers(0, 256, (4, 256, 256, channels), np.uint8)
    rows = {}
    for name, predictor in predictors.items():
        times = []
        for _ in range(batches):
            started = time.perf_counter()
            predictor.probabilities(tiles)
            times.append(1000 * (time.perf_counter() - started))
        rows[name] = {
            "slices_per_s": len(image.array) / statistics.median(seconds[name]),
            "p50_ms": float(np.percentile(times, 50)),
            "p99_ms": float(np.percentile(times, 99)),
        }
    return rows


def print_rows(rows: dict[str, dict]) -> None:
    best = rows["SavedModel"]["slices_per_s"]
    for name, row in rows.items():
        overhead = 100 * (best / row["slices_per_s"] - 1)
        print(
            f"{name:12} {row['slices_per_s']:7.1f} slices/s ({overhead:+.1f} % time), "
            f"4 slices in {row['p50_ms']:.0f} ms (p50), {row['p99_ms']:.0f} ms (p99)"
        )


@contextmanager
def serving(folder: Path, protocol: str) -> Iterator[int]:
    """Run a server in its own process; yields its port."""
    environment = os.environ | {"TF_ENABLE_ONEDNN_OPTS": "1", "TF_CPP_MIN_LOG_LEVEL": "3"}
    process = subprocess.Popen(
        [sys.executable, SERVERS, folder, protocol],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
        env=environment,
    )
    try:
        yield int(process.stdout.readline())
    finally:
        process.stdin.close()
        process.wait(20)
