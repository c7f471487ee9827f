from concurrent.futures import ThreadPoolExecutor

import pytest

from liverseg_tf.errors import LiverSegError
from liverseg_tf.workers import Processes, run_each, run_here

DIES = "__import__('os')._exit(3)"


class Threads:
    """Any executor will do."""

    count = 2

    def open(self):
        return ThreadPoolExecutor(self.count)


def run(jobs, workers):
    return dict(run_each(eval, jobs, workers))  # eval is a function that every process has


def test_in_this_process():
    assert list(run_here(str.upper, ["a", "b"])) == [(0, "A"), (1, "B")]


def test_one_process_keeps_the_order_and_no_job_needs_none():
    assert list(run_each(str.upper, ["a", "b"], Processes())) == [(0, "A"), (1, "B")]
    assert list(run_each(str.upper, [], Processes(4))) == []


@pytest.mark.parametrize("place", [0, 2, 5])
def test_a_worker_that_dies_costs_its_own_job_alone(place):
    jobs = [f"{number} + 1" for number in range(6)]
    jobs[place] = DIES
    outcomes = run(jobs, Processes(2))
    died = outcomes.pop(place)
    assert isinstance(died, LiverSegError)
    assert "died (killed, or out of memory)" in str(died)
    assert outcomes == {number: number + 1 for number in range(6) if number != place}


@pytest.mark.parametrize("workers", [Processes(2), Threads()])
def test_an_error_of_the_function_is_told_and_costs_its_own_job_alone(workers):
    outcomes = run(["1", "1 / 0", "3"], workers)
    assert str(outcomes.pop(1)) == "Unexpected ZeroDivisionError in a worker: division by zero"
    assert outcomes == {0: 1, 2: 3}


def test_results_come_as_they_end_and_not_as_they_began():
    slow_first = ["__import__('time').sleep(0.5)", "2"]
    assert [index for index, _ in run_each(eval, slow_first, Threads())] == [1, 0]
