import os

import pytest

from liverseg_tf.ct.fingerprint import fingerprint_files, fingerprint_source
from liverseg_tf.errors import LiverSegError


@pytest.fixture
def files(tmp_path):
    paths = [tmp_path / f"{name}.dcm" for name in "abc"]
    for path in paths:
        path.write_bytes(b"12345678")
        os.utime(path, ns=(0, 10**18))
    return paths


def test_the_order_of_the_files_does_not_matter(files):
    first = fingerprint_files(files)
    assert first == fingerprint_files(files[::-1])
    assert (first["files"], first["bytes"]) == (3, 24)
    assert fingerprint_source(files[0])["files"] == 1


@pytest.mark.parametrize("modified_ns", [10**18 + 1, 10**9], ids=["newer", "older than all"])
def test_another_time_of_one_file_changes_it(files, modified_ns):
    first = fingerprint_files(files)
    os.utime(files[1], ns=(0, modified_ns))
    assert fingerprint_files(files)["digest"] != first["digest"]


def test_another_size_name_or_number_changes_it(files):
    found = [fingerprint_files(files)["digest"], fingerprint_files(files[:2])["digest"]]
    files[1].write_bytes(b"1234567")
    os.utime(files[1], ns=(0, 10**18))
    found.append(fingerprint_files(files)["digest"])
    found.append(
        fingerprint_files([*files[:2], files[2].rename(files[2].with_name("d"))])["digest"]
    )
    assert len(set(found)) == 4


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(LiverSegError, match=r"^Expected a file at .*/no\.nii\. Received: No such"):
        fingerprint_source(tmp_path / "no.nii")
