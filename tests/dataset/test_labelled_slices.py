from pathlib import Path

import numpy as np
import pytest

from liverseg_tf.dataset.labelled_slices import (
    find_labelled_slices,
    folders_of,
    read_labelled_slices,
)
from liverseg_tf.errors import LiverSegError


@pytest.fixture
def read(tmp_path):
    """A function: content of the file to what it lists."""

    def read(content):
        path = tmp_path / "labelled_slices.csv"
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
        return read_labelled_slices(path)

    return read


@pytest.mark.parametrize(
    "content",
    [
        "case,slices\na,0-2,6\n",
        'case,slices\r\na,"0-2, 6"\r\n\r\n',
        "\ufeffCase;Slices;;\na;0-2,6;\n",
        "case\tslice\na\t0\na\t1\na\t2\na\t6\n",
        "case,slices\n*,every=5\na*,0-2,6\n",
        "case,slices\na,0-2,6\n[a-z],5\n",  # the name counts before patterns
    ],
)
def test_forms_of_the_file(read, content):
    listed = read(content).of("a")
    assert np.flatnonzero(listed.mask(8)).tolist() == [0, 1, 2, 6]


def test_cases_and_rows_without_each_other(read):
    listed = read("case,slices\na_1,0\nb*,1\nc*,2\n")
    assert listed.of("a_2") is None
    assert str(listed.of("b[1")) == "1"
    assert listed.unmatched(["a_2", "b_1"]) == ["a_1", "c*"]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("", "Received an empty file"),
        ("name,slices\na,1\n", "Received name,slices"),
        ("case,slices\n", "Received no row"),
        ("case,slices\na,\n", "line 2 of .* Received no slices for a"),
        ("case,slices\n,1\n", "Received no name of a case"),
        ("case,slices\nb,1\na,2-x\n", r"Received '2-x'\. \(case a in "),
        ("case,slices\na\x1b,x\n", r"\(case a\\x1b in "),
        ('case,slices\na,"1\n', "Received other content"),
        (b"case,slices\n\xff,1\n", "save it as CSV UTF-8"),
        ("case,slices\na,1\n".encode("utf-16"), "save it as CSV UTF-8"),
        (b"case,slices\na,1" + b" " * 10_000_000, "at most 10 MB"),
    ],
)
def test_other_files_are_refused(read, content, message):
    with pytest.raises(LiverSegError, match=message) as caught:
        read(content)
    assert "\n" not in str(caught.value)


def test_the_file_is_found_in_the_data_set_and_above_a_folder_of_masks(make_dataset, tmp_path):
    data = make_dataset(tmp_path / "data", count=1)
    assert find_labelled_slices(folders_of(data)) is None
    path = data / "Labeled-Slices.csv"
    path.touch()
    masks = data / "masks"
    for truth in (data, masks, masks / "case_0.nii.gz"):
        assert find_labelled_slices(folders_of(truth)) == path
    assert find_labelled_slices([Path("missing")]) is None
    assert folders_of(data) == [data]  # and not beside a data set
    (data / "labelled_slices.csv").touch()
    with pytest.raises(LiverSegError, match=r"Labeled-Slices\.csv and labelled_slices\.csv"):
        find_labelled_slices([data])
