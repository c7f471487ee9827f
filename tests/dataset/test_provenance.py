import json

import pytest

from liverseg_tf.dataset.provenance import MaskRecord, MaskRecords, digest_content
from liverseg_tf.errors import LiverSegError

NAME = b"caf\xe9\x1b[31m".decode(errors="surrogateescape")


@pytest.fixture
def records(tmp_path):
    return MaskRecords(tmp_path / "masks")


def _write(records, name="a", content=b"mask", **entries):
    records.folder.mkdir(exist_ok=True)
    (records.folder / f"{name}.nii.gz").write_bytes(content)
    records.write(name, MaskRecord({"model": "m"}, **entries), {f"{name}.nii.gz"})


@pytest.mark.parametrize("name", ["a", NAME])
def test_files_are_complete_if_they_have_their_recorded_size(records, name):
    _write(records, name, warnings=(NAME,), image=f"/images/{NAME}")
    assert records.complete_files(name, {"model": "m"}) == {f"{name}.nii.gz"}
    assert records.complete_files(name, {"model": "other"}) == set()
    assert records.find_damage(name, {"model": "m"}) is None
    assert records.read(name).warnings == ("caf\\xe9\\x1b[31m",)
    (records.folder / f"{name}.nii.gz").write_bytes(b"")
    assert records.complete_files(name, {"model": "m"}) == set()
    assert "with 4 bytes. Received 0 bytes" in records.find_damage(name)
    (records.folder / f"{name}.nii.gz").unlink()
    assert "Received no such file" in records.find_damage(name)


def test_masks_of_another_run_and_missing_records_are_told(records):
    _write(records)
    assert "another run, which replaced them" in records.find_damage("a", {"model": "other"})
    assert "Received no record" in records.find_damage("b")


@pytest.mark.parametrize(
    "text",
    [
        *("", "{}", "[]", "null", "[" * 100_000, '{"provenance": []}', "\x00", "\xff\xfe"),
        *('{"provenance": {}, "files": {"a": -1}}', '{"provenance": {}, "files": {"a": "4"}}'),
        *('{"provenance": {}, "files": {"a": 1e999}}', '{"provenance": {"x": NaN}}'),
    ],
)
def test_a_damaged_record_is_none(records, text):
    _write(records)
    records.path("a").write_text(text, encoding="latin-1")
    assert records.read("a") is None
    assert records.complete_files("a", {"model": "m"}) == set()
    assert "no record" in records.find_damage("a")


def test_a_record_needs_its_files(records):
    _write(records)
    with pytest.raises(LiverSegError, match="no such file"):
        records.write("a", MaskRecord({}), {"b.nii.gz"})
    assert json.loads(records.path("a").read_text())["files"] == {"a.nii.gz": 4}


def test_the_digest_is_that_of_the_content(tmp_path):
    for name, content in (("a.nii", b"1"), ("b.nii", b"1"), ("c.nii", b"2")):
        (tmp_path / name).write_bytes(content)
    one, same, other = (digest_content(tmp_path / name) for name in ("a.nii", "b.nii", "c.nii"))
    assert one == same != other
    with pytest.raises(LiverSegError, match="Expected a file at"):
        digest_content(tmp_path / "missing.nii")
