import math

import pytest

from liverseg_tf.ct.regions import LIVER_REGIONS
from liverseg_tf.errors import SettingsError
from liverseg_tf.evaluate.evaluation import Evaluation, summarise
from liverseg_tf.evaluate.metrics.overlap import Overlap, score_overlap
from liverseg_tf.evaluate.score_case import RegionResult

LIVER = Overlap(10, 10, 10)


def evaluation_of(tumours):
    results = []
    for case, tumour in tumours.items():
        for region, overlap in (("liver", LIVER), ("tumour", tumour)):
            results.append(RegionResult(case, region, overlap, score_overlap(overlap, 1.0)))
    return Evaluation(LIVER_REGIONS, tuple(results))


def test_two_conventions_for_empty_masks():
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


def test_all_cases_empty():
    evaluation = evaluation_of({"a": Overlap(0, 0, 0)})
    assert evaluation.summary("lits")["tumour"]["dice"].mean == 1.0
    statistics = evaluation.summary("nnunet")["tumour"]["dice"]
    assert statistics.n == 0
    assert math.isnan(statistics.mean)


def test_select():
    evaluation = evaluation_of({"a": LIVER, "b": LIVER})
    assert [result.region for result in evaluation.select(case="b")] == ["liver", "tumour"]
    assert [result.case for result in evaluation.select(region="liver")] == ["a", "b"]


def test_unknown_convention():
    with pytest.raises(SettingsError, match=r"lits, nnunet\. Received 'monai'"):
        evaluation_of({"a": LIVER}).summary("monai")


def test_statistics_by_hand():
    statistics = summarise([2.0, 4.0, math.nan, 9.0])
    assert (statistics.n, statistics.mean, statistics.median, statistics.min, statistics.max) == (
        3,
        5.0,
        4.0,
        2.0,
        9.0,
    )
    assert statistics.std == pytest.approx(math.sqrt((9 + 1 + 16) / 3))
