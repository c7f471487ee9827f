"""Cases side by side on any executor, of which a worker may die without costing the others."""

import multiprocessing
import os
import queue
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import BrokenExecutor, CancelledError, Executor, ProcessPoolExecutor
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Protocol

from liverseg_tf.errors import LiverSegError


class Workers(Protocol):
    """Where jobs run: processes of this machine, or a cluster (`cluster.DaskCluster`).

    Args:
        count: jobs that run at the same time, as far as it is known.
    """

    count: int

    def open(self) -> AbstractContextManager[Executor]:
        """A fresh executor, closed at the end of the block."""


@dataclass(frozen=True)
class Processes:
    """Processes of this machine.

    Args:
        count: how many.
    """

    count: int = 1

    def open(self) -> Executor:
        # spawn: forked copies of a process that runs threads (TensorFlow, BLAS) can hang
        context = multiprocessing.get_context("spawn")
        return ProcessPoolExecutor(self.count, mp_context=context, initializer=_end_with_parent)


def run_here(function: Callable, jobs: list) -> Iterator[tuple[int, object]]:
    """Index and result of each job, one after the other in this process."""
    yield from ((index, function(job)) for index, job in enumerate(jobs))


def run_each(function: Callable, jobs: list, workers: Workers) -> Iterator[tuple[int, object]]:
    """Call a function with each job, side by side.

    Args:
        function: of a module's top level, with one argument; it handles its own errors.
        jobs: the arguments; they travel to other processes, perhaps on other machines.
        workers: where the jobs run.

    Yields:
        The job's index and the function's result, in the order in which they end; instead of
        a result a LiverSegError where the worker died (killed, or out of memory) or could not
        run the function.
    """
    waiting = list(range(len(jobs)))
    while waiting:
        done = set()
        for index, outcome in _run_all(function, jobs, waiting, workers):
            done.add(index)
            yield index, outcome
        waiting = [index for index in waiting if index not in done]
        # a worker died: jobs start in order, so the guilty one is among the first; find it alone
        for index in waiting[: workers.count]:
            alone = dict(_run_all(function, jobs, [index], workers))
            yield index, alone.get(index, LiverSegError(_DIED))
        waiting = waiting[workers.count :]


_DIED = "Expected a worker to end its work. Received none: it died (killed, or out of memory)"


def _run_all(
    function: Callable, jobs: list, indices: list[int], workers: Workers
) -> Iterator[tuple[int, object]]:
    """Index and outcome of each job that ended; one whose worker died is left out."""
    ended = queue.SimpleQueue()
    with workers.open() as executor:
        futures = {}
        try:
            for index in indices:
                futures[executor.submit(function, jobs[index])] = index
            for future in futures:
                future.add_done_callback(ended.put)
            for _ in futures:
                future = ended.get()
                error = None if future.cancelled() else future.exception()
                if not _is_death(error):
                    yield futures[future], _outcome(future)
        except BrokenExecutor:
            return  # it broke while jobs were handed in
        finally:
            for future in futures:  # of an interrupted run: what has not begun never does
                future.cancel()


def _is_death(error: BaseException | None) -> bool:
    # Dask blames every job that waited on the worker; its class is named, not imported
    return isinstance(error, BrokenExecutor) or type(error).__name__ == "KilledWorker"


def _outcome(future) -> object:
    try:
        return future.result()
    except CancelledError:
        return LiverSegError(
            "Expected a worker to end its work. Received none: its cluster has no worker left"
        )
    except Exception as error:  # of the worker: a library that isn't there, a killed machine
        return LiverSegError(f"Unexpected {type(error).__name__} in a worker: {error}")


def _end_with_parent() -> None:
    """Let a worker end when its parent was killed; it would wait for work for ever."""

    def wait() -> None:
        multiprocessing.parent_process().join()
        os._exit(1)

    threading.Thread(target=wait, daemon=True).start()
