import math

import numpy as np
import pytest

from liverseg_tf.atomic import read_json, replacing, write_csv, write_json
from liverseg_tf.errors import LiverSegError, SettingsError, first_line


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


@pytest.mark.parametrize("content", [None, b"", b"{", b"[1]", b"\xff\xfe{}"])
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
