"""Images in a DICOMweb archive are listed at the start, and fetched when they are needed."""

import json

import numpy as np
import pytest
from dicomweb_server import Archive, serving

from liverseg_tf.errors import LiverSegError, SettingsError
from liverseg_tf.predict.api import segment
from liverseg_tf.serve.server.archived_images import find_archived_images

pytest.importorskip("dicomweb_client")


@pytest.fixture
def archive(make_ct, write_series, tmp_path):
    """An archive of two studies with one CT each, and a report."""
    served = Archive()
    for number in range(2):

        def edit(dataset, z, number=number):
            dataset.StudyInstanceUID = f"1.2.{number}"

        write_series(tmp_path / f"ct_{number}", make_ct(number), edit)
        served.add_folder(tmp_path / f"ct_{number}")

    def report(dataset, z):
        dataset.StudyInstanceUID, dataset.Modality = "1.2.1", "SR"

    served.add_folder(write_series(tmp_path / "sr", make_ct(2), report))
    return served


def test_a_series_is_fetched_once_and_predicted(archive, make_client, bright, tmp_path):
    with serving(archive) as authority:
        address = f"dicomweb://{authority}/dicom-web"
        found = find_archived_images(address, {}, tmp_path / "fetched")
        assert sorted(one.study_uid for one in found.values()) == ["1.2.0", "1.2.1"]
        client, _ = make_client(found)
        sample = client.post("/activelearning/first").json()
        assert sample["id"] == sample["SeriesInstanceUID"] in found
        client.get("/datastore/?output=all")
        assert not (tmp_path / "fetched").exists()  # nothing was needed yet
        uid, image = next((uid, one) for uid, one in found.items() if one.study_uid == "1.2.1")
        for _ in range(2):
            answer = client.post(f"/infer/bright?image={uid}&output=json")
            assert answer.status_code == 200, answer.text
            assert answer.json()["label_names"] == {"liver": 1, "tumour": 2}
        expected = segment(tmp_path / "ct_1", bright)
        volume = np.count_nonzero(expected.array) * expected.voxel_volume_ml
        assert answer.json()["volumes_ml"]["liver"] == pytest.approx(volume, abs=1e-3)
        retrieved = [path for method, path, _ in archive.requests if path.count("/") >= 7]
        assert len(retrieved) == len(set(retrieved)) == 6
        (only,) = find_archived_images(f"{address}/studies/1.2.0", {}, tmp_path / "other").values()
        assert only.study_uid == "1.2.0"
        assert image.fetch() is image.fetch()


def test_an_archive_that_cannot_be_asked_is_reported(archive, tmp_path):
    with pytest.raises(SettingsError, match="dicomweb://HOST"):
        find_archived_images("dicomweb://", {}, tmp_path)
    for page in ({"a": 1}, "x"):
        content = json.dumps(page).encode()
        archive.replace = lambda path, answer, body=content: (200, "application/dicom+json", body)
        with serving(archive) as authority, pytest.raises(LiverSegError, match="list of studies"):
            find_archived_images(f"dicomweb://{authority}", {}, tmp_path)
    with pytest.raises(LiverSegError, match="list of studies"):
        find_archived_images(f"dicomweb://{authority}", {}, tmp_path)
