from liverseg_tf.ct.annotation import Annotation
from liverseg_tf.ct.regions import LIVER_REGIONS, Regions
from liverseg_tf.dataset.check.issues import ERROR, NOTE, WARNING
from liverseg_tf.dataset.check.label_rules import check_labels

LIVER = Annotation(Regions({"liver": (1, 2), "3": (3,)}))


def test_a_region_that_is_not_labelled_must_not_occur_and_is_not_missed():
    issues = list(check_labels({1: 50, 3: 9}, LIVER_REGIONS, (), LIVER))
    assert issues == [(NOTE, "tumour not labelled", "tumour is not labelled (--labelled)")]
    error, _ = check_labels({1: 50, 2: 1}, LIVER_REGIONS, (), LIVER)
    assert error[:2] == (ERROR, "labelled")
    assert error[2] == "label 2 (tumour) occurs, but --labelled does not list it for this case"
    (note,) = check_labels({1: 50}, LIVER_REGIONS, (), Annotation())
    assert note[1] == "no tumour"


def test_the_ignored_label_is_no_unknown_label():
    ignored = Annotation(ignored=255)
    assert not list(check_labels({1: 50, 2: 3, 255: 9}, LIVER_REGIONS, (), ignored))
    (warning,) = check_labels({1: 50, 2: 3, 254: 9}, LIVER_REGIONS, (), ignored)
    assert warning[:2] == (WARNING, "labels")
    (empty,) = check_labels({255: 9}, LIVER_REGIONS, (), ignored)
    assert empty[1] == "empty"
