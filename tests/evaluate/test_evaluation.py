import math

import pytest

from liverseg_tf.ct.regions import LIVER_REGIONS
from liverseg_tf.errors import SettingsError
from liverseg_tf.evaluate.evaluation import Evaluation, Row, summarise
from liverseg_tf.evaluate.metrics.overlap import Overlap, score_overlap

LIVER = Overlap(10, 10, 10)


def evaluation_of(tumours):
    rows = []
    for case, tumour in tumours.items():
        for region, overlap in (("liver", LIVER), ("tumour", tumour)):
            rows.append(Row(case, region, overlap, score_overlap(overlap, 1.0)))
    return Evaluation(LIVER_REGIONS, tuple(rows))


def test_both_conventions_for_empty_masks():
    evaluation = evaluation_of(
        {"half": Overlap(2, 2, 1), "both empty": Overlap(0, 0, 0), "false alarm": Overlap(0, 9, 0)}
    )
    lits, nnunet = (evaluation.summary(name)["tumour"]["dice"] for name in ("lits", "nnunet"))
    assert (lits.n, lits.mean, lits.median, lits.min, lits.max) == (3, 0.5, 0.5, 0.0, 1.0)
    assert lits.std == pytest.approx(math.sqrt(1 / 6))
    assert (nnunet.n, nnunet.mean) == (2, 0.25)
    for name in ("lits", "nnunet"):
        assert evaluation.summary(name)["liver"]["dice"].n == 3
        assert evaluation.summary(name)["tumour"]["difference_percent"].n == 1


def test_every_case_empty():
    evaluation = evaluation_of({"a": Overlap(0, 0, 0)})
    assert evaluation.summary("lits")["tumour"]["dice"].mean == 1.0
    nothing = evaluation.summary("nnunet")["tumour"]["dice"]
    assert nothing.n == 0
    assert math.isnan(nothing.mean)


def test_rows_of():
    evaluation = evaluation_of({"a": LIVER, "b": LIVER})
    assert [row.region for row in evaluation.rows_of(case="b")] == ["liver", "tumour"]
    assert [row.case for row in evaluation.rows_of(region="liver")] == ["a", "b"]


def test_unknown_convention():
    with pytest.raises(SettingsError, match=r"lits, nnunet\. Received 'monai'"):
        evaluation_of({"a": LIVER}).summary("monai")


def test_statistics_by_hand():
    found = summarise([2.0, 4.0, math.nan, 9.0])
    assert (found.n, found.mean, found.median, found.min, found.max) == (3, 5.0, 4.0, 2.0, 9.0)
    assert found.std == pytest.approx(math.sqrt((9 + 1 + 16) / 3))
