from concurrent.futures import ThreadPoolExecutor

import pytest

from liverseg_tf.errors import LiverSegError
from liverseg_tf.workers import Processes, run_jobs, run_jobs_here

DIES = "__import__('os')._exit(3)"


class Threads:
    """Workers on any executor, here threads."""

    count = 2

    def open(self):
        return ThreadPoolExecutor(self.count)


def run(jobs, workers):
    return dict(run_jobs(eval, jobs, workers))  # eval is a function that every process can import


def test_in_this_process():
    assert list(run_jobs_here(str.upper, ["a", "b"])) == [(0, "A"), (1, "B")]


def test_one_process_keeps_the_order_and_an_empty_list_is_allowed():
    assert list(run_jobs(str.upper, ["a", "b"], Processes())) == [(0, "A"), (1, "B")]
    assert list(run_jobs(str.upper, [], Processes(4))) == []


@pytest.mark.parametrize("place", [0, 2, 5])
def test_a_worker_that_dies_does_not_stop_other_jobs(place):
    jobs = [f"{number} + 1" for number in range(6)]
    jobs[place] = DIES
    outcomes = run(jobs, Processes(2))
    died = outcomes.pop(place)
    assert isinstance(died, LiverSegError)
    assert "died (killed, or out of memory)" in str(died)
    assert outcomes == {number: number + 1 for number in range(6) if number != place}


@pytest.mark.parametrize("workers", [Processes(2), Threads()])
def test_an_error_of_the_function_does_not_stop_other_jobs(workers):
    outcomes = run(["1", "1 / 0", "3"], workers)
    assert str(outcomes.pop(1)) == "Unexpected ZeroDivisionError in a worker: division by zero"
    assert outcomes == {0: 1, 2: 3}


def test_results_come_in_the_order_in_which_jobs_end():
    slow_first = ["__import__('time').sleep(0.5)", "2"]
    assert [index for index, _ in run_jobs(eval, slow_first, Threads())] == [1, 0]
