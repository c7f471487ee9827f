"""Jobs run in parallel on any executor; a worker that dies does not stop the other jobs."""

import multiprocessing
import os
import queue
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import (
    BrokenExecutor,
    CancelledError,
    Executor,
    Future,
    ProcessPoolExecutor,
)
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Protocol, TypeVar

from liverseg_tf.errors import LiverSegError

Job = TypeVar("Job")
Result = TypeVar("Result")


def core_count() -> int:
    """Return the number of processor cores that this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1  # Windows, macOS


class Workers(Protocol):
    """Where jobs run: processes on this machine, or a cluster (`cluster.DaskCluster`)."""

    @property
    def count(self) -> int:
        """Number of jobs that run at the same time, as far as it is known."""

    def open(self) -> AbstractContextManager[Executor]:
        """Open a new executor, which is closed at the end of the block."""


@dataclass(frozen=True)
class Processes:
    """Processes on this machine.

    Args:
        count: Number of processes.
    """

    count: int = 1

    def open(self) -> Executor:
        """Open a pool of processes."""
        # a fork of a process with threads (TensorFlow, BLAS) can hang, so they are spawned
        context = multiprocessing.get_context("spawn")
        return ProcessPoolExecutor(self.count, mp_context=context, initializer=_exit_with_parent)


def run_jobs_here(
    function: Callable[[Job], Result], jobs: Sequence[Job]
) -> Iterator[tuple[int, Result]]:
    """Call a function with each job in this process and yield the job's index and the result."""
    yield from ((index, function(job)) for index, job in enumerate(jobs))


def run_jobs(
    function: Callable[[Job], Result], jobs: Sequence[Job], workers: Workers
) -> Iterator[tuple[int, Result | LiverSegError]]:
    """Call a function with each job in parallel.

    Args:
        function: Function of one argument, defined at the top level of a module. It should handle
            its own errors.
        jobs: Arguments of the calls. They are pickled and sent to other processes, possibly on
            other machines.
        workers: Where the jobs run.

    Yields:
        Index of a job and the result of its call, in the order in which the jobs end. The result
        is a LiverSegError if the worker died (killed, or out of memory) or the call failed.
    """
    waiting = list(range(len(jobs)))
    while waiting:
        done = set()
        for index, outcome in _run_batch(function, jobs, waiting, workers):
            done.add(index)
            yield index, outcome
        waiting = [index for index in waiting if index not in done]
        # A worker died. Jobs start in order, so the job that killed it is among the first ones:
        # run each of these by itself.
        for index in waiting[: workers.count]:
            result = dict(_run_batch(function, jobs, [index], workers))
            yield index, result.get(index, LiverSegError(_WORKER_DIED))
        waiting = waiting[workers.count :]


_WORKER_DIED = "The worker died (killed, or out of memory): use fewer workers."


def _run_batch(
    function: Callable[[Job], Result], jobs: Sequence[Job], indices: list[int], workers: Workers
) -> Iterator[tuple[int, Result | LiverSegError]]:
    """Yield index and outcome of each job that ended; jobs whose worker died are left out."""
    ended: queue.SimpleQueue[Future[Result]] = queue.SimpleQueue()
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
                if not _is_worker_death(error):
                    outcome = _outcome(future)
                    yield futures[future], outcome
        except BrokenExecutor:
            return  # a worker died while jobs were submitted
        finally:
            for future in futures:  # after an interrupt: jobs that have not started never do
                future.cancel()


def _is_worker_death(error: BaseException | None) -> bool:
    # Dask raises KilledWorker for every job of the worker; Dask is optional, so compare the name
    return isinstance(error, BrokenExecutor) or type(error).__name__ == "KilledWorker"


def _outcome(future: Future[Result]) -> Result | LiverSegError:
    try:
        return future.result()
    except CancelledError:
        return LiverSegError("The cluster has no worker left: start workers and try again.")
    except Exception as error:  # in the worker: a missing library, a machine that failed
        return LiverSegError(f"Unexpected {type(error).__name__} in a worker: {error}")


def _exit_with_parent() -> None:
    """Make a worker process exit when its parent is killed; otherwise it would wait forever."""
    parent = multiprocessing.parent_process()
    assert parent is not None, "a worker process has a parent"

    def wait() -> None:
        parent.join()
        os._exit(1)

    threading.Thread(target=wait, daemon=True).start()
