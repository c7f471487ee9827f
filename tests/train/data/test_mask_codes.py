import numpy as np
import pytest

from liverseg_tf.ct.annotation import Annotation
from liverseg_tf.ct.regions import LIVER_REGIONS, Regions
from liverseg_tf.errors import LiverSegError
from liverseg_tf.train.data.mask_codes import NOT_LABELLED, MaskCodes

ORGANS = LIVER_REGIONS.joined(Regions({"spleen": (3,)}))
LIVER = Annotation(Regions({"liver": (1, 2)}))


def test_codes_are_labels_if_everything_is_labelled():
    codes = MaskCodes.of_cases(LIVER_REGIONS, [Annotation(), Annotation(LIVER_REGIONS)])
    assert codes.are_labels
    assert codes == MaskCodes(LIVER_REGIONS)
    assert codes.table.dtype == np.uint8
    assert codes.table[[0, 1, 2, 3]].tolist() == [[0, 0], [1, 0], [1, 1], [0, 0]]
    assert codes.translation(Annotation()) is None
    np.testing.assert_array_equal(codes.labels, np.arange(256))


def test_every_label_of_every_kind_of_case_keeps_its_ground_truth():
    annotations = [Annotation(), LIVER, Annotation(LIVER_REGIONS), Annotation(ignored=255)]
    codes = MaskCodes.of_cases(ORGANS, annotations)
    assert codes.table.dtype == np.int8
    everything = ORGANS.masks(np.arange(256, dtype=np.uint8)).astype(int)
    for annotation in annotations:
        translation = codes.translation(annotation)
        expected = np.where(annotation.known_regions(ORGANS), everything, NOT_LABELLED)
        if annotation.ignored:
            expected[annotation.ignored] = NOT_LABELLED
        np.testing.assert_array_equal(codes.table[translation], expected)
        # no label gets code 0, and the background of a code is that of cases of the same kind
        assert translation.min() > 0
        assert (codes.backgrounds[translation] == translation[0]).all()
        # a label for which each code stands has the same ground truth
        np.testing.assert_array_equal(codes.table[translation[codes.labels[translation]]], expected)
    used = {int(code) for one in annotations for code in codes.translation(one)}
    assert used == set(codes.values)


def test_codes_of_equal_cases_are_equal_in_any_order():
    first = MaskCodes.of_cases(ORGANS, [LIVER, Annotation()])
    second = MaskCodes.of_cases(ORGANS, [Annotation(), LIVER, LIVER])
    assert first == second
    assert hash(first) == hash(second)


def test_too_many_combinations_are_refused():
    regions = Regions({str(label): (label,) for label in range(1, 13)})
    annotations = [
        Annotation(Regions(pair)) for pair in zip(regions.items, regions.items[1:], strict=False)
    ]
    annotations += [Annotation(ignored=label) for label in range(20, 60)]
    with pytest.raises(LiverSegError, match=r"few combinations of labelled regions\. Received 51"):
        MaskCodes.of_cases(regions, annotations)
