import pytest

from liverseg_tf.retry import Unavailable
from liverseg_tf.serve.node.network.peer import Peer
from liverseg_tf.serve.node.queue.completeness import Completeness
from liverseg_tf.serve.node.queue.series import QUEUED, RECEIVING, REFUSED, Instance
from liverseg_tf.serve.node.queue.series_queue import SeriesQueue
from liverseg_tf.serve.node.settings import Waiting

WAITING = Waiting(quiet_s=10, query=Peer("PACS", "127.0.0.1", 104), give_up_s=100)


@pytest.fixture
def queue(database):
    queue = SeriesQueue(database)
    for number in range(3):
        queue.add(
            Instance("1.2", "1.3", f"1.4.{number}", f"digest{number}", "p", f"{number}.dcm"),
            "SENDER",
            1000.0 + number,
        )
    return queue


def state(queue):
    return queue.latest(1)[0].state


def test_a_series_is_complete_after_the_quiet_period(queue):
    completeness = Completeness(queue, Waiting(quiet_s=10))
    assert completeness.check(1011.9) == []
    assert [series.images for series in completeness.check(1012.0)] == [3]
    assert state(queue) == QUEUED


def test_the_quiet_period_begins_when_the_node_starts(queue):
    completeness = Completeness(queue, Waiting(quiet_s=10), started=2000.0)
    assert completeness.check(2009.0) == []
    assert len(completeness.check(2010.0)) == 1


def test_a_clock_that_was_set_back_completes_nothing(queue):
    assert Completeness(queue, Waiting(quiet_s=10)).check(500.0) == []


def test_the_other_node_is_asked_once_in_a_quiet_period(queue):
    asked = []

    def count(study, series):
        asked.append((study, series))
        return 5

    completeness = Completeness(queue, WAITING, count)
    for now in (1011.0, 1012.0, 1013.0, 1021.0, 1022.0):
        completeness.check(now)
    assert asked == [("1.2", "1.3")] * 2
    assert state(queue) == RECEIVING


def test_an_archive_that_does_not_know_leaves_it_to_the_quiet_period(queue):
    assert len(Completeness(queue, WAITING, lambda *uids: None).check(1012.0)) == 1


def test_nobody_answers_until_it_is_given_up(queue, caplog):
    def count(study, series):
        raise Unavailable("Expected an association. Received none.")

    completeness = Completeness(queue, WAITING, count)
    assert completeness.check(1050.0) == []
    assert len(completeness.check(1102.0)) == 1
    assert "nobody could be asked" in caplog.text


def test_images_that_could_not_be_kept_are_awaited(queue):
    queue.note_missing(("1.2", "1.3", "1.4.7"), 1003.0)
    completeness = Completeness(queue, Waiting(quiet_s=10, give_up_s=100))
    assert completeness.check(1050.0) == []
    completeness.check(1103.0)
    series = queue.latest(1)[0]
    assert (series.state, series.reason[:36]) == (REFUSED, "Expected 4 images. Received 3 of the")
    queue.add(Instance("1.2", "1.3", "1.4.7", "digest7", "p", "7.dcm"), "SENDER", 1200.0)
    assert len(completeness.check(1210.0)) == 1
