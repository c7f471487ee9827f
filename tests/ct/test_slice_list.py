import numpy as np
import pytest

from liverseg_tf.ct.slice_list import SliceList
from liverseg_tf.errors import LiverSegError, SettingsError


@pytest.mark.parametrize(
    ("text", "slices", "repeated"),
    [
        ("7", [7], []),
        ("0-2, 5;9", [0, 1, 2, 5, 9], []),
        ("every=4", [0, 4, 8], []),
        ("Every = 4 4-END / 3", [0, 4, 7, 8, 10], [4]),
        ("3 - 9/3", [3, 6, 9], []),
        ("all, 11", list(range(12)), [11]),
    ],
)
def test_lists_in_words(text, slices, repeated):
    parsed = SliceList.parse(text)
    assert np.flatnonzero(parsed.mask(12)).tolist() == slices
    assert parsed.repeated(12) == repeated
    assert SliceList.parse(str(parsed)) == parsed


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "Received no slice"),
        (" , ;", "Received no slice"),
        ("1-b", "Received '1-b'"),
        ("-3", "Received '-3'"),
        ("5-2", "from a lower to a higher slice"),
        ("0-9/0", "in steps of at least 1"),
        ("every=0", "in steps of at least 1"),
        ("1.5", "Received '1.5'"),
        ("05.Jan", "Received '05.jan'"),  # what a spreadsheet makes of 1-5
        ("1234567", "Received '1234567'"),
        ("1\x1b[2J", r"Received '1\\x1b\[2j'"),
        ("1," * 200_000, "Received 200000 items"),
    ],
)
def test_other_texts_are_refused(text, message):
    with pytest.raises(SettingsError, match=message):
        SliceList.parse(text)


@pytest.mark.parametrize("text", ["10", "0-10", "10-end", "0,3,10"])
def test_slices_that_do_not_exist_are_refused(text):
    with pytest.raises(LiverSegError, match=r"from 0 to 9, .*Received slice 10"):
        SliceList.parse(text).mask(10)
