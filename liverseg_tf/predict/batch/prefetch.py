"""Three steps on each of many jobs, the first and the last beside the second."""

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor, wait
from dataclasses import dataclass, replace

from liverseg_tf.errors import LiverSegError


def prefetch_map(
    jobs: Sequence, before: Callable, work: Callable, after: Callable
) -> Iterator[object]:
    """For each job, `after(work(before(job)))`.

    `work` runs here. Meanwhile one thread ends the job before (`after`), then prepares the next
    one (`before`): values of two jobs are in memory at most. When `work` is interrupted, the
    job before is still ended.

    Args:
        jobs: arguments of `before`.
        before: of a job.
        work: of what `before` returned.
        after: of what `work` returned.

    Yields:
        What `after` returned, in the order of the jobs.
    """
    beside, last = ThreadPoolExecutor(1), None
    try:
        ahead = beside.submit(before, jobs[0]) if jobs else None
        for number in range(1, len(jobs) + 1):
            value = ahead.result()
            # behind the end of the job before, on the same thread
            ahead = beside.submit(before, jobs[number]) if number < len(jobs) else None
            value = work(value)
            if last is not None:
                yield last.result()
            last = beside.submit(after, value)
            del value
        if last is not None:
            yield last.result()
    finally:
        if last is not None:
            wait([last])  # it may not have begun: its work is done, its end must not be lost
        beside.shutdown(wait=True, cancel_futures=True)


@dataclass(frozen=True)
class Job:
    """A case on its way: what the last step made of it, or why it failed."""

    name: str
    value: object
    failure: str | None = None


def attempt(step: Callable[[Job], object], job: Job) -> Job:
    """The job after a step; one that failed is passed on."""
    if job.failure is not None:
        return job
    try:
        return replace(job, value=step(job))
    except LiverSegError as error:
        failure = str(error.about(job.name))
    except MemoryError:
        failure = f"Expected enough memory for the image. Received none (case {job.name})"
    except Exception as error:  # a defect of ours, or of the device, must not cost the others
        failure = f"Unexpected {type(error).__name__}: {error} (case {job.name})"
    return Job(job.name, None, failure)
