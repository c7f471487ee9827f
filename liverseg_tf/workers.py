"""Cases side by side in processes, of which one may die without costing the others."""

import multiprocessing
import os
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool


def run_here(function: Callable, jobs: list) -> Iterator[tuple[int, object]]:
    """Index and result of each job, one after the other in this process."""
    yield from ((index, function(job)) for index, job in enumerate(jobs))


def run_each(
    function: Callable, jobs: list, workers: int = 1
) -> Iterator[tuple[int, object | None]]:
    """Call a function with each job in processes of their own.

    Args:
        function: of a module's top level, with one argument; it returns something else than
            None.
        jobs: the arguments; they travel to other processes.
        workers: processes.

    Yields:
        The job's index and the function's result, in the order in which they end; None where
        the job's process died (killed, or out of memory).
    """
    waiting = list(range(len(jobs)))
    while waiting:
        done = set()
        for index, outcome in _run_pool(function, jobs, waiting, workers):
            done.add(index)
            yield index, outcome
        waiting = [index for index in waiting if index not in done]
        # the pool broke: jobs start in order, so a dead one is among the first; find it alone
        for index in waiting[:workers]:
            yield index, dict(_run_pool(function, jobs, [index], 1)).get(index)
        waiting = waiting[workers:]


def _run_pool(
    function: Callable, jobs: list, indices: list[int], workers: int
) -> Iterator[tuple[int, object]]:
    """Index and result of each job that ended; a broken pool leaves the others out."""
    # spawn: forked copies of a process that runs threads (TensorFlow, BLAS) can hang
    context = multiprocessing.get_context("spawn")
    count = min(workers, len(indices))
    with ProcessPoolExecutor(count, mp_context=context, initializer=_end_with_parent) as pool:
        try:
            futures = {pool.submit(function, jobs[index]): index for index in indices}
            for future in as_completed(futures):
                if not isinstance(future.exception(), BrokenProcessPool):
                    yield futures[future], future.result()
        except BrokenProcessPool:
            return  # it broke while jobs were handed in
        finally:
            pool.shutdown(wait=True, cancel_futures=True)


def _end_with_parent() -> None:
    """Let a worker end when its parent was killed; it would wait for work for ever."""

    def wait() -> None:
        multiprocessing.parent_process().join()
        os._exit(1)

    threading.Thread(target=wait, daemon=True).start()
