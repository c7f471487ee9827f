import json

import pytest

from liverseg_tf.errors import LiverSegError
from liverseg_tf.model.spec import NetworkSpec
from liverseg_tf.serve.client.served_record import ServedRecord

KNOWN = {"score": "confidence", "source": "test", "threshold": 0.9}


def _decode(**entries):
    record = {"network": NetworkSpec().to_json(), "fingerprint": "0123"} | entries
    return ServedRecord.decode(json.dumps(record).encode(), str)


def test_a_server_says_when_not_to_trust_a_mask():
    record = _decode(trust={"passes": {"single": {"liver": KNOWN}}})
    assert record.trust.passes["single"]["liver"].threshold == 0.9
    assert not _decode().trust


def test_a_server_says_what_the_training_cases_were_like():
    assert _decode(training_range={"cases": 2, "slice_mm": [1, 5]}).training_range.cases == 2
    assert not _decode().training_range
    for wrong in ({"cases": "two"}, {"cases": 2, "regions": {"spleen": {}}}):
        with pytest.raises(LiverSegError):
            _decode(training_range=wrong)


@pytest.mark.parametrize(
    "trust",
    [
        {"passes": {"single": {"spleen": KNOWN}}},
        {"passes": {"single": {"liver": KNOWN | {"threshold": -1}}}},
        {"passes": {"single": {"liver": KNOWN | {"temperature": 1e9}}}},
    ],
)
def test_wrong_values_are_refused(trust):
    with pytest.raises(LiverSegError):
        _decode(trust=trust)
