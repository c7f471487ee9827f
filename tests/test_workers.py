import pytest

from liverseg_tf.workers import run_each, run_here

DIES = "__import__('os')._exit(3)"


def run(jobs, workers):
    return dict(run_each(eval, jobs, workers))  # eval is a function that every process has


def test_in_this_process():
    assert list(run_here(str.upper, ["a", "b"])) == [(0, "A"), (1, "B")]


def test_one_process_keeps_the_order_and_no_job_needs_none():
    assert list(run_each(str.upper, ["a", "b"])) == [(0, "A"), (1, "B")]
    assert list(run_each(str.upper, [], 4)) == []


@pytest.mark.parametrize("place", [0, 2, 5])
def test_a_worker_that_dies_costs_its_own_job_alone(place):
    jobs = [f"{number} + 1" for number in range(6)]
    jobs[place] = DIES
    expected = {number: number + 1 for number in range(6)} | {place: None}
    assert run(jobs, 2) == expected


def test_an_error_is_raised_here():
    with pytest.raises(ZeroDivisionError):
        run(["1", "1 / 0"], 2)
