"""What a training costs in processor seconds of one core, and how long it may therefore be.

On a machine that others use as well, the steps that fit into some minutes of the clock depend on
what else runs. So the processor seconds of a step (user and system time of a process that is bound
to one core) are measured first, and every training gets a number of steps; preparation, start,
validation and the choice of the post-processing are paid for from the same minutes.

Processor seconds depend on other work, too, if less: on the machine of the published figures, they
were up to 1.7 times as high when others used the caches. Therefore only costs that one call has
measured, at the same time on the same core, are compared: the first contestant gets the steps that
fit into its minutes, and the others what those steps cost in a later measurement of both.
"""

import os
import shutil
import subprocess
import sys
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from contest.contestants import Command, Contestant, Place
from contest.task import Length, Task

# one thread in every library, and one process of nnU-Net
ENVIRONMENT = {
    "OMP_NUM_THREADS": "1",
    "MKL_NUM_THREADS": "1",
    "OPENBLAS_NUM_THREADS": "1",
    "TF_NUM_INTRAOP_THREADS": "1",
    "TF_NUM_INTEROP_THREADS": "1",
    "nnUNet_def_n_proc": "1",
}

_INTERRUPTED = "Interrupted. Repeat the command to go on."


@dataclass(frozen=True)
class Cost:
    """Processor seconds of a training on one core.

    Args:
        fixed_s: Everything that does not depend on the length: preparation, start, end.
        epoch_s: End of an epoch, with its validation.
        step_s: One step, with its batch.
        call: Identifies the call that measured it.
    """

    fixed_s: float
    epoch_s: float
    step_s: float
    call: str = ""

    def seconds(self, length: Length) -> float:
        """Return the processor seconds of a training."""
        return self.fixed_s + length.epochs * self.epoch_s + length.steps * self.step_s

    def length(self, seconds: float, epochs: int) -> Length:
        """Return the longest training that takes at most these seconds.

        It has fewer epochs if there is no time for a step in each of them.
        """
        steps = int((seconds - self.fixed_s) / (self.step_s + self.epoch_s))
        if steps < 1:
            raise SystemExit(
                f"Expected time for at least one step. {seconds / 60:.1f} minutes are too few."
            )
        epochs = min(epochs, steps)
        left = seconds - self.fixed_s - epochs * self.epoch_s
        return Length(epochs, int(left / self.step_s / epochs))


def measure_costs(
    contestants: list[Contestant], places: list[Place], task: Task, core: int, call: str
) -> list[Cost]:
    """Measure costs with short trainings: two of different steps and one of more epochs.

    The contestants share the core while they are measured, so that other work on the machine slows
    all of them down alike.
    """
    prepared = []
    for one, place in zip(contestants, places, strict=True):
        for folder in (place.prepared, place.run):
            shutil.rmtree(folder, ignore_errors=True)
        commands = one.preparation(place, task)
        prepared.append(sum(run_on_core(command, core, _log(place)) for command in commands))

    def train(epochs_of, steps_of) -> list[float]:
        def measure(one: Contestant, place: Place) -> float:
            shutil.rmtree(place.run, ignore_errors=True)
            epochs = epochs_of(one)
            command = one.training(place, task, Length(epochs, steps_of(one) // epochs))
            return run_on_core(command, core, _log(place))

        with ThreadPoolExecutor(len(contestants)) as pool:
            return list(pool.map(measure, contestants, places))

    few = train(lambda one: 1, lambda one: one.probes[0])
    many = train(lambda one: 1, lambda one: one.probes[1])
    divided = train(lambda one: one.probe_epochs, lambda one: one.probes[1])
    costs = []
    for one, fixed, short, long, epochs in zip(
        contestants, prepared, few, many, divided, strict=True
    ):
        step_s = (long - short) / (one.probes[1] - one.probes[0])
        epoch_s = 0.0
        if one.probe_epochs > 1:
            epoch_s = max(0.0, (epochs - long) / (one.probe_epochs - 1))
        costs.append(Cost(fixed + short - one.probes[0] * step_s - epoch_s, epoch_s, step_s, call))
    return costs


def _log(place: Place) -> Path:
    return place.run.parent / "log.txt"


@contextmanager
def busy(cores: list[int]) -> Iterator[None]:
    """Keep cores busy with matrix products, as another training would."""
    code = "import numpy; a = numpy.ones((2048, 2048), 'f')\nwhile True: a @ a"
    processes = [
        subprocess.Popen(
            ["taskset", "-c", str(core), sys.executable, "-c", code],
            env=os.environ | ENVIRONMENT,
        )
        for core in cores
    ]
    _running.update(processes)
    try:
        yield
    finally:
        for process in processes:
            process.kill()
            process.wait()
            _running.discard(process)


_running: set[subprocess.Popen] = set()
_stopped = threading.Event()


def stop_all() -> None:
    """End all commands and start no more, so that a later call of the campaign can go on."""
    _stopped.set()
    for process in list(_running):
        process.terminate()
    raise SystemExit(_INTERRUPTED)


def run_on_core(command: Command, core: int, log: Path, keep: tuple[int, ...] = ()) -> float:
    """Run a command on one core; return its processor seconds, those of its children included.

    Args:
        command: Command with its arguments.
        core: Number of the core.
        log: File to which the output is appended.
        keep: File descriptors that the command inherits, such as that of a lock.
    """
    if _stopped.is_set():
        raise SystemExit(_INTERRUPTED)
    log.parent.mkdir(parents=True, exist_ok=True)
    if shutil.which("taskset"):
        command = ["taskset", "-c", str(core), *command]
    with open(log, "ab") as file:
        file.write(f"$ {' '.join(command)}\n".encode())
        file.flush()
        process = subprocess.Popen(
            command,
            stdout=file,
            stderr=subprocess.STDOUT,
            env=os.environ | ENVIRONMENT,
            pass_fds=keep,
        )
        _running.add(process)
        _, status, usage = os.wait4(process.pid, 0)
        _running.discard(process)
    process.returncode = os.waitstatus_to_exitcode(status)
    if _stopped.is_set():
        raise SystemExit(_INTERRUPTED)
    if process.returncode:
        raise SystemExit(f"This command failed, see {log}: {' '.join(command)}")
    return usage.ru_utime + usage.ru_stime
