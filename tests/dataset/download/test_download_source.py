import hashlib
import io
import os
import tarfile
import zipfile
from dataclasses import replace
from pathlib import Path

import pytest

from liverseg_tf.dataset.cases import find_cases
from liverseg_tf.dataset.download.download_source import DownloadProgress, download
from liverseg_tf.dataset.download.http_download import DOWNLOAD_RETRIES
from liverseg_tf.dataset.download.partial_file import PartialFile
from liverseg_tf.dataset.download.sources import SOURCES, find_source, from_mirror
from liverseg_tf.errors import LiverSegError, SettingsError
from liverseg_tf.locks import exclusive_lock

HASTY = replace(DOWNLOAD_RETRIES, max_retries=2, initial_backoff_s=0.001)
SPLEEN = SOURCES["Task09_Spleen"]


@pytest.fixture
def task(tmp_path, make_dataset):
    """Bytes of a tar archive with a small Task09_Spleen."""
    make_dataset(tmp_path / "made" / SPLEEN.name, "msd")
    memory = io.BytesIO()
    with tarfile.open(fileobj=memory, mode="w") as tar:
        tar.add(tmp_path / "made" / SPLEEN.name, SPLEEN.name)
    return memory.getvalue()


@pytest.fixture
def spleen(serve, task):
    """A server, and the source that it provides."""
    server = serve(task)
    source = replace(SPLEEN, url=server.url, md5=hashlib.md5(task).hexdigest())
    return server, source


def zip_of(folder, *patterns):
    memory = io.BytesIO()
    with zipfile.ZipFile(memory, "w", zipfile.ZIP_DEFLATED) as archive:
        for pattern in patterns:
            for path in folder.glob(pattern):
                archive.write(path, path.relative_to(folder))
    return memory.getvalue()


def files(folder):
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file())


def check_refused(source, folder, *words):
    with pytest.raises(LiverSegError) as caught:
        download(source, folder, HASTY)
    message = str(caught.value)
    assert message.startswith("Expected ")
    assert "Received" in message
    assert "\n" not in message
    for word in words:
        assert word in message
    assert not (folder / source.folder).exists()
    return message


@pytest.mark.parametrize("keep_archive", [False, True])
def test_a_run_that_was_killed_after_the_extraction_leaves_no_archive(
    spleen, tmp_path, keep_archive
):
    server, source = spleen
    archive = tmp_path / f"{source.name}.tar"
    download(source, tmp_path, HASTY, keep_archive=True)
    part = PartialFile(archive.with_name(archive.name + ".partial"))
    part.begin(archive.stat().st_size, '"first"')
    archive.rename(part.path)
    assert download(source, tmp_path, HASTY, keep_archive=keep_archive) is None
    assert len(server.requests) == 1
    assert not part.path.exists()
    assert not part.record_path.exists()
    assert archive.exists() == keep_archive


def test_a_task_is_downloaded_and_a_second_run_does_nothing(spleen, tmp_path):
    server, source = spleen
    stages = {}
    progress = DownloadProgress(
        on_bytes=lambda stage, done, total: stages.update({stage: (done, total)})
    )
    raw = tmp_path / "raw"
    assert download(source, raw, HASTY, progress=progress) == raw / SPLEEN.name
    assert files(raw / SPLEEN.name) == files(tmp_path / "made" / SPLEEN.name)
    assert len(find_cases(raw / SPLEEN.name)) == 3
    assert [path.name for path in raw.iterdir()] == [SPLEEN.name]
    assert list(stages) == ["download", "checksum", "extract"]
    assert all(done == total > 0 for done, total in stages.values())
    assert download(source, raw, HASTY) is None
    assert len(server.requests) == 1


def test_an_interrupted_download_is_resumed(spleen, tmp_path):
    server, source = spleen
    server.acts = [server.cut(5000), server.say(500), server.say(500)]
    check_refused(source, tmp_path / "raw", "kept for the next run")
    assert files(tmp_path / "raw") == [
        f"{SPLEEN.name}.tar.partial",
        f"{SPLEEN.name}.tar.partial.json",
    ]
    download(source, tmp_path / "raw", HASTY)
    assert server.ranges()[-1] == "bytes=5000-"
    assert files(tmp_path / "raw" / SPLEEN.name) == files(tmp_path / "made" / SPLEEN.name)


def test_an_archive_with_a_wrong_checksum_is_removed_and_not_resumed(spleen, tmp_path):
    server, source = spleen
    right, server.body = server.body, server.body[:-1] + b"x"
    check_refused(source, tmp_path / "raw", "Expected MD5", "The archive was removed")
    assert files(tmp_path / "raw") == []
    server.body = right
    download(source, tmp_path / "raw", HASTY)
    assert server.ranges() == [None, None]


def test_the_archive_is_kept_on_request_and_used_again(spleen, tmp_path):
    server, source = spleen
    download(source, tmp_path, HASTY, keep_archive=True)
    archive = tmp_path / f"{SPLEEN.name}.tar"
    assert archive.read_bytes() == server.body
    os.rename(tmp_path / SPLEEN.name, tmp_path / "moved")
    notes = []
    download(source, tmp_path, HASTY, progress=DownloadProgress(on_note=notes.append))
    assert files(tmp_path / SPLEEN.name) == files(tmp_path / "moved")
    assert len(server.requests) == 1
    assert len(notes) == 1
    assert archive.is_file()


def test_a_wrong_archive_of_the_user_is_not_removed(spleen, tmp_path):
    _, source = spleen
    archive = tmp_path / f"{SPLEEN.name}.tar"
    archive.write_bytes(b"mine")
    check_refused(source, tmp_path, "Expected MD5")
    assert archive.read_bytes() == b"mine"


@pytest.mark.parametrize("checked", [True, False])
def test_a_hostile_archive_writes_nothing_outside_its_folder(serve, tmp_path, checked):
    memory = io.BytesIO()
    with tarfile.open(fileobj=memory, mode="w") as tar:
        tar.addfile(tarfile.TarInfo(f"{SPLEEN.name}/dataset.json"))
        tar.addfile(tarfile.TarInfo(f"{SPLEEN.name}/../../evil"))
    server = serve(memory.getvalue())
    md5 = hashlib.md5(server.body).hexdigest() if checked else None
    check_refused(replace(SPLEEN, url=server.url, md5=md5), tmp_path / "raw", "plain names")
    kept = [f"{SPLEEN.name}.tar.partial", f"{SPLEEN.name}.tar.partial.json"] if checked else []
    assert files(tmp_path) == [f"raw/{name}" for name in kept]


def test_an_archive_with_another_layout_is_removed(serve, tmp_path):
    memory = io.BytesIO()
    with tarfile.open(fileobj=memory, mode="w") as tar:
        tar.addfile(tarfile.TarInfo(f"{SPLEEN.name}/readme.txt"))
    server = serve(memory.getvalue())
    source = replace(SPLEEN, url=server.url, md5=None)
    check_refused(source, tmp_path / "raw", "layout msd", "unknown", "was removed")
    assert files(tmp_path / "raw") == []


def test_leftovers_of_a_killed_run_are_removed(spleen, tmp_path):
    _, source = spleen
    leftover = tmp_path / "raw" / f".partial-0123abcd-{SPLEEN.name}"
    leftover.mkdir(parents=True)
    (leftover / "half").touch()
    download(source, tmp_path / "raw", HASTY)
    assert [path.name for path in (tmp_path / "raw").iterdir()] == [SPLEEN.name]


def test_another_run_that_downloads_the_same_is_an_error(spleen, tmp_path):
    _, source = spleen
    with exclusive_lock(tmp_path / f".{SPLEEN.name}.tar.lock", "the archive"):
        check_refused(source, tmp_path, "another run")
    assert download(source, tmp_path, HASTY) is not None


def test_a_folder_that_cannot_be_written_is_an_error(spleen, tmp_path):
    _, source = spleen
    (tmp_path / "raw").touch()
    check_refused(source, tmp_path / "raw", "Expected to write")


@pytest.fixture
def kaggle(serve, tmp_path, make_dataset, monkeypatch):
    """Both parts of LiTS, on a server that redirects requests to another server."""
    for name in ("KAGGLE_API_TOKEN", "KAGGLE_CONFIG_DIR"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("KAGGLE_USERNAME", "me")
    monkeypatch.setenv("KAGGLE_KEY", "s3cret")
    made = make_dataset(tmp_path / "made", "lits", 4)
    bodies = (
        zip_of(made, "segmentations/*", "volume_pt1/volume-[01].nii"),
        zip_of(made, "volume_pt1/volume-[23].nii"),
    )
    parts = []
    for number, body in enumerate(bodies, 1):
        storage, api = serve(body), serve(b"")
        api.acts = [api.say(302, Location=storage.url + "?signature=abc") for _ in range(9)]
        parts.append((api, storage, replace(SOURCES[f"lits-part{number}"], url=api.url)))
    return parts


def test_both_parts_of_lits_form_one_data_set(kaggle, tmp_path):
    for api, storage, source in kaggle:
        storage.acts = [storage.cut(3000)]
        download(source, tmp_path / "raw", HASTY)
        assert storage.ranges() == [None, "bytes=3000-"]
        assert all(h["Authorization"] == "Basic bWU6czNjcmV0" for _, h in api.requests)
        assert not any("Authorization" in headers for _, headers in storage.requests)
    cases = find_cases(tmp_path / "raw" / "LiTS", "lits")
    assert [case.name for case in cases] == [f"volume-{n}" for n in range(4)]
    for case in cases:
        assert case.image.is_file()
        assert case.mask.is_file()


@pytest.mark.parametrize("status", [401, 403])
def test_denied_access_is_reported_without_the_credentials(kaggle, tmp_path, status):
    api, _, source = kaggle[0]
    api.acts = [api.say(status)]
    message = check_refused(source, tmp_path / "raw", f"status {status}", "kaggle.com/settings")
    assert "s3cret" not in message
    assert "bWU6" not in message


def test_without_credentials_no_request_is_sent(kaggle, tmp_path, monkeypatch):
    api, _, source = kaggle[0]
    monkeypatch.delenv("KAGGLE_KEY")
    monkeypatch.setattr(Path, "home", lambda: tmp_path / "home")
    check_refused(source, tmp_path / "raw", "Expected Kaggle credentials")
    assert api.requests == []


def test_credentials_that_others_can_read_cause_a_note(kaggle, tmp_path, monkeypatch):
    monkeypatch.delenv("KAGGLE_KEY")
    monkeypatch.setattr(Path, "home", lambda: tmp_path / "home")
    path = tmp_path / "home" / ".kaggle" / "access_token"
    path.parent.mkdir(parents=True)
    path.write_text("KGAT_s3cret")
    path.chmod(0o644)
    notes = []
    download(kaggle[0][2], tmp_path / "raw", HASTY, progress=DownloadProgress(on_note=notes.append))
    assert len(notes) == 1
    assert f"chmod 600 {path}" in notes[0]
    assert "s3cret" not in notes[0]


def test_a_broken_zip_is_removed(kaggle, tmp_path):
    _, storage, source = kaggle[0]
    storage.body = storage.body[:-30] + bytes(30)
    check_refused(source, tmp_path / "raw", "The archive was removed")
    assert files(tmp_path / "raw") == []


def test_a_mirror_gets_no_credentials(kaggle, tmp_path):
    _, storage, source = kaggle[0]
    download(from_mirror(source, storage.url), tmp_path / "raw", HASTY)
    assert "Authorization" not in storage.requests[0][1]


def test_all_sources_are_complete():
    assert len(SOURCES) == 12
    for name, source in SOURCES.items():
        assert source.name == name
        assert source.url.startswith("https://")
        assert source.licence
        assert source.citation
        assert source.kaggle or len(bytes.fromhex(source.md5)) == 16
    assert find_source("task03_liver") is find_source("LIVER") is SOURCES["Task03_Liver"]
    for name in ("", "kidney", "Task03"):
        with pytest.raises(SettingsError, match=r"^Expected one of Task01.*Received"):
            find_source(name)
