import errno
import math
import os
import threading

import numpy as np
import pytest

from liverseg_tf import atomic
from liverseg_tf.atomic import TargetExistsError, read_json, replacing, write_csv, write_json
from liverseg_tf.errors import LiverSegError, SettingsError, first_line, reason_of


def write_half_a_file(target, error):
    with replacing(target) as partial:
        partial.write_text("half")
        raise error


def write_half_a_folder(target):
    with replacing(target) as partial:
        partial.mkdir()
        (partial / "new").touch()
        raise ValueError("half")


def test_a_file_appears_when_the_block_ends(tmp_path):
    target = tmp_path / "new" / "a.nii.gz"
    with replacing(target) as partial:
        partial.write_text("whole")
        assert partial.parent == target.parent
        assert partial.suffixes[-2:] == [".nii", ".gz"]
        assert partial.name.startswith(".")
        assert not target.exists()
    assert target.read_text() == "whole"
    assert list(target.parent.iterdir()) == [target]


@pytest.mark.parametrize("error", [ValueError, KeyboardInterrupt])
def test_an_error_leaves_the_earlier_file(tmp_path, error):
    target = tmp_path / "a.txt"
    target.write_text("earlier")
    with pytest.raises(error):
        write_half_a_file(target, error)
    assert target.read_text() == "earlier"
    assert list(tmp_path.iterdir()) == [target]


def test_an_error_leaves_the_earlier_folder(tmp_path):
    target = tmp_path / "case"
    target.mkdir()
    (target / "old").touch()
    with pytest.raises(ValueError, match="half"):
        write_half_a_folder(target)
    assert [path.name for path in target.iterdir()] == ["old"]
    assert list(tmp_path.iterdir()) == [target]


def test_a_folder_replaces_a_folder(tmp_path):
    target = tmp_path / "case"
    target.mkdir()
    (target / "old").touch()
    with replacing(target) as partial:
        partial.mkdir()
        (partial / "new").touch()
    assert [path.name for path in target.iterdir()] == ["new"]


def make_folder(path):
    path.mkdir()
    (path / "new").touch()


def write_new(target, make, results):
    try:
        with replacing(target, overwrite=False) as partial:
            make(partial)
        results.append("written")
    except TargetExistsError as error:
        results.append(str(error))


def make_file(path):
    path.write_text("new")


@pytest.mark.parametrize("links", [True, False])
@pytest.mark.parametrize("make", [make_file, make_folder])
def test_one_of_many_writers_of_a_new_target_succeeds(tmp_path, monkeypatch, make, links):
    if not links:
        monkeypatch.setattr(os, "link", lambda *paths: refuse(errno.EOPNOTSUPP))
    results, target = [], tmp_path / "a"
    threads = [threading.Thread(target=write_new, args=(target, make, results)) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(results)[-1] == "written"
    assert len(results) == 8
    assert len(set(results)) == 2, "one was written; the others have the same error"
    assert results.count("written") == 1
    assert min(results).startswith(f"Expected no file or folder at {target}. Received one that ")
    assert list(tmp_path.iterdir()) == [target]


def test_a_file_and_a_folder_do_not_replace_each_other(tmp_path):
    (tmp_path / "file").touch()
    (tmp_path / "folder/kept").mkdir(parents=True)
    results = []
    write_new(tmp_path / "file", make_folder, results)
    write_new(tmp_path / "folder", lambda path: path.touch(), results)
    assert all("exists already" in result for result in results)
    for overwritten, make in (("file", make_folder), ("folder", lambda path: path.touch())):
        with pytest.raises(LiverSegError), replacing(tmp_path / overwritten) as partial:
            make(partial)
    assert sorted(path.name for path in tmp_path.rglob("*")) == ["file", "folder", "kept"]


def refuse(number):
    raise OSError(number, os.strerror(number))


def test_an_old_folder_is_renamed_before_it_is_removed(tmp_path, monkeypatch):
    """A process that is killed while it removes never leaves half of a folder under its name."""
    target = tmp_path / "case"
    make_folder(target)
    seen = []
    monkeypatch.setattr(
        atomic, "remove", lambda path: seen.append((path.name, target.exists(), path.exists()))
    )
    with replacing(target) as partial:
        make_folder(partial)
    (old, *state), _ = seen
    assert old.startswith(".partial-")
    assert state == [True, True]


def test_an_old_folder_comes_back_if_the_new_one_cannot_be_renamed(tmp_path, monkeypatch):
    target = tmp_path / "case"
    make_folder(target)
    rename = os.rename
    calls = []

    def second_fails(source, destination):
        calls.append(source)
        if len(calls) == 2:
            refuse(errno.EIO)
        rename(source, destination)

    monkeypatch.setattr(os, "rename", second_fails)
    with pytest.raises(LiverSegError, match="Input/output error"), replacing(target) as partial:
        partial.mkdir()
    assert [path.name for path in tmp_path.rglob("*")] == ["case", "new"]


@pytest.mark.skipif(os.name != "posix", reason="folders cannot be synchronised")
def test_contents_reach_the_disk_before_the_name(tmp_path, monkeypatch):
    synchronised = []
    fsync, replace = os.fsync, os.replace

    def name(descriptor):
        synchronised.append(os.readlink(f"/proc/self/fd/{descriptor}").replace(f"{tmp_path}/", ""))
        fsync(descriptor)

    monkeypatch.setattr(os, "fsync", name)
    monkeypatch.setattr(
        os, "replace", lambda *paths: (synchronised.append("renamed"), replace(*paths))
    )
    with replacing(tmp_path / "new/case") as partial:
        (partial / "image").mkdir(parents=True)
        (partial / "image/0.png").touch()
        (partial / "record.json").touch()
    renamed = synchronised.index("renamed")
    before = {path.partition("-case")[2] for path in synchronised[:renamed]}
    assert before == {"", "/image", "/image/0.png", "/record.json"}
    assert synchronised[renamed + 1 :] == ["new", str(tmp_path)]


def test_a_disk_that_fails_while_synchronising_is_told(tmp_path, monkeypatch):
    monkeypatch.setattr(os, "fsync", lambda descriptor: refuse(errno.EIO))
    with pytest.raises(LiverSegError, match="Input/output error"):
        write_json(tmp_path / "a.json", {})
    assert list(tmp_path.iterdir()) == []


def test_system_errors_are_told_in_one_line(tmp_path):
    blocker = tmp_path / "file"
    blocker.touch()
    with pytest.raises(LiverSegError, match=r"^Expected to write .*file/a\.txt\. Received: .+\.$"):
        write_json(blocker / "a.txt", {})
    with pytest.raises(LiverSegError, match="No space left on device"):
        write_half_a_file(tmp_path / "b", OSError(28, "No space left on device"))
    assert list(tmp_path.iterdir()) == [blocker]


def test_json_comes_back(tmp_path):
    value = {"ä": [1, 2.5, None], "b": {"c": True}}
    write_json(tmp_path / "a.json", value)
    assert read_json(tmp_path / "a.json") == value


def test_json_that_cannot_be_written_leaves_nothing(tmp_path):
    with pytest.raises(TypeError):
        write_json(tmp_path / "a.json", {"a": object()})
    assert list(tmp_path.iterdir()) == []


def test_nan_is_null_in_json_unless_it_is_kept(tmp_path):
    value = {"a": [1.0, math.nan, (np.float64("nan"), "NaN")], "b": {"c": math.nan}}
    write_json(tmp_path / "a.json", value)
    assert read_json(tmp_path / "a.json") == {"a": [1.0, None, [None, "NaN"]], "b": {"c": None}}
    write_json(tmp_path / "b.json", value, keep_nan=True)
    assert math.isnan(read_json(tmp_path / "b.json")["b"]["c"])


def test_infinity_is_no_json(tmp_path):
    with pytest.raises(ValueError, match="not JSON compliant"):
        write_json(tmp_path / "a.json", {"a": math.inf})
    assert list(tmp_path.iterdir()) == []


def test_a_table_is_utf8_with_empty_fields_for_undefined_values(tmp_path):
    rows = [{"case": "Müller, A", "dice": 0.5}, {"case": "b", "dice": math.nan}, {"case": "c"}]
    write_csv(tmp_path / "a.csv", ["case", "dice"], rows)
    content = (tmp_path / "a.csv").read_bytes()
    assert content == 'case,dice\n"Müller, A",0.5\nb,\nc,\n'.encode()
    with pytest.raises(ValueError, match="fieldnames"):
        write_csv(tmp_path / "b.csv", ["case"], rows)
    assert [path.name for path in tmp_path.iterdir()] == ["a.csv"]


@pytest.mark.parametrize(
    ("error", "line"),
    [
        (ValueError("a\nb"), "a"),
        (ValueError("\n  a  \n"), "a"),
        (ValueError(), "ValueError"),
        (KeyboardInterrupt("  "), "KeyboardInterrupt"),
    ],
)
def test_the_first_line_of_an_error(error, line):
    assert first_line(error) == line
    assert reason_of(error) == line


def test_the_reason_of_an_error_of_the_system_has_no_number_and_no_path():
    assert reason_of(OSError(28, "No space left on device", "a.nii")) == "No space left on device"
    assert reason_of(OSError("two\nlines")) == "two"


@pytest.mark.parametrize("content", [None, b"", b"{", b"[1]", b"\xff\xfe{}", b"[" * 100_000])
def test_bad_json_is_told_in_one_line(tmp_path, content):
    path = tmp_path / "a.json"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(LiverSegError, match=r"^Expected a JSON .*a\.json.* Received.*$") as caught:
        read_json(path)
    assert "\n" not in str(caught.value)


def test_a_name_that_is_too_long_is_told(tmp_path):
    with pytest.raises(LiverSegError, match=r"Expected to write .* Received: File name too long"):
        write_json(tmp_path / ("n" * 250), {})
    assert list(tmp_path.iterdir()) == []


def test_an_error_names_its_case_once():
    error = SettingsError("Expected a. Received b.").about("liver_1").about("liver_1")
    assert type(error) is SettingsError
    assert str(error) == "Expected a. Received b. (case liver_1)"
