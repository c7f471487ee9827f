"""Which labels the voxels of named segments get."""

from pathlib import Path

import numpy as np
import pytest

from liverseg_tf.ct.regions import LIVER_REGIONS, Regions
from liverseg_tf.ct.segments.label_map import draw_label_map, draw_own_labels
from liverseg_tf.ct.segments.segment_file import Segment, SegmentFile
from liverseg_tf.ct.segments.segment_names import SegmentNames
from liverseg_tf.errors import LiverSegError, SettingsError

SHAPE = (1, 1, 4)


def _file(*segments):
    """Segments of (name, voxels)."""
    named = tuple(Segment(number, name) for number, (name, _) in enumerate(segments, 1))
    masks = [np.isin(np.arange(4), voxels).reshape(SHAPE) for _, voxels in segments]
    return SegmentFile(Path("a.dcm"), "a DICOM-SEG", named, lambda s: masks[s.number - 1])


def _labels(file, regions=LIVER_REGIONS, *patterns):
    return draw_label_map(file, SegmentNames(regions, patterns), SHAPE)[0].ravel().tolist()


@pytest.mark.parametrize(
    ("liver", "tumour"), [([0, 1, 2], [1]), ([0, 2], [1])], ids=["overlapping", "beside"]
)
def test_nested_segments_overlap_or_lie_beside_each_other(liver, tumour):
    assert _labels(_file(("LIVER", liver), ("Tumor", tumour))) == [1, 2, 1, 0]


def test_segments_that_overlap_in_part_need_a_label_of_their_own():
    file = _file(("liver", [0, 1]), ("tumour", [1, 2]))
    with pytest.raises(LiverSegError, match="1 of its 2 voxels outside of liver"):
        _labels(file)
    regions = Regions({"liver": (1, 2), "tumour": (2, 3)})
    assert _labels(file, regions) == [1, 2, 3, 0]
    with pytest.raises(LiverSegError, match="a label for voxels of liver and tumour"):
        _labels(file, Regions({"liver": (1,), "tumour": (2,)}))


def test_names_are_patterns_or_numbers():
    file = _file(("Liver", [0]), ("GTV 1", [1]), ("GTV 2", [2]), ("spinal cord", [3]))
    assert _labels(file, LIVER_REGIONS, ("tumour", "gtv*")) == [1, 2, 2, 0]
    assert _labels(file, LIVER_REGIONS, ("tumour", "#3")) == [1, 0, 2, 0]
    with pytest.raises(LiverSegError, match=r"none for tumour: name it with --segment"):
        _labels(file)
    with pytest.raises(LiverSegError, match="none for tumour"):
        _labels(file, LIVER_REGIONS, ("tumour", "PTV"))
    with pytest.raises(SettingsError, match="Expected a region of"):
        SegmentNames(LIVER_REGIONS, (("spleen", "a"),))
    with pytest.raises(SettingsError, match="REGION=NAME"):
        SegmentNames.parse(LIVER_REGIONS, ["tumour"])


def test_a_region_without_a_segment_is_empty_if_no_other_segment_may_be_it():
    labels, notes = draw_label_map(_file(("liver", [0])), SegmentNames(LIVER_REGIONS), SHAPE)
    assert labels.ravel().tolist() == [1, 0, 0, 0]
    assert notes == ["No segment of tumour in a.dcm: the region is empty."]
    with pytest.raises(LiverSegError, match="segments of the regions liver, tumour"):
        _labels(_file(("spleen", [0])))


def test_segments_without_names_belong_to_the_labels_of_their_numbers():
    assert _labels(_file(("Segment_1", [0]), ("Segment_2", [1]))) == [1, 2, 0, 0]
    with pytest.raises(LiverSegError, match="none for liver, tumour"):
        _labels(_file(("Spleen", [0]), ("Segment_2", [1])))


def test_own_labels_are_the_numbers_and_further_ones_where_segments_overlap():
    labels, regions, _ = draw_own_labels(_file(("a", [0, 1]), ("b", [1])), SHAPE)
    assert labels.ravel().tolist() == [1, 2, 0, 0]
    assert regions == Regions({"a": (1, 2), "b": (2,)})
    labels, regions, _ = draw_own_labels(_file(("a", [0, 1]), ("b", [1, 2]), ("c", [])), SHAPE)
    assert labels.ravel().tolist() == [1, 4, 2, 0]
    assert regions == Regions({"a": (1, 4), "b": (2, 4), "c": (3,)})
