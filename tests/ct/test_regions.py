import pickle

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from liverseg_tf.ct.regions import LIVER_REGIONS, Regions
from liverseg_tf.errors import SettingsError

SHAPES = hnp.array_shapes(min_dims=0, max_dims=4, max_side=5)
DISJOINT = Regions({"spleen": (7,), "kidney": (3,), "vessel": (255,)})


def label_maps(*labels):
    return hnp.arrays(np.uint8, SHAPES, elements=st.sampled_from(labels))


def test_masks_by_hand():
    labels = np.array([[0, 1], [2, 3]], np.uint8)
    expected = [[[False, False], [True, False]], [[True, True], [False, False]]]
    masks = LIVER_REGIONS.masks(labels)
    assert masks.dtype == bool
    assert masks.tolist() == expected
    assert LIVER_REGIONS.mask(labels, "tumour").tolist() == [[False, False], [True, False]]


def test_the_later_region_is_written_over_the_earlier():
    both, tumour_alone = [True, True], [False, True]
    labels = LIVER_REGIONS.labels_of(np.array([[True, False], both, tumour_alone, [False] * 2]))
    assert labels.dtype == np.uint8
    assert labels.tolist() == [1, 2, 2, 0]


@pytest.mark.parametrize(
    ("regions", "written"),
    [
        (LIVER_REGIONS, (1, 2)),
        (Regions({"liver": (2, 1), "tumour": (2,)}), (1, 2)),
        (Regions({"body": (1, 2, 3), "liver": (2, 3), "tumour": (3,)}), (1, 2, 3)),
        (Regions({"liver": (1, 2)}), (1,)),
        (Regions({"one": (5,), "same": (5,)}), (5, 5)),
    ],
)
def test_written_labels(regions, written):
    assert regions.written_labels == written


@given(label_maps(0, 1, 2))
def test_nested_regions_round_trip(labels):
    np.testing.assert_array_equal(LIVER_REGIONS.labels_of(LIVER_REGIONS.masks(labels)), labels)


@given(label_maps(0, 3, 7, 255))
def test_disjoint_regions_round_trip(labels):
    masks = DISJOINT.masks(labels)
    assert masks.shape == (*labels.shape, 3)
    np.testing.assert_array_equal(DISJOINT.labels_of(masks), labels)
    np.testing.assert_array_equal(DISJOINT.labels_of(masks.astype(np.uint8)), labels)


def test_json_parse_and_hash():
    assert Regions.parse(["liver=1,2", "tumour = 2"]) == LIVER_REGIONS
    assert LIVER_REGIONS.to_json() == {"liver": [1, 2], "tumour": [2]}
    assert Regions.from_json(LIVER_REGIONS.to_json()) == LIVER_REGIONS
    assert hash(Regions({"liver": [1, 2], "tumour": [2]})) == hash(LIVER_REGIONS)
    assert pickle.loads(pickle.dumps(LIVER_REGIONS)) == LIVER_REGIONS
    assert len(LIVER_REGIONS) == 2


def test_regions_in_words():
    assert repr(LIVER_REGIONS) == "Regions(liver: 1, 2; tumour: 2)"
    assert str(LIVER_REGIONS) == "liver=1,2 tumour=2"
    assert Regions.parse(str(LIVER_REGIONS).split()) == LIVER_REGIONS


def test_nested_and_containing_regions():
    regions = Regions({"body": (1, 2, 3), "liver": (2, 3), "tumour": (3,), "spleen": (4,)})
    assert regions.nested_in("body") == ["liver", "tumour"]
    assert regions.containing("tumour") == ["body", "liver"]
    assert regions.nested_in("spleen") == regions.containing("spleen") == []


@pytest.mark.parametrize(
    "value",
    [
        {},
        {"": (1,)},
        {"liver\x1b[2J": (1,)},
        {"liver\nlung": (1,)},
        {"\u202eliver": (1,)},
        {"liver": ()},
        {"liver": (0,)},
        {"liver": (256,)},
        {"liver": (1.5,)},
        {"liver": (True,)},
        {"liver": "12"},
        {"liver": 1},
        {1: (1,)},
        [1, 2],
        None,
    ],
)
def test_unusable_regions_are_refused(value):
    with pytest.raises(SettingsError, match=r"^Expected .* Received [^\n]*\.$"):
        Regions.from_json(value)


@pytest.mark.parametrize("texts", [[], ["liver"], ["liver="], ["=1"], ["liver=1;2"], ["a=1"] * 2])
def test_unusable_texts_are_refused(texts):
    with pytest.raises(SettingsError, match=r"^Expected .* Received [^\n]*\.$"):
        Regions.parse(texts)


def test_wrong_channels_and_names_are_refused():
    with pytest.raises(SettingsError, match="2 regions"):
        LIVER_REGIONS.labels_of(np.zeros((4, 3), bool))
    with pytest.raises(SettingsError, match="spleen"):
        LIVER_REGIONS.mask(np.zeros(3, np.uint8), "spleen")


def test_some_regions_keep_the_labels_that_all_of_them_write():
    regions = Regions({"liver": (1, 2), "vessel": (1,), "tumour": (2,), "spleen": (5, 3)})
    assert regions.only(["liver"]).items == (("liver", (1,)),)
    assert regions.only(["tumour", "liver"]).items == (("liver", (1, 2)), ("tumour", (2,)))
    for names in (["liver", "vessel"], ["spleen", "tumour"], regions.names):
        written = dict(zip(regions.names, regions.written_labels, strict=True))
        some = regions.only(names)
        assert dict(zip(some.names, some.written_labels, strict=True)) == {
            name: written[name] for name in some.names
        }
    with pytest.raises(SettingsError, match="kidney"):
        regions.only(["kidney"])
