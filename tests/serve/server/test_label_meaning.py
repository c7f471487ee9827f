import numpy as np
import pytest

from liverseg_tf.serve.server.label_meaning import find_meaning
from liverseg_tf.serve.server.limits import Refusal


def test_a_value_that_two_models_use_differently_needs_a_name():
    mask = np.zeros((2, 3, 4), np.uint8)
    mask[0, 0, 0] = 1
    known = {"liver": 1, "tumour": 2, "spleen": 1}
    with pytest.raises(Refusal, match="value 1 is liver in one model and spleen in another"):
        find_meaning(mask, None, known)
    assert find_meaning(mask, [{"name": "spleen"}], known) == {"spleen": 1}
    assert find_meaning(mask * 2, None, known) == known
