import sqlite3
from dataclasses import replace

import pytest

from liverseg_tf.serve.node.queue.database import Database, DatabaseError
from liverseg_tf.serve.node.queue.deliveries import PENDING, SUPERSEDED, Deliveries, Result
from liverseg_tf.serve.node.queue.series import DONE, QUEUED, RECEIVING, REFUSED, Instance
from liverseg_tf.serve.node.queue.series_queue import SeriesQueue

ONE = Instance("1.2", "1.3", "1.4.1", "digest1", "patient", "1.dcm")
TWO = replace(ONE, sop_uid="1.4.2", digest="digest2", file="2.dcm")
SEG = Result("seg", "1.5", "2.25.1", "a/seg.dcm")


@pytest.fixture
def queue(database):
    return SeriesQueue(database)


def only(queue):
    (series,) = queue.latest(10)
    return series


def test_an_instance_is_added_once(queue):
    assert queue.add(ONE, "A", 1.0)
    assert not queue.add(replace(ONE, file="again.dcm"), "A", 2.0)
    assert queue.files() == {"1.dcm"}
    assert queue.find_file("1.4.1", "digest1") == "1.dcm"
    assert queue.find_file("1.4.1", "other") is None


def test_work_on_an_earlier_state_ends_nothing(queue, database):
    queue.add(ONE, "A", 1.0)
    queue.complete(only(queue))
    working = only(queue)
    assert working.state == QUEUED
    queue.add(TWO, "A", 1.0)
    assert not queue.end(working, REFUSED, "reason")
    assert not Deliveries(database).finish(working, "content", [SEG], ["PLACE"], 2.0)
    assert only(queue).state == RECEIVING


def test_a_repeat_awaits_a_series_that_has_ended_but_not_one_that_is_queued(queue):
    queue.add(ONE, "A", 1.0)
    queue.complete(only(queue))
    queue.note_repeat("1.dcm", 2.0)
    assert only(queue).state == QUEUED
    queue.end(only(queue), REFUSED, "reason")
    queue.note_repeat("1.dcm", 3.0)
    assert (only(queue).state, only(queue).reason) == (RECEIVING, "")


def test_results_of_an_earlier_content_are_not_sent_any_more(queue, database):
    deliveries = Deliveries(database)
    for number, instance in enumerate((ONE, TWO), 1):
        queue.add(instance, "A", float(number))
        queue.complete(only(queue))
        assert deliveries.revision(1, f"content{number}") == number
        result = replace(SEG, sop_uid=f"2.25.{number}")
        assert deliveries.finish(only(queue), f"content{number}", [result], ["PLACE"], 1.0)
    assert only(queue).state == DONE
    assert [one.result.sop_uid for one in deliveries.due("PLACE", 9.0)] == ["2.25.2"]
    states = database.rows("SELECT state FROM deliveries ORDER BY id")
    assert [row["state"] for row in states] == [SUPERSEDED, PENDING]


def test_what_an_archive_does_not_store_is_sent_again(queue, database):
    deliveries = Deliveries(database)
    queue.add(ONE, "A", 1.0)
    queue.complete(only(queue))
    deliveries.finish(only(queue), "content", [SEG], ["PLACE"], 1.0)
    (delivery,) = deliveries.due("PLACE", 1.0)
    deliveries.record_sent(delivery)
    deliveries.record_request([delivery], "2.25.9")
    assert deliveries.record_commitment("2.25.8", ["2.25.1"], [], 1.0) == 0, "not asked for"
    assert deliveries.record_commitment("2.25.9", [], ["2.25.1"], 5.0) == 1
    assert deliveries.due("PLACE", 4.0) == []
    assert len(deliveries.due("PLACE", 5.0)) == 1


def test_a_transaction_is_done_as_a_whole_or_not_at_all(queue, database):
    queue.add(ONE, "A", 1.0)

    def fail_in_the_middle():
        with database.transaction() as connection:
            connection.execute("DELETE FROM instances")
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        fail_in_the_middle()
    assert queue.files() == {"1.dcm"}


def test_a_queue_that_is_none_is_refused(tmp_path):
    (tmp_path / "text").write_text("no database, but a text of some length\n" * 100)
    with pytest.raises(DatabaseError, match="Expected to read and write the queue"):
        Database(tmp_path / "text")
    sqlite3.connect(tmp_path / "newer").execute("PRAGMA user_version = 99")
    with pytest.raises(DatabaseError, match="version 99"):
        Database(tmp_path / "newer")
