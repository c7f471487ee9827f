"""Many images are predicted in the background, and their masks are saved as labels."""

import time

import numpy as np
import pytest

from liverseg_tf.ct.images import read_image
from liverseg_tf.ct.nifti import write_volume
from liverseg_tf.predict.api import segment


@pytest.fixture
def studies(tmp_path, make_ct):
    found = {}
    for number in range(3):
        found[f"ct_{number}"] = tmp_path / f"ct_{number}.nii"
        write_volume(found[f"ct_{number}"], make_ct(number))
    (tmp_path / "ct_1.nii").write_bytes(b"no image")
    return found


def _wait(client):
    while client.get("/batch/infer?check_if_running=true").status_code == 200:
        time.sleep(0.005)
    return client.get("/batch/infer").json()


def test_masks_of_all_images_are_saved(studies, make_client, bright, tmp_path):
    client, service = make_client(studies)
    assert client.get("/batch/infer").status_code == 404
    task = client.post("/batch/infer/bright", json={"client_id": "x", "max_workers": 1}).json()
    assert (task["status"], task["request"]["model"]) == ("RUNNING", "bright")
    done = _wait(client)
    assert done["id"] == task["id"]
    assert done["result"] == "2 masks of 3 images saved with tag original, 1 failed."
    assert done["details"][1].startswith("ct_1: failed: ")
    objects = client.get("/datastore/?output=all").json()["objects"]
    assert [name for name, one in objects.items() if one["labels"]] == ["ct_0", "ct_2"]
    # Slicer takes the names of the segments from here
    entries = objects["ct_0"]["labels"]["original"]["info"]["params"]
    assert entries["label_names"] == {"liver": 1, "tumour": 2}
    for name in ("ct_0", "ct_2"):
        mask = client.get(f"/datastore/label?label={name}&tag=original").content
        (tmp_path / "mask.nii.gz").write_bytes(mask)
        expected = segment(studies[name], bright).array
        np.testing.assert_array_equal(read_image(tmp_path / "mask.nii.gz").array, expected)
    assert client.get("/datastore/").json()["completed"] == 0  # nobody has corrected them
    assert "ct_" not in client.get("/logs/").text
    assert not list(service.files.folder.iterdir())


def test_a_batch_waits_for_requests_and_can_be_stopped(studies, make_client):
    client, service = make_client(studies)
    with service.queue.turn():  # a request that predicts
        client.post("/batch/infer/bright?images=unlabeled", json={"max_batch_size": 1})
        assert client.post("/batch/infer/bright").status_code == 429
        stopped = client.delete("/batch/infer").json()
    assert stopped["status"] == "STOPPED"
    assert stopped["result"] == "0 masks of 1 image saved with tag original."
    assert client.delete("/batch/infer").json() is None
    (task,) = client.get("/batch/infer?all=true").json()
    assert task == stopped


@pytest.mark.parametrize(
    ("path", "params"),
    [
        ("/batch/infer/bright", {"label_tag": "final"}),
        ("/batch/infer/bright", {"label_tag": "../x"}),
        ("/batch/infer/bright", {"label_tag": ["x"]}),
        ("/batch/infer/bright", {"max_batch_size": -1}),
        ("/batch/infer/bright", {"mirror": True}),
        ("/batch/infer/bright?run_sync=true", {}),
        ("/batch/infer/bright?images=some", {}),
    ],
)
def test_what_would_be_wrong_is_refused(studies, make_client, path, params):
    client, service = make_client(studies)
    answer = client.post(path, json=params)
    assert (answer.status_code, service.batch.tasks()) == (422, [])
    assert answer.json()["detail"].startswith("Expected")
