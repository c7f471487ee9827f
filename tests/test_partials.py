import os
import signal
import subprocess
import sys
import time

import pytest

from liverseg_tf import partials
from liverseg_tf.atomic import replacing
from liverseg_tf.errors import LiverSegError
from liverseg_tf.partials import clear_abandoned_partials, clear_partials, partial_path, remove

WRITE = """
import sys
from pathlib import Path
from liverseg_tf.atomic import replacing

with replacing(Path(sys.argv[1])) as partial:
    partial.mkdir()
    (partial / "half").touch()
    print("writing", flush=True)
    sys.stdin.read()
"""


@pytest.fixture(autouse=True)
def fresh_cache():
    clear_abandoned_partials.cache_clear()


@pytest.fixture
def other_process(tmp_path):
    """Another process that is writing `tmp_path / "a"`."""
    command = [sys.executable, "-c", WRITE, str(tmp_path / "a")]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdout.readline() == b"writing\n"
        yield process


def found(folder):
    return sorted(path.name for path in folder.iterdir())


def test_what_a_killed_process_left_is_removed_by_the_next_that_writes(tmp_path, other_process):
    (theirs,) = found(tmp_path)
    with replacing(tmp_path / "b") as partial:  # the other process is alive
        partial.touch()
    assert found(tmp_path) == [theirs, "b"]
    other_process.send_signal(signal.SIGKILL)
    other_process.wait()
    clear_abandoned_partials.cache_clear()
    with replacing(tmp_path / "b") as partial:
        partial.touch()
    assert found(tmp_path) == ["b"]


def test_only_abandoned_files_are_removed(tmp_path, monkeypatch):
    mine = partial_path(tmp_path / "mine")
    monkeypatch.setattr(partials, "_process", lambda: "0000")
    earlier = partial_path(tmp_path / "earlier")  # an earlier process with this number
    monkeypatch.undo()
    monkeypatch.setattr(partials, "_machine", lambda: "ffffffff")
    foreign, old = partial_path(tmp_path / "foreign"), partial_path(tmp_path / "old")
    monkeypatch.undo()
    others = [tmp_path / name for name in (".partial-", ".partial-notes", ".partial-a-b", "c")]
    for path in (mine, earlier, foreign, old, *others):
        path.touch()
        os.utime(path, (0, 0) if path == old else None)
    clear_abandoned_partials(tmp_path)
    assert sorted(tmp_path.iterdir()) == sorted([mine, foreign, *others])
    clear_partials(tmp_path, {"foreign"})
    assert sorted(tmp_path.iterdir()) == sorted([mine, *others])
    clear_partials(tmp_path)
    assert found(tmp_path) == ["c"]
    clear_partials(tmp_path / "missing")


def test_impossible_process_numbers_are_dead_or_unknown():
    assert not partials._is_alive(0xFFFFFFFF)
    assert partials._is_alive(0)
    assert partials._is_alive(os.getpid())


def test_the_target_of_a_link_is_never_removed(tmp_path):
    (tmp_path / "kept").mkdir()
    (tmp_path / "kept/file").touch()
    link = tmp_path / "link"
    link.symlink_to(tmp_path / "kept")
    remove(link)
    assert found(tmp_path) == ["kept"]
    assert found(tmp_path / "kept") == ["file"]
    remove(link)  # there is none any more


@pytest.mark.skipif(os.name != "posix" or os.getuid() == 0, reason="root may remove anything")
def test_a_folder_that_cannot_be_removed_is_told(tmp_path):
    folder = tmp_path / "a/b"
    folder.mkdir(parents=True)
    (folder / "c").touch()
    folder.chmod(0o500)
    try:
        with pytest.raises(LiverSegError, match=r"^Expected to remove .*/a\. Received: Perm"):
            remove(tmp_path / "a")
    finally:
        folder.chmod(0o700)


def test_a_removal_that_fails_is_told(tmp_path, monkeypatch):
    def fail(path):
        raise OSError(16, "Device or resource busy", str(path))

    (tmp_path / "a").touch()
    monkeypatch.setattr(os, "unlink", fail)
    with pytest.raises(LiverSegError, match=r"^Expected to remove .*a\. Received: Device"):
        remove(tmp_path / "a")


def test_cleaning_a_folder_is_quick(tmp_path):
    for number in range(2000):
        (tmp_path / f"{number}.nii.gz").touch()
    started = time.perf_counter()
    clear_abandoned_partials(tmp_path)
    assert time.perf_counter() - started < 0.1
