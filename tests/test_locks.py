"""Locks against a second process, which is what they are for."""

import errno
import os
import subprocess
import sys
import threading
import time
from contextlib import contextmanager

import pytest

from liverseg_tf.dataset.dataset_part import DatasetPart
from liverseg_tf.errors import LiverSegError
from liverseg_tf.locks import exclusive_lock, lock_if_supported, part_lock

HOLD = """
import sys
from pathlib import Path
from liverseg_tf.locks import exclusive_lock, lock_if_supported, part_lock

path, index, count = Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3])
with part_lock(path, index, count, "it") if count else exclusive_lock(path, "it"):
    print("held", flush=True)
    sys.stdin.read()
"""
ANOTHER_RUN = r"^Expected exclusive access to the store\. Received: another run is writing it \("


@pytest.fixture
def path(tmp_path):
    return tmp_path / "new" / ".lock"


@contextmanager
def other_process(path, index=0, count=0):
    """Another process that holds a part, or the file itself if `count` is 0."""
    command = [sys.executable, "-c", HOLD, str(path), str(index), str(count)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdout.readline() == b"held\n"
        yield process  # at the end, its standard input is closed


def test_a_lock_excludes_other_processes_and_other_holders_in_this_one(path):
    with other_process(path), pytest.raises(LiverSegError, match=ANOTHER_RUN):
        exclusive_lock(path, "the store").__enter__()
    with exclusive_lock(path, "the store"), pytest.raises(LiverSegError, match=ANOTHER_RUN):
        exclusive_lock(path, "the store").__enter__()
    with exclusive_lock(path, "the store", remove=True):
        assert path.exists()
    assert not path.exists()


def test_a_lock_can_be_waited_for(path):
    with other_process(path) as process:
        threading.Timer(0.3, process.stdin.close).start()
        started = time.monotonic()
        with exclusive_lock(path, "the store", wait=True):
            assert time.monotonic() - started > 0.25


@pytest.mark.parametrize("count", [0, 2])
def test_a_killed_process_holds_nothing(path, count):
    with other_process(path, 1, count) as process:
        process.kill()
        process.wait()
        if count:
            assert path.with_name(".lock-1-2").exists()
            with part_lock(path, 1, 1, "the store"):
                assert not path.with_name(".lock-1-2").exists()
        else:
            with exclusive_lock(path, "the store"):
                pass


@pytest.mark.parametrize(
    ("theirs", "ours", "fits"),
    [
        ((1, 1), (1, 1), False),
        ((1, 1), (2, 3), False),
        ((2, 3), (1, 1), False),
        ((2, 3), (2, 3), False),
        ((2, 3), (1, 3), True),
        ((2, 3), (3, 3), True),
        ((1, 2), (3, 4), False),  # items 1, 3, 5, ... and 3, 7, 11, ...
        ((1, 2), (2, 4), True),
        ((2, 6), (3, 4), True),
        ((2, 6), (4, 4), False),
        ((2, 3), (1, 2), False),
        ((2, 4), (2, 3), False),
        ((1, 10), (10, 10), True),
    ],
)
def test_parts_that_overlap_exclude_each_other(path, theirs, ours, fits):
    with part_lock(path, *theirs, "the store"):
        if fits:
            with part_lock(path, *ours, "the store"):
                pass
        else:
            with pytest.raises(LiverSegError, match=ANOTHER_RUN):
                part_lock(path, *ours, "the store").__enter__()
        with pytest.raises(LiverSegError, match=ANOTHER_RUN):  # still held
            part_lock(path, *theirs, "the store").__enter__()
    with part_lock(path, *ours, "the store"):
        pass
    assert [file.name for file in path.parent.iterdir()] in ([".lock"], [])  # none on Windows


@pytest.mark.parametrize("count", range(1, 7))
def test_parts_with_common_items_exclude_each_other(path, count):
    """For all pairs of parts: as `DatasetPart.select` takes their items."""
    items = list(range(60))
    for other in range(1, 7):
        ours, theirs = DatasetPart(1, count), DatasetPart(min(2, other), other)
        common = set(ours.select(items)) & set(theirs.select(items))
        with part_lock(path, theirs.index, theirs.count, "the store"):
            try:
                with part_lock(path, ours.index, ours.count, "the store"):
                    assert not common, (ours, theirs)
            except LiverSegError:
                assert common, (ours, theirs)


def test_many_threads_never_hold_overlapping_parts(path):
    parts = [(index, count) for count in (1, 2, 3) for index in range(1, count + 1)]
    held, refused, wrong, guard = {}, [0], [], threading.Lock()

    def run(number):
        for turn in range(30):
            index, count = parts[(number * 7 + turn * 5) % len(parts)]
            try:
                with part_lock(path, index, count, "the store"):
                    mine = set(DatasetPart(index, count).select(list(range(6))))
                    with guard:
                        wrong.extend((mine, other) for other in held.values() if mine & other)
                        held[number] = mine
                    time.sleep(0.002)
                    with guard:
                        del held[number]
            except LiverSegError:
                refused[0] += 1

    threads = [threading.Thread(target=run, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert wrong == []
    assert 0 < refused[0] < 120


@pytest.mark.parametrize("wait", [False, True])
@pytest.mark.parametrize("number", [errno.ENOSYS, errno.ENOLCK, errno.EOPNOTSUPP])
def test_a_file_system_without_locks_is_an_error(path, monkeypatch, number, wait):
    fcntl = pytest.importorskip("fcntl")

    def flock(descriptor, operation):
        raise OSError(number, "no locks here")

    monkeypatch.setattr(fcntl, "flock", flock)
    with pytest.raises(
        LiverSegError, match=r"^Expected to write the store and lock it\. Received: no locks here\."
    ):
        exclusive_lock(path, "the store", wait).__enter__()


def test_a_lock_file_that_is_a_link_or_a_pipe_is_refused(tmp_path):
    """A store of a stranger must not make us open, empty or wait for another file."""
    (tmp_path / "mine").write_text("kept")
    (tmp_path / "link").symlink_to(tmp_path / "mine")
    os.mkfifo(tmp_path / "pipe")
    for name in ("link", "pipe"):
        with pytest.raises(LiverSegError, match=rf"regular file at .*{name}"):
            exclusive_lock(tmp_path / name, "the store").__enter__()
    assert (tmp_path / "mine").read_text() == "kept"


@pytest.mark.parametrize("name", [".lock-x-2", ".lock-1-0", ".lock-²-2", ".lock-1-2-3", ".lock--"])
def test_files_that_are_no_locks_of_parts_are_ignored(path, name):
    path.parent.mkdir()
    path.with_name(name).touch()
    with part_lock(path, 1, 2, "the store"):
        pass


def test_a_folder_that_cannot_be_written_is_an_error(tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(LiverSegError, match=r"^Expected to write the store and lock it\. Received"):
        exclusive_lock(tmp_path / "file" / ".lock", "the store").__enter__()


def test_where_there_are_no_locks_the_work_goes_on_without_one(tmp_path):
    with (
        exclusive_lock(tmp_path / "a.lock", "a"),
        pytest.raises(LiverSegError, match="another run"),
        lock_if_supported(tmp_path / "a.lock", "a"),
    ):
        pass
    with lock_if_supported(tmp_path / "b.lock", "b"):
        assert (tmp_path / "b.lock").exists()
    assert not (tmp_path / "b.lock").exists()
    (tmp_path / "file").write_text("no folder")
    with lock_if_supported(tmp_path / "file" / "c.lock", "c"):
        pass
