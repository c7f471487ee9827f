"""The file of results: measured costs and finished trainings with the scores of each case."""

import fcntl
import importlib.metadata
import os
import platform
from contextlib import contextmanager
from pathlib import Path

from contest.costs import Cost
from contest.task import Length
from liverseg_tf.atomic import read_json, write_json

IDENTITY = ("contestant", "variant", "task", "minutes", "fold")


class Results:
    """Results in a JSON file, to which several processes may add.

    Args:
        path: The file. It need not exist.
    """

    def __init__(self, path: Path):
        self.path = path

    @property
    def rows(self) -> list[dict]:
        return self._read()["rows"]

    def find(self, **identity) -> dict | None:
        """Return the finished training with these values of `IDENTITY`."""
        return next((row for row in self.rows if _is(row, identity)), None)

    def cost(self, contestant: str, variant: str, task: str) -> Cost | None:
        """Return the measured cost of a contestant's training."""
        wanted = {"contestant": contestant, "variant": variant, "task": task}
        for row in self._read()["costs"]:
            if _is(row, wanted):
                return Cost(row["fixed_s"], row["epoch_s"], row["step_s"], row["call"])
        return None

    def seconds_like(self, cost: Cost, minutes: float, fold: int, **identity) -> float | None:
        """Return the processor seconds of a finished training, with which another is compared.

        Args:
            cost: Cost of the other training.
            minutes: Minutes of the finished training.
            fold: Its fold.
            identity: Its contestant, variant and task.

        Returns:
            Its seconds at its present cost; None if there is no such training.
        """
        row = self.find(**identity, minutes=minutes, fold=fold)
        if row is None:
            return None
        own = self.cost(**identity)
        if own is None or own.call != cost.call:
            raise SystemExit(
                f"Expected the cost of {identity['contestant']} and that of what is compared with "
                "it from one call. Name both with --rates, which measures them together."
            )
        return own.seconds(Length(row["epochs"], row["steps"] // row["epochs"]))

    def add_cost(self, cost: Cost, **identity) -> None:
        """Add or replace the measured cost of a contestant's training."""
        values = {"fixed_s": cost.fixed_s, "epoch_s": cost.epoch_s, "step_s": cost.step_s}
        measured = {name: round(value, 4) for name, value in values.items()}
        row = {**identity, **measured, "call": cost.call, "hardware": describe_hardware()}
        self._add("costs", row, identity)

    def add(self, row: dict) -> None:
        """Add or replace a finished training."""
        self._add("rows", row, {name: row[name] for name in IDENTITY})

    def remove(self, identity: dict) -> None:
        """Remove a finished training."""
        self._add("rows", None, identity)

    def _add(self, part: str, row: dict | None, identity: dict) -> None:
        with self._locked():
            value = self._read()
            others = [one for one in value[part] if not _is(one, identity)]
            value[part] = sorted(others if row is None else [*others, row], key=_sort_key)
            write_json(self.path, value)

    def _read(self) -> dict:
        if not self.path.exists():
            return {"costs": [], "rows": []}
        return read_json(self.path)

    @contextmanager
    def _locked(self):
        self.path.parent.mkdir(parents=True, exist_ok=True)
        folder = os.open(self.path.parent, os.O_RDONLY)
        try:
            fcntl.flock(folder, fcntl.LOCK_EX)
            yield
        finally:
            os.close(folder)


def _is(row: dict, identity: dict) -> bool:
    return all(row[name] == value for name, value in identity.items())


def _sort_key(row: dict) -> list[str]:
    return [
        f"{row[name]:06.1f}" if name == "minutes" else str(row[name])
        for name in IDENTITY
        if name in row
    ]


def describe_hardware() -> str:
    """Processor, number of cores, and versions of what trains in this environment."""
    model = platform.processor() or platform.machine()
    if Path("/proc/cpuinfo").is_file():
        lines = Path("/proc/cpuinfo").read_text().splitlines()
        model = next((line.split(": ")[1] for line in lines if "model name" in line), model)
    return f"{model}, {os.cpu_count()} cores, Python {platform.python_version()}"


def describe_version() -> str:
    return f"liverseg_tf {importlib.metadata.version('liverseg_tf')}"
