"""One prediction at a time, requests before the background, and what is kept for later."""

import hashlib
import json
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

from liverseg_tf.ct.images import read_image
from liverseg_tf.ct.nifti import write_volume
from liverseg_tf.serve.server import app
from liverseg_tf.serve.server.limits import Refusal, ServerLimits
from liverseg_tf.serve.server.model_queue import ModelQueue, Preempted


@pytest.fixture
def studies(tmp_path, make_ct):
    found = {}
    for number in range(3):
        found[f"ct_{number}"] = tmp_path / f"ct_{number}.nii"
        write_volume(found[f"ct_{number}"], make_ct(number))
    return found


def test_a_full_queue_says_when_to_come_back():
    queue = ModelQueue(ServerLimits(queue=1))
    holding, done = threading.Event(), threading.Event()

    def hold():
        with queue.turn():
            holding.set()
            done.wait(10)

    with ThreadPoolExecutor(2) as threads:
        threads.submit(hold)
        holding.wait(10)
        threads.submit(hold)
        while queue.waiting < 2:
            time.sleep(0.001)
        with pytest.raises(Refusal) as refused, queue.turn():
            pass
        done.set()
    assert refused.value.status == 503
    assert int(refused.value.headers["retry-after"]) >= 1
    assert queue.waiting == 0


def test_a_prediction_that_takes_too_long_is_ended():
    queue = ModelQueue(ServerLimits(seconds=0.01))
    with queue.turn() as on_slices:
        time.sleep(0.02)
        with pytest.raises(Refusal, match=r"within 0\.01 s"):
            on_slices(8)


def test_the_background_makes_room():
    queue = ModelQueue(ServerLimits())
    with queue.turn(), pytest.raises(Preempted), queue.idle_turn():
        pass

    def wait():
        with queue.turn():
            pass

    with ThreadPoolExecutor(1) as thread, queue.idle_turn() as on_slices:
        on_slices(8)
        thread.submit(wait)
        while not queue.waiting:
            time.sleep(0.001)
        with pytest.raises(Preempted):
            on_slices(8)
    assert queue.waiting == 0


def test_requests_wait_for_each_other_and_further_ones_are_refused(studies, make_client, bright):
    client, service = make_client(studies, limits=ServerLimits(queue=1, requests=32))
    running = []
    most = 0

    def count():
        nonlocal most
        running.append(1)
        most = max(most, len(running))
        time.sleep(0.05)
        running.pop()

    bright.before_batch = count
    with ThreadPoolExecutor(6) as threads:
        answers = list(
            threads.map(lambda _: client.post("/infer/bright?image=ct_0&output=json"), range(6))
        )
    codes = sorted(answer.status_code for answer in answers)
    assert most == 1
    assert codes[0] == 200
    assert codes[-1] == 503
    assert service.queue.waiting == 0
    assert all("retry-after" in one.headers for one in answers if one.status_code == 503)


def test_uncertain_is_the_image_whose_passes_agree_least(studies, make_client, bright, tmp_path):
    """The model sees another liver if a marker, which only ct_1 has, is in the left half."""
    seen = []

    def probabilities(tiles):
        seen.append(1)
        grey = tiles[..., :1].astype(np.float32)
        columns = np.flatnonzero((tiles == 255).any(axis=(0, 1, 3)))
        if len(columns) and columns.mean() < tiles.shape[2] / 2:
            grey = np.roll(grey, 2, axis=1)
        return np.concatenate([grey > 120, grey > 200], axis=-1).astype(np.float32)

    image = read_image(studies["ct_1"])
    image.array[:, 10:14, 4] = 280
    write_volume(studies["ct_1"], image)
    bright.probabilities = probabilities
    client, service = make_client(studies, mirrored=True)
    assert "uncertain" in client.get("/info/").json()["strategies"]
    answer = client.post("/activelearning/uncertain", json={}).json()
    assert (answer["id"], answer["scored"], answer["total"]) == ("ct_1", 3, 3)
    assert answer["agreement"] < 1
    assert answer["name"] == "ct_1.nii"
    content = client.get("/datastore/image?image=ct_1").content
    assert answer["checksum"] == f"SHA256:{hashlib.sha256(content).hexdigest()}"
    # the results are kept for the next start
    service.uncertainty.stop()
    measured = len(seen)
    again, _ = make_client(studies, mirrored=True)
    assert again.post("/activelearning/uncertain", json={}).json()["id"] == "ct_1"
    assert len(seen) == measured
    assert len(list((tmp_path / "out" / "uncertainty").iterdir())) == 3


def test_passes_agree_about_nothing_found(tmp_path, make_client, make_ct):
    ct = make_ct()
    ct.array[ct.array > 0] = -40
    write_volume(tmp_path / "ct.nii", ct)
    client, _ = make_client({"ct": tmp_path / "ct.nii"}, mirrored=True)
    assert client.post("/activelearning/uncertain").json()["agreement"] == 0


def test_mirrored_passes_can_be_asked_for(studies, make_client):
    client, _ = make_client(studies, mirrored=True)
    assert client.get("/info/").json()["models"]["bright"]["config"] == {"mirror": False}
    data = {"params": json.dumps({"mirror": True, "save_label": True})}
    answer = client.post("/infer/bright?image=ct_0&output=json", data=data).json()
    assert set(answer["agreement"]) == {"liver", "tumour"}
    objects = client.get("/datastore/?output=all").json()["objects"]
    assert objects["ct_0"]["labels"]["original"]["info"]["params"]["label_names"] == {
        "liver": 1,
        "tumour": 2,
    }


def test_sessions_expire(studies, make_client, monkeypatch):
    monkeypatch.setattr(app, "_EXPIRY_S", 0.01)
    client, service = make_client({})
    files = {"files": ("ct.nii", studies["ct_0"].read_bytes())}
    name = client.put("/session/?expiry=1", files=files).json()["session_id"]
    now = time.time()
    monkeypatch.setattr(time, "time", lambda: now + 2)
    deadline = time.monotonic() + 10
    while list(service.files.folder.iterdir()):  # without any request
        assert time.monotonic() < deadline
        time.sleep(0.005)
    assert client.get(f"/session/{name}").status_code == 404


def test_files_of_a_session_remain_while_they_are_used(studies, make_client):
    client, service = make_client({})
    files = {"files": ("ct.nii", studies["ct_0"].read_bytes())}
    name = client.put("/session/", files=files).json()["session_id"]
    with service.sessions.using(name) as session:
        client.delete(f"/session/{name}")
        assert session.source.is_file()
    assert not session.source.exists()
