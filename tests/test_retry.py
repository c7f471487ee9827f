import threading
import time

import pytest

from liverseg_tf.dataset.download.http_download import DOWNLOAD_RETRIES
from liverseg_tf.errors import LiverSegError
from liverseg_tf.retry import Retries, RetryPolicy, Unavailable

QUICK = RetryPolicy(initial_backoff_s=0.001, max_backoff_s=0.002)


def fails(times, then="done"):
    """An attempt that fails a number of times, and the list of its calls."""
    calls = []

    def attempt():
        calls.append(time.monotonic())
        if len(calls) <= times:
            raise Unavailable("no answer")
        return then

    return attempt, calls


def test_the_backoff_doubles_up_to_its_maximum():
    waits = [DOWNLOAD_RETRIES.backoff_s(retries) for retries in range(9)]
    assert waits == [1, 2, 4, 8, 16, 32, 60, 60, 60]
    assert DOWNLOAD_RETRIES.backoff_s(10_000) == 60


def test_jitter_shortens_the_backoff():
    waits = [RetryPolicy().backoff_s(2) for _ in range(300)]
    assert 0.5 <= min(waits) < 0.6
    assert 0.9 < max(waits) <= 1
    assert RetryPolicy(jitter=0).backoff_s(99) == 5


def test_an_attempt_is_repeated_until_it_succeeds():
    retries = Retries(QUICK)
    attempt, calls = fails(3)
    assert retries.call(attempt) == "done"
    assert len(calls) == 4
    assert retries.failures == 3


@pytest.mark.parametrize(
    ("limit", "text"),
    [(0, "no answer"), (1, "no answer, after 1 retry"), (2, "no answer, after 2 retries")],
)
def test_the_number_of_retries_is_limited(limit, text):
    attempt, calls = fails(9)
    policy = RetryPolicy(max_retries=limit, initial_backoff_s=0.001)
    with pytest.raises(Unavailable) as caught:
        Retries(policy).call(attempt)
    assert str(caught.value) == text
    assert len(calls) == limit + 1


def test_progress_starts_the_count_anew():
    attempt, calls = fails(5)
    policy = RetryPolicy(max_retries=2, initial_backoff_s=0.001)
    assert Retries(policy).call(attempt, has_progressed=lambda: len(calls) % 2 == 1) == "done"


def test_after_the_deadline_each_call_is_a_single_attempt_until_one_succeeds():
    retries = Retries(RetryPolicy(deadline_s=0.05, initial_backoff_s=0.01))
    attempt, calls = fails(1000)
    with pytest.raises(Unavailable, match=r"^no answer, after \d+ retries$"):
        retries.call(attempt)
    assert 0.05 <= calls[-1] - calls[0] < 1
    attempt, calls = fails(2)
    with pytest.raises(Unavailable, match=r"^no answer$"):
        retries.call(attempt)
    assert len(calls) == 1
    assert retries.call(lambda: 1) == 1
    assert retries.call(attempt) == "done"
    assert len(calls) == 3


def test_a_cancelled_call_is_not_repeated():
    cancelled = threading.Event()
    attempt, calls = fails(9)
    threading.Timer(0.1, cancelled.set).start()
    started = time.monotonic()
    with pytest.raises(Unavailable):
        Retries(RetryPolicy(initial_backoff_s=30)).call(attempt, cancelled)
    assert time.monotonic() - started < 5
    assert len(calls) == 2


def test_other_errors_are_not_repeated():
    def attempt():
        raise LiverSegError("refused")

    retries = Retries(QUICK)
    with pytest.raises(LiverSegError, match=r"^refused$"):
        retries.call(attempt)
    assert retries.failures == 0
