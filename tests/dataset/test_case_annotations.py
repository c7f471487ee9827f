from pathlib import Path

import pytest

from liverseg_tf.ct.annotation import Annotation
from liverseg_tf.ct.regions import LIVER_REGIONS, Regions
from liverseg_tf.ct.slice_list import SliceList
from liverseg_tf.dataset.case_annotations import CaseAnnotations
from liverseg_tf.dataset.labelled_slices import LabelledSlices
from liverseg_tf.errors import SettingsError


def test_statements_name_regions_and_labels_of_cases():
    texts = ["btcv_*=liver, 3,4", "*=liver,tumour", "a=b=tumour"]
    annotations = CaseAnnotations.parse(texts[:2], LIVER_REGIONS, 255)
    both = Regions({"liver": (1, 2), "tumour": (2,)})
    assert annotations.of("crlm_1") == Annotation(both, 255)
    assert annotations.of("btcv_1") == Annotation(both, 255)  # the last pattern counts
    annotations = CaseAnnotations.parse(texts[1::-1] + texts[2:], LIVER_REGIONS)
    assert annotations.of("btcv_1").labelled == Regions({"liver": (1, 2), "3": (3,), "4": (4,)})
    assert annotations.of("a=b").labelled == Regions({"tumour": (2,)})
    assert CaseAnnotations().of("x") == Annotation()


@pytest.mark.parametrize(
    ("texts", "ignored", "message"),
    [
        (["liver"], None, "as NAME=REGION,REGION, such as 'case_\\*=liver'. Received 'liver'"),
        (["a="], None, "Received 'a='"),
        (["=liver"], None, "Received '=liver'"),
        (["a=spleen"], None, "regions of liver, tumour, or labels from 1 to 255.*'spleen'"),
        (["a=liver,0"], None, "Received '0'"),
        (["a=liver,liver"], None, "Received 'liver' twice"),
        ([], 2, "a label to ignore that belongs to no region. Received 2, a label of liver"),
        (["a=liver,9"], 9, "Received 9, a label of 9"),
    ],
)
def test_wrong_statements_are_refused(texts, ignored, message):
    with pytest.raises(SettingsError, match=message):
        CaseAnnotations.parse(texts, LIVER_REGIONS, ignored)


def test_a_pattern_that_matches_no_case_is_refused():
    annotations = CaseAnnotations.parse(["case_*=liver", "btcv*=liver"], LIVER_REGIONS)
    annotations.check_cases(["case_1", "btcv_2"])
    with pytest.raises(SettingsError, match=r"'btcv\*', which matches no case .* named case_1"):
        annotations.check_cases(["case_1"])


def test_a_label_of_no_region_marks_slices_that_are_not_listed():
    slices = LabelledSlices(Path("x.csv"), (("a", SliceList.parse("0,5")),))
    chosen = CaseAnnotations.parse([], Regions({"all": (254, 255)}), None, slices)
    assert chosen.of("a") == Annotation(None, 253, slices.of("a"), ignored_is_chosen=True)
    assert chosen.of("b") == Annotation()
    named = CaseAnnotations.parse([], LIVER_REGIONS, 9, slices)
    assert named.of("a") == Annotation(None, 9, slices.of("a"))
    assert named.of("b") == Annotation(None, 9)
    named.check_slices(["a", "b"])
    with pytest.raises(SettingsError, match=r"names of cases in x\.csv\. Received 'a'"):
        named.check_slices(["b"])
