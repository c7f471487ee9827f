import pytest
from hypothesis import given
from hypothesis import strategies as st

from liverseg_tf.dataset.dataset_part import DatasetPart
from liverseg_tf.errors import SettingsError


@given(st.integers(1, 20), st.integers(0, 50))
def test_every_item_belongs_to_one_part(count, length):
    items = list(range(length))
    parts = [DatasetPart(index, count).select(items) for index in range(1, count + 1)]
    assert sorted(item for part in parts for item in part) == items
    assert max(map(len, parts)) - min(map(len, parts)) <= 1


@given(st.integers(1, 1000), st.integers(0, 1000))
def test_parts_survive_text(index, more):
    part = DatasetPart(index, index + more)
    assert DatasetPart.parse(str(part)) == part


@pytest.mark.parametrize("text", ["0/4", "5/4", "1", "1/0", "a/b", "-1/4", "1/4/2", "", "1.0/2"])
def test_invalid_parts(text):
    with pytest.raises(SettingsError, match="Expected a part"):
        DatasetPart.parse(text)
