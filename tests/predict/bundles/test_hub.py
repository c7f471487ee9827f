"""Bundles on a local server with the layout of files of the Hugging Face hub."""

import hashlib

import pytest
from bundles import make_folder

from liverseg_tf.errors import LiverSegError, SettingsError
from liverseg_tf.predict.bundles.locate import locate_model

pytest.importorskip("huggingface_hub")
COMMIT = "a" * 40


@pytest.fixture
def hub(server, tmp_path, monkeypatch):
    monkeypatch.setenv("HF_ENDPOINT", server.url)
    monkeypatch.setenv("HF_HOME", str(tmp_path / "hf"))
    folder = make_folder(tmp_path / "bundle")
    for file in folder.iterdir():
        _put(server, file.name, file.read_bytes())
    return server


def _put(server, name, content, **headers):
    etag = f'"{hashlib.sha256(content).hexdigest()}"'
    answer = (200, {"ETag": etag, "X-Repo-Commit": COMMIT} | headers, content)
    for revision in ("main", "v1", COMMIT):
        server.answers[f"/owner/name/resolve/{revision}/{name}"] = answer


def test_a_bundle_comes_from_one_commit_and_works_offline(hub, cache):
    located = locate_model("hf://owner/name")
    assert located.bundle.name == "tiny"
    assert cache in located.path.parents
    model = [request for request in hub.requests if "model.keras" in request]
    assert {request.split()[1] for request in model} == {
        f"/owner/name/resolve/{COMMIT}/model.keras"
    }
    assert locate_model("hf://owner/name@v1").path == located.path
    hub.stop()
    assert locate_model("hf://owner/name").path == located.path


def test_a_file_that_was_changed_is_refused(hub):
    _put(hub, "model.keras", b"other")
    with pytest.raises(LiverSegError, match=r"as it was packed.*\(model hf://owner/name\)"):
        locate_model("hf://owner/name")


def test_a_repository_without_a_bundle_and_one_that_is_too_large_are_refused(hub):
    with pytest.raises(LiverSegError, match=r"bundle\.json of a model bundle in .* owner/none"):
        locate_model("hf://owner/none")
    _put(hub, "bundle.json", b"{}", **{"Content-Length": 1 << 40})
    with pytest.raises(LiverSegError, match=r"at most 1048576 bytes in bundle\.json"):
        locate_model("hf://owner/name")


@pytest.mark.parametrize("text", ["hf://owner", "hf://a/b/c", "hf://../b", "hf://a/b@../c"])
def test_other_addresses_are_refused(text):
    with pytest.raises(SettingsError, match="hf://OWNER/NAME@REVISION"):
        locate_model(text)
