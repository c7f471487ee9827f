import json

import pytest

from liverseg_tf.ct.annotation import Annotation, read_annotation
from liverseg_tf.ct.regions import LIVER_REGIONS, Regions
from liverseg_tf.ct.slice_list import SliceList
from liverseg_tf.errors import SettingsError

LIVER = Annotation(Regions({"liver": (1, 2)}))
TUMOUR = Annotation(Regions({"tumour": (2,)}))
BOTH = Annotation(LIVER_REGIONS)
ORGANS = Annotation(Regions({"liver": (1, 2), "left": (4, 5), "3": (3,)}))


@pytest.mark.parametrize(
    ("annotation", "labels", "known"),
    [
        (LIVER, (1, 2), True),
        (LIVER, (2,), False),  # a tumour has the label of the liver
        (LIVER, (1,), False),  # and so the liver without tumours is unknown, too
        (LIVER, (3,), False),  # a spleen has the label of the background
        (LIVER, (1, 2, 3), False),
        (TUMOUR, (2,), True),
        (TUMOUR, (1, 2), False),
        (BOTH, (1,), True),  # liver without tumour
        (BOTH, (1, 2), True),
        (BOTH, (3,), False),
        (ORGANS, (1, 2, 3), True),  # a union of regions that were drawn
        (ORGANS, (4,), False),
        (ORGANS, (3, 4, 5), True),
        (Annotation(), (77,), True),
        (Annotation(ignored=255), (77,), True),
    ],
)
def test_a_region_is_known_if_the_drawn_regions_tell_it_apart(annotation, labels, known):
    assert annotation.knows(labels) is known
    assert annotation.known_regions(Regions({"a": labels, "b": labels})) == (known, known)


@pytest.mark.parametrize(
    ("annotation", "labels", "found"),
    [
        (LIVER, {1}, []),
        (LIVER, {1, 2}, ["label 2 (tumour)"]),
        (TUMOUR, {2}, []),
        (TUMOUR, {1, 2}, ["label 1 (liver)"]),
        (BOTH, {1, 2, 9}, []),  # 9 belongs to no region
        (Annotation(), {1, 2, 9}, []),
        (Annotation(Regions({"liver": (1, 2)}), ignored=255), {0, 1, 255}, []),
    ],
)
def test_labels_of_regions_that_were_not_drawn_contradict(annotation, labels, found):
    assert annotation.contradictions(labels, LIVER_REGIONS) == found


def test_records_without_an_entry_label_everything():
    assert read_annotation({"labels": {}}) == Annotation()
    assert read_annotation({}).is_complete
    listed = Annotation(None, 255, SliceList.parse("every=10,3"), ignored_is_chosen=True)
    for annotation in (LIVER, Annotation(ignored=7), Annotation(LIVER_REGIONS, 255), listed):
        assert not annotation.is_complete
        record = json.loads(json.dumps({"annotation": annotation.to_json()}))
        assert read_annotation(record) == annotation


@pytest.mark.parametrize(
    ("value", "message"),
    [
        ({"labelled": {"liver": [1]}, "ignored": "255"}, "as an integer"),
        ({"labelled": {"liver": [1]}, "ignored": True}, "as an integer"),
        ({"labelled": {"liver": [1]}, "ignored": 1}, "Received 1, a label of liver"),
        ({"labelled": None, "ignored": 256}, "from 1 to 255 to ignore. Received 256"),
        ({"ignored": None, "slices": "1"}, "Received only the list"),
        ({"ignored": 255, "slices": [1]}, "labelled slices as text"),
        ({"ignored": 255, "slices": "x"}, "Received 'x'"),
        ({"labelled": {"liver": [0]}}, "Expected labels from 1 to 255"),
        ({"labelled": [1]}, "Expected regions as an object"),
    ],
)
def test_wrong_entries_are_refused(value, message):
    with pytest.raises(SettingsError, match=message):
        Annotation.from_json(value)
