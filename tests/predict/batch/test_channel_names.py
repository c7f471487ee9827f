"""Masks get the name of the case, without nnU-Net's number of the channel."""

import numpy as np
import pytest

from liverseg_tf.ct.nifti import write_volume
from liverseg_tf.ct.volume import Volume
from liverseg_tf.errors import LiverSegError
from liverseg_tf.predict.batch.find_images import find_images


@pytest.fixture
def write(tmp_path):
    """A function that writes images with given names and number of slices into a folder."""

    def write(*names, slices=2):
        for name in names:
            array = np.zeros((slices, 4, 4), np.int16)
            write_volume(tmp_path / f"{name}.nii.gz", Volume(array, np.eye(4)))
        return tmp_path

    return write


def test_the_number_of_the_only_channel_is_dropped(write):
    folder = write("a_0000", "FLARE22_Tr_0001_0000", "b")
    assert set(find_images([folder]).images) == {"a", "FLARE22_Tr_0001", "b"}
    files = sorted(folder.iterdir())
    assert set(find_images(files).images) == {"a", "FLARE22_Tr_0001", "b"}


def test_numbers_that_count_cases_stay(write):
    write("case_0000")
    write("case_0001", slices=3)
    folder = write("amos_0004", "amos_0005", "x", "x_0000")
    expected = {"case_0000", "case_0001", "amos_0004", "amos_0005", "x", "x_0000"}
    assert set(find_images([folder]).images) == expected
    assert set(find_images(folder.iterdir()).images) == expected


def test_several_channels_are_refused_with_what_to_do(write):
    folder = write("a_0000", "a_0001")
    for inputs in ([folder], [folder / "a_0000.nii.gz"], [folder / "a_0001.nii.gz"]):
        with pytest.raises(LiverSegError, match=r"a_0001.nii.gz beside a_0000.* table \(\.csv\)"):
            find_images(inputs)
    table = folder / "cases.csv"
    table.write_text("image,name\na_0000.nii.gz,t1\na_0001.nii.gz,t2\n")
    assert set(find_images([table]).images) == {"t1", "t2"}


def test_many_numbers_on_one_grid_count_cases(write):
    folder = write(*(f"brain_{number:04}" for number in range(9)))
    assert len(find_images([folder]).images) == 9


def test_damaged_files_are_cases(write):
    folder = write("a_0000")
    (folder / "a_0001.nii.gz").write_bytes(b"?")
    assert set(find_images([folder]).images) == {"a_0000", "a_0001"}
