"""Measure training and prediction on a GPU; see benchmarks/README.md. Called by gpu.sh.

Every group of rows is a process of its own with a time limit. A result is written as soon as a row
is measured, so that a second call continues where the first one ended. Time that a group does not
use is left to the groups after it.
"""

import argparse
import os
import signal
import subprocess
import sys
import time
from datetime import UTC, datetime
from pathlib import Path

from plan import GROUPS, SECONDS, Group, missing_rows
from results import read_results, write_result
from table import DRY_RUN, write_tables

HERE = Path(__file__).parent
ROOT = HERE.parents[1]


def main() -> None:
    options = parse()
    started, call = time.monotonic(), datetime.now(UTC).strftime("%Y%m%dT%H%M%SZ")
    card = DRY_RUN if options.quick else card_name()
    folder = options.out / card.replace(" ", "_")
    packages = install(options.wheels, options.out)
    missing = missing_rows(read_results(folder), options.retry)
    store = options.out / ("store_of_phantoms" if options.pack is None else "store")
    if missing and not (store / "store.json").is_file():
        command = [sys.executable, HERE / "make_store.py", store]
        command += [] if options.pack is None else ["--pack", options.pack]
        subprocess.run(command, env=os.environ | python_path(packages), check=True)
    scale = options.minutes * 60 / SECONDS
    end = started
    for group in GROUPS:
        rows = [row for row in group.rows if row in missing]
        end += scale * group.seconds
        if rows:
            variables = environment(group, folder, packages)
            if options.quick:  # functions are hardly run, so they need not be fast
                variables["XLA_FLAGS"] = "--xla_backend_optimization_level=0"
                variables["OMP_NUM_THREADS"] = "1"
            command = [
                *(sys.executable, HERE / group.script, "--rows", *rows, "--call", call),
                *("--out", folder, "--store", store, *(["--quick"] if options.quick else [])),
            ]
            measure(group, command, variables, (folder, call, end))
    print(write_tables(folder, card))
    left = missing_rows(read_results(folder))
    if left:
        print(f"Missing; the same command measures them: {', '.join(sorted(left))}")


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="gpu.sh", description=__doc__.splitlines()[0])
    parser.add_argument("--pack", type=Path, help="File that benchmarks/gpu/pack.py wrote.")
    parser.add_argument("--out", type=Path, required=True, help="Folder of the results.")
    parser.add_argument(
        "--wheels", type=Path, help="Folder of wheels that are installed into --out first."
    )
    parser.add_argument(
        "--minutes", type=float, default=SECONDS / 60, help="Time of this call (default: 6)."
    )
    parser.add_argument(
        "--retry", action="store_true", help="Measure rows that failed in an earlier call again."
    )
    parser.add_argument(
        "--quick", action="store_true", help="Tiny sizes on the CPU, to try the script itself."
    )
    options = parser.parse_args()
    if options.pack is None and not options.quick:
        parser.error("Expected --pack FILE. Received neither a file nor --quick.")
    options.out = options.out.absolute()
    return options


def card_name() -> str:
    """Return the name of the first GPU."""
    query = ["nvidia-smi", "--query-gpu=name", "--format=csv,noheader"]
    try:
        found = subprocess.run(query, capture_output=True, text=True, check=True)
    except (OSError, subprocess.CalledProcessError) as error:
        message = "Expected an NVIDIA GPU. Received none: --quick runs on the CPU."
        raise SystemExit(message) from error
    return found.stdout.splitlines()[0].strip()


def install(wheels: Path | None, out: Path) -> Path:
    """Install wheels into a folder that the measurements find; nothing else is downloaded."""
    packages = out / "packages"
    if wheels is not None and not packages.is_dir():
        pip = [sys.executable, "-m", "pip", "install", "--quiet", "--no-index", "--no-deps"]
        subprocess.run([*pip, "--target", packages, *sorted(wheels.glob("*.whl"))], check=True)
    return packages


def environment(group: Group, folder: Path, packages: Path) -> dict[str, str]:
    """Environment variables of a process: one GPU, no more memory than needed, and caches."""
    changes = {
        "CUDA_VISIBLE_DEVICES": os.environ.get("CUDA_VISIBLE_DEVICES", "0"),
        "XLA_PYTHON_CLIENT_PREALLOCATE": "false",
        # compiled functions are kept for a second call
        "JAX_COMPILATION_CACHE_DIR": str(folder / "compiled" / "jax"),
        "JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS": "0",
        "TORCHINDUCTOR_CACHE_DIR": str(folder / "compiled" / "torch"),
        "TRITON_CACHE_DIR": str(folder / "compiled" / "triton"),
    }
    backend = {} if group.backend is None else {"KERAS_BACKEND": group.backend}
    return os.environ | python_path(packages) | changes | backend


def python_path(packages: Path) -> dict[str, str]:
    return {"PYTHONPATH": os.pathsep.join(map(str, (packages, ROOT, HERE.parent)))}


def measure(group: Group, command: list, variables: dict, call: tuple[Path, str, float]) -> None:
    """Run the process of a group, and record why rows without a result have none."""
    folder, identifier, end = call
    log = folder / "logs" / f"{group.name}.{identifier}.log"
    log.parent.mkdir(parents=True, exist_ok=True)
    seconds = max(end - time.monotonic(), 0)
    print(f"{group.name}: at most {seconds:.0f} s", flush=True)
    with open(log, "w") as file:
        process = subprocess.Popen(
            [*map(str, command)],
            env=variables,
            stdout=file,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
        try:
            process.wait(seconds)
            reason = {"error": last_line(log)}
        except subprocess.TimeoutExpired:
            reason = {"error": "Stopped at the time limit.", "stopped": True}
        finally:
            stop(process)
    answered = {r["row"] for r in read_results(folder) if r["call"] == identifier}
    for row in command[command.index("--rows") + 1 : command.index("--call")]:
        if row not in answered:
            write_result(folder, row, identifier, reason)


def stop(process: subprocess.Popen) -> None:
    """End a process with all processes that it started, such as the workers of a DataLoader."""
    try:
        os.killpg(process.pid, signal.SIGKILL)
    except ProcessLookupError:
        return
    process.wait()


def last_line(log: Path) -> str:
    lines = [line.strip() for line in log.read_text(errors="replace").splitlines()]
    return next((line for line in reversed(lines) if line), "The process wrote no message.")


if __name__ == "__main__":
    main()
