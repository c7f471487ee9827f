import warnings

import numpy as np

from liverseg_tf.model.trust_record import TrustRecord
from liverseg_tf.predict.trust.draw_trust import draw_trust
from liverseg_tf.predict.trust.measure_cases import MeasuredRegion
from liverseg_tf.predict.trust.summarise import TrustSettings, summarise
from liverseg_tf.predict.trust.temperature import LOGIT_BINS


def test_certain_probabilities_have_an_empty_diagram_and_no_warning(tmp_path):
    counts = np.zeros((2, LOGIT_BINS), np.int64)
    counts[0, 0] = counts[1, -1] = 5
    cases = [
        MeasuredRegion("liver", "confidence", 0.9 + number / 100, 0.95, True, counts, f"{number}")
        for number in range(6)
    ]
    trust, _ = summarise(cases, 0.5, "test", TrustSettings())
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert draw_trust(cases, TrustRecord({"single": {"liver": trust}}), tmp_path / "trust.png")
