"""Repeated measurements, the memory of a command's processes, and the hardware."""

import os
import platform
import statistics
import subprocess
import sys
import time
from pathlib import Path


def median_of(job, repeats: int):
    """Return the median seconds of repeated calls of a function, and its last result."""
    times = []
    for _ in range(repeats):
        started = time.perf_counter()
        result = job()
        times.append(time.perf_counter() - started)
    return statistics.median(times), result


# An intermediate process: on Linux, the peak memory of a child starts at that of its parent.
_MEASURED = """
import resource, subprocess, sys, time
started = time.perf_counter()
done = subprocess.run(sys.argv[1:])
seconds = time.perf_counter() - started
print(seconds, resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 1024**2)
sys.exit(done.returncode)
"""


def run_command(command: list, **options) -> tuple[float, float]:
    """Return the seconds of a command, and the peak memory of its largest process in GiB."""
    done = subprocess.run(
        [sys.executable, "-c", _MEASURED, *map(str, command)],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
        **options,
    )
    if done.returncode:
        raise SystemExit(f"{done.stdout}\nThis command failed: {' '.join(map(str, command))}")
    seconds, gigabytes = done.stdout.splitlines()[-1].split()
    return float(seconds), float(gigabytes)


def print_hardware() -> None:
    """Print the processor, the number of cores, the Python version and the load of the machine."""
    model = platform.processor()
    if Path("/proc/cpuinfo").is_file():
        lines = Path("/proc/cpuinfo").read_text().splitlines()
        model = next((line.split(":")[1].strip() for line in lines if "model name" in line), model)
    load = os.getloadavg()[0]
    print(f"{model}, {os.cpu_count()} cores, Python {sys.version.split()[0]}, load {load:.1f}")
