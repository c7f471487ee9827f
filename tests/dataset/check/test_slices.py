import numpy as np
import pytest

from liverseg_tf.ct.annotation import Annotation
from liverseg_tf.ct.slice_list import SliceList
from liverseg_tf.ct.volume import Volume
from liverseg_tf.dataset.check.slice_rules import check_slices
from liverseg_tf.dataset.check.slices import measure_slices
from liverseg_tf.errors import LiverSegError

DOWNWARDS = np.diag([1.0, 1, -5, 1])


def _annotation(text):
    return Annotation(ignored=255, slices=SliceList.parse(text))


def _mask(drawn, affine=DOWNWARDS):
    labels = np.zeros((12, 3, 4), np.uint8)
    labels[drawn] = 1
    labels[11] = 255
    return Volume(labels, affine)


def test_what_the_list_and_the_mask_say_differently():
    measured = measure_slices(_mask([2, 4, 8]), _annotation("0-8/2,2"))
    assert (measured.listed, measured.repeated) == (5, (2,))
    assert (measured.drawn, measured.empty) == ((), (6,))
    texts = [text for _, _, text in check_slices(measured)]
    assert texts[0].startswith("no label on 1 slice (6), listed as labelled, but labels on the")
    assert texts[1] == "1 slice (2) listed more than once"
    measured = measure_slices(_mask(range(1, 9)), _annotation("3"))
    (text,) = (text for _, _, text in check_slices(measured))
    assert text.startswith("labels on 7 slices (1, 2, 4, 5, 6, ...), not listed as labelled")
    assert measure_slices(_mask([1]), Annotation()) is None


@pytest.mark.parametrize(
    ("affine", "direction"),
    [
        ([[0, 0, 1, 0], [1, 0, 0, 0], [0, 1, 0, 0], [0, 0, 0, 1]], "from side to side"),
        ([[1, 0, 0, 0], [0, 0.2, 1, 0], [0, -1, 0.2, 0], [0, 0, 0, 1]], "between front and back"),
    ],
)
def test_slices_that_are_not_axial_are_refused(affine, direction):
    with pytest.raises(LiverSegError, match=f"whose third axis runs {direction}: store it"):
        measure_slices(_mask([1], np.array(affine, float)), _annotation("1"))


def test_slices_that_the_mask_does_not_have_are_refused():
    with pytest.raises(LiverSegError, match="Received slice 12 in the list"):
        measure_slices(_mask([1]), _annotation("0-12"))
