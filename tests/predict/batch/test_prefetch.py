import threading
import time

import pytest

from liverseg_tf.predict.batch.prefetch import prefetch_map


def test_every_job_goes_through_its_steps_in_order():
    assert list(prefetch_map(range(5), lambda n: n + 1, lambda n: n * 10, str)) == [
        "10", "20", "30", "40", "50",
    ]  # fmt: skip
    assert list(prefetch_map([], str, str, str)) == []


def test_work_stays_here_and_the_other_steps_run_beside_it():
    threads = {"before": set(), "work": set(), "after": set()}

    def step(name):
        return lambda value: (threads[name].add(threading.get_ident()), value)[1]

    list(prefetch_map(range(4), *map(step, threads)))
    assert threads["work"] == {threading.get_ident()}
    assert threads["before"] == threads["after"] != threads["work"]


def test_the_next_job_is_prepared_and_the_last_one_ended_while_work_goes_on():
    prepared, ended = threading.Event(), threading.Event()

    def work(n):
        if n == 1:  # both happen during this call, or never
            assert prepared.wait(10)
            assert ended.wait(10)
        return n

    list(
        prefetch_map(
            [0, 1, 2],
            lambda n: (prepared.set() if n == 2 else None, n)[1],
            work,
            lambda n: (ended.set() if n == 0 else None, n)[1],
        )
    )


def test_an_interrupt_loses_no_job_whose_work_is_done():
    for _ in range(20):
        ended = []

        def work(n):
            if n == 2:
                raise KeyboardInterrupt
            return n

        def after(n, ended=ended):
            time.sleep(0.002)
            ended.append(n)

        with pytest.raises(KeyboardInterrupt):
            list(prefetch_map(range(4), int, work, after))
        assert ended == [0, 1]
