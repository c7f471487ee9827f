"""What every benchmark needs: repeats, the memory of a command's processes, the hardware."""

import os
import platform
import statistics
import subprocess
import sys
import time
from pathlib import Path


def median_of(job, repeats: int):
    """Median seconds of a function's calls, and its last result."""
    times = []
    for _ in range(repeats):
        started = time.perf_counter()
        result = job()
        times.append(time.perf_counter() - started)
    return statistics.median(times), result


def run_command(command: list, **options) -> tuple[float, float]:
    """Seconds of a command, and the peak memory in GB of its largest process."""
    started = time.perf_counter()
    process = subprocess.Popen(
        [str(part) for part in command],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        **options,
    )
    output = process.stdout.read()
    _, status, usage = os.wait4(process.pid, 0)
    seconds = time.perf_counter() - started
    if status:
        raise SystemExit(f"{output}\nfailed: {' '.join(map(str, command))}")
    return seconds, usage.ru_maxrss / 1024**2


def print_hardware() -> None:
    """Processor, cores, Python, and what else the machine is doing."""
    model = platform.processor()
    if Path("/proc/cpuinfo").is_file():
        lines = Path("/proc/cpuinfo").read_text().splitlines()
        model = next((line.split(":")[1].strip() for line in lines if "model name" in line), model)
    load = os.getloadavg()[0]
    print(f"{model}, {os.cpu_count()} cores, Python {sys.version.split()[0]}, load {load:.1f}")
