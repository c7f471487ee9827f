import threading
import time

import pytest

from liverseg_tf.predict.batch.prefetch import prefetch_map


def test_results_are_in_the_order_of_the_items():
    assert list(prefetch_map(range(5), lambda n: n + 1, lambda n: n * 10, str)) == [
        "10", "20", "30", "40", "50",
    ]  # fmt: skip
    assert list(prefetch_map([], str, str, str)) == []


def test_only_processing_runs_in_the_calling_thread():
    threads = {"prepare": set(), "process": set(), "finish": set()}

    def step(name):
        return lambda value: (threads[name].add(threading.get_ident()), value)[1]

    list(prefetch_map(range(4), *map(step, threads)))
    assert threads["process"] == {threading.get_ident()}
    assert threads["prepare"] == threads["finish"] != threads["process"]


def test_the_next_item_is_prepared_and_the_previous_one_finished_during_processing():
    prepared, finished = threading.Event(), threading.Event()

    def process(n):
        if n == 1:  # both must happen during this call
            assert prepared.wait(10)
            assert finished.wait(10)
        return n

    list(
        prefetch_map(
            [0, 1, 2],
            lambda n: (prepared.set() if n == 2 else None, n)[1],
            process,
            lambda n: (finished.set() if n == 0 else None, n)[1],
        )
    )


def test_an_interrupt_still_finishes_processed_items():
    for _ in range(20):
        finished = []

        def process(n):
            if n == 2:
                raise KeyboardInterrupt
            return n

        def finish(n, finished=finished):
            time.sleep(0.002)
            finished.append(n)

        with pytest.raises(KeyboardInterrupt):
            list(prefetch_map(range(4), int, process, finish))
        assert finished == [0, 1]
