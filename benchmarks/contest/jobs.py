"""Trainings, and the locks with which several processes share them."""

import fcntl
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from contest.contestants import Contestant


@dataclass(frozen=True)
class Job:
    """One training.

    Args:
        contestant: Who trains.
        fold: Number of the fold, from 0.
    """

    contestant: Contestant
    fold: int

    def __str__(self) -> str:
        return f"{self.contestant.title}, fold {self.fold}"


@contextmanager
def claim(path: Path, wait: bool = False) -> Iterator[int | None]:
    """Lock a file; yield its descriptor, or None if another process has it.

    A command that inherits the descriptor keeps the lock after this process was killed, so that no
    second process starts the same training beside it.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    with open(path, "w") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))
        except BlockingIOError:
            yield None
        else:
            yield file.fileno()
