"""The whole node on loopback, with a stub in the place of the model."""

import time

import pytest
from pydicom import dcmread

from liverseg_tf.errors import LiverSegError
from liverseg_tf.serve.node.queue.series import DONE, REFUSED, SKIPPED

STUDIES = ("1.2.3.4", "1.2.3.5")


def described(archive):
    return [dataset.SeriesDescription for dataset in archive.stored]


def states(node):
    return [series.state for series in node.queue.latest(10)]


def sent_states(node):
    return [row["state"] for row in node.status_page.status()["deliveries"]]


def test_a_series_comes_back_as_one_object(start_node, make_series, send, archive, wait_until):
    node = start_node()
    assert send(node, make_series()) == [0x0000] * 4
    wait_until(lambda: archive.stored)
    assert described(archive) == ["4 slices, update 1"]
    assert states(node) == [DONE]


def test_slices_one_by_one_and_studies_in_turn_are_whole_series(
    start_node, make_series, send, archive, wait_until
):
    node = start_node({"quiet_s": 2.0})
    first, second = (make_series(study=study) for study in STUDIES)
    for paths in zip(first, second, strict=True):
        for path in paths:
            assert send(node, [path]) == [0x0000]
    wait_until(lambda: len(archive.stored) == 2)
    assert described(archive) == ["4 slices, update 1"] * 2
    assert len({dataset.SOPInstanceUID for dataset in archive.stored}) == 2


def test_what_is_sent_twice_has_the_same_identifiers(
    start_node, make_series, send, archive, segmenter, wait_until
):
    node, paths = start_node(), make_series()
    send(node, [*paths, *paths])
    wait_until(lambda: archive.stored)
    send(node, paths)
    wait_until(lambda: len(archive.stored) == 2)
    assert len({dataset.SOPInstanceUID for dataset in archive.stored}) == 1
    assert segmenter.made == [(4, 1)], "nothing new is made"


def test_late_slices_lead_to_a_marked_result(start_node, make_series, send, archive, wait_until):
    node, paths = start_node(), make_series(6)
    send(node, paths[:4])
    wait_until(lambda: archive.stored)
    send(node, paths[4:])
    wait_until(lambda: len(archive.stored) == 2)
    assert described(archive) == ["4 slices, update 1", "6 slices, update 2"]
    assert len({dataset.SOPInstanceUID for dataset in archive.stored}) == 2


def test_slices_that_arrive_during_the_work_are_not_left_out(
    start_node, make_series, send, archive, segmenter, wait_until
):
    node, paths = start_node(), make_series(6)
    late = iter([paths[4:]])
    segmenter.before = lambda: [send(node, rest) for rest in late]
    send(node, paths[:4])
    wait_until(lambda: archive.stored)
    time.sleep(0.5)
    assert described(archive) == ["6 slices, update 1"]


def test_a_gap_is_refused_until_the_missing_slice_arrives(
    start_node, make_series, send, archive, wait_until
):
    node, paths = start_node(), make_series(6)
    send(node, paths[:2] + paths[3:])
    wait_until(lambda: states(node) == [REFUSED])
    reason = node.queue.latest(1)[0].reason
    assert "gap" in reason or "distance" in reason or "missing" in reason, reason
    assert not archive.stored
    send(node, [paths[2]])
    wait_until(lambda: archive.stored)
    assert described(archive) == ["6 slices, update 1"]


def test_a_series_waits_for_the_number_that_another_node_tells(
    start_node, make_series, send, archive, wait_until
):
    archive.expected = 6
    node, paths = start_node({"query": archive.peer}), make_series(6)
    send(node, paths[:4])
    time.sleep(1.2)
    assert not archive.stored
    send(node, paths[4:])
    wait_until(lambda: archive.stored)
    assert described(archive) == ["6 slices, update 1"]


def test_what_never_becomes_complete_is_refused(start_node, make_series, send, archive, wait_until):
    archive.expected = 6
    node = start_node({"query": archive.peer, "give_up_s": 0.5})
    send(node, make_series(4))
    wait_until(lambda: states(node) == [REFUSED])
    assert node.queue.latest(1)[0].reason.startswith("Expected 6 images. Received 4")


def test_a_destination_that_comes_back_gets_the_result(
    start_node, make_series, send, archive, wait_until, monkeypatch
):
    from liverseg_tf.retry import RetryPolicy
    from liverseg_tf.serve.node.network import sending

    monkeypatch.setattr(sending, "BACKOFF", RetryPolicy(initial_backoff_s=0.2, max_backoff_s=0.2))
    node = start_node()
    archive.stop()
    send(node, make_series())
    wait_until(lambda: states(node) == [DONE])
    time.sleep(0.5)
    archive.start()
    wait_until(lambda: archive.stored)
    assert len(archive.stored) == 1


def test_a_destination_without_room_is_tried_again(
    start_node, make_series, send, archive, wait_until, monkeypatch
):
    from liverseg_tf.retry import RetryPolicy
    from liverseg_tf.serve.node.network import sending

    monkeypatch.setattr(sending, "BACKOFF", RetryPolicy(initial_backoff_s=0.1, max_backoff_s=0.1))
    archive.status = 0xA700
    node = start_node()
    send(node, make_series())
    wait_until(lambda: "0xA700" in str(node.status_page.status()))
    archive.status = 0x0000
    wait_until(lambda: archive.stored)


def test_the_archive_confirms_what_it_stores(start_node, make_series, send, archive, wait_until):
    archive.stop()
    archive.commits = True
    archive.start()
    node = start_node()
    send(node, make_series())
    wait_until(
        lambda: (
            [row["commitment"] for row in node.status_page.status()["series"][0]["deliveries"]]
            == ["committed"]
            if node.status_page.status()["series"]
            else False
        )
    )


def test_the_queue_outlives_the_node(start_node, make_series, send, archive, segmenter, wait_until):
    """Received by one node, done by the next one."""
    node = start_node({"quiet_s": 60.0})
    send(node, make_series())
    node.__exit__(None, None, None)
    assert not segmenter.made
    start_node()
    wait_until(lambda: archive.stored)
    assert described(archive) == ["4 slices, update 1"]


def test_only_one_node_uses_a_folder(start_node):
    start_node()
    with pytest.raises(LiverSegError, match="exclusive access"):
        start_node()


def test_a_folder_of_somebody_else_is_refused(start_node, tmp_path):
    own = tmp_path / "own" / "incoming"
    own.mkdir(parents=True)
    (own / "ct.dcm").write_bytes(b"image")
    with pytest.raises(LiverSegError, match="Expected an empty folder"):
        start_node(folder=tmp_path / "own")
    assert (own / "ct.dcm").exists()


def test_localizers_and_single_images_are_skipped(
    start_node, make_series, send, archive, wait_until
):
    def localizer(dataset, z):
        dataset.ImageType = ["ORIGINAL", "PRIMARY", "LOCALIZER"]

    node = start_node()
    send(node, [*make_series(2, edit=localizer), *make_series(1, study=STUDIES[1])])
    wait_until(lambda: states(node) == [SKIPPED] * 2)
    assert not archive.stored


def test_images_of_two_patients_in_one_series_are_refused(
    start_node, make_series, send, wait_until
):
    def other(dataset, z):
        dataset.PatientID = f"p{z // 2}"

    node = start_node()
    send(node, make_series(edit=other))
    wait_until(lambda: states(node) == [REFUSED])
    assert "one patient" in node.queue.latest(1)[0].reason


def test_an_object_with_other_pixels_and_the_same_identifier_is_refused(
    start_node, make_series, send, archive, wait_until
):
    node, paths = start_node(), make_series()
    changed = dcmread(paths[1])
    changed.PixelData = bytes(len(changed.PixelData))
    send(node, [*paths, changed])
    wait_until(lambda: states(node) == [REFUSED])
    assert "SOPInstanceUID" in node.queue.latest(1)[0].reason
    assert not archive.stored


def test_late_slices_of_removed_images_are_no_series(
    start_node, make_series, send, archive, wait_until
):
    node, paths = start_node(), make_series(6)
    send(node, paths[:4])
    wait_until(
        lambda: (
            node.status_page.status()["deliveries"][0:1]
            and node.status_page.status()["deliveries"][0]["state"] == "sent"
        )
    )
    node.retention.step(time.time() + 25 * 3600)
    assert not list((node.folder / "incoming").iterdir())
    assert not list((node.folder / "results").iterdir())
    send(node, paths[4:])
    wait_until(lambda: states(node) == [REFUSED])
    assert "send the whole series" in node.queue.latest(1)[0].reason
    send(node, paths)
    wait_until(lambda: len(archive.stored) == 2)
    assert described(archive)[1] == "6 slices, update 2"
