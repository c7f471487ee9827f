"""Protocols from the mask files to the tables, with missing and invalid predictions."""

import csv
import json
import math

import numpy as np
import pytest
from click.testing import CliRunner
from scipy.stats import wilcoxon

from liverseg_tf.bootstrap import bootstrap_interval
from liverseg_tf.cli.main import liverseg
from liverseg_tf.ct.nifti import write_labels, write_volume
from liverseg_tf.ct.regions import LIVER_REGIONS, Regions
from liverseg_tf.ct.volume import Volume
from liverseg_tf.errors import LiverSegError, SettingsError
from liverseg_tf.evaluate import evaluate_folder as module
from liverseg_tf.evaluate.evaluate_folder import evaluate_folder, evaluate_pairs
from liverseg_tf.evaluate.pairs import find_pairs
from liverseg_tf.evaluate.protocols.scoring import PROTOCOLS, Scoring
from liverseg_tf.evaluate.report.comparison import (
    compare_evaluations,
    wilcoxon_p,
    write_comparison,
)
from liverseg_tf.evaluate.report.tables import write_tables
from liverseg_tf.workers import Processes

AFFINE = np.diag([-1.0, -2.0, 5.0, 1.0])  # 0.01 ml per voxel
SHAPE = (4, 5, 6)


def labels(liver=60, tumour=10):
    """Labels 1 and 2 in the first voxels; label 2 comes first."""
    array = np.zeros(SHAPE, np.uint8)
    array.flat[:liver] = 1
    array.flat[:tumour] = 2
    return Volume(array, AFFINE)


def write(folder, **volumes):
    for name, volume in volumes.items():
        write_labels(folder / f"{name}.nii.gz", volume)
    return folder


def evaluate(truth, prediction, out, scoring=None):
    """Evaluate two folders and write the tables."""
    evaluation = evaluate_folder(truth, prediction, scoring)
    write_tables(evaluation, out)
    return evaluation


@pytest.fixture
def folders(tmp_path):
    """A normal case, a case with empty masks, and a case without a prediction."""
    truth = write(tmp_path / "t", a=labels(), b=labels(0, 0), c=labels())
    return truth, write(tmp_path / "p", a=labels(50, 5), b=labels(0, 0)), tmp_path / "out"


def test_default_protocol_has_overlap_and_distances(folders):
    evaluation = evaluate(*folders)
    liver, _, empty, _ = evaluation.results
    assert liver.scores["dice"] == 2 * 50 / 110
    assert {"assd", "rmsd", "msd", "hd95", "hd95_pooled", "nsd", "centroid_shift"} <= set(
        liver.scores
    )
    assert (empty.scores["dice"], empty.scores["nsd"]) == (1, 1)
    assert math.isnan(empty.scores["assd"])
    assert [failure.case for failure in evaluation.failures] == ["c"]
    written = json.loads((folders[2] / "scores.json").read_text())
    assert (written["protocol"], written["surface"], written["tolerance_mm"]) == (
        "default", "faces", 2.0,
    )  # fmt: skip
    assert written["definitions_version"] == 1
    assert "MONAI" in written["definitions"]["hd95"]
    assert written["intervals"]["lits"]["liver"]["dice"] == [None, None]  # of two cases
    assert written["rows"][2]["assd"] is None


def test_without_distances(folders):
    evaluation = evaluate(*folders, Scoring(distances=False))
    assert "assd" not in evaluation.score_names
    assert "assd" not in json.loads((folders[2] / "scores.json").read_text())["definitions"]


@pytest.mark.parametrize("protocol", ["lits", "msd"])
def test_missing_prediction_counts_as_empty_in_a_challenge(folders, protocol):
    evaluation = evaluate(*folders, Scoring(protocol))
    missing = evaluation.select(case="c")
    assert [(result.scores["dice"], result.scores["nsd"]) for result in missing] == [(0, 0), (0, 0)]
    assert [failure.case for failure in evaluation.failures] == ["c"]
    assert [pair.case for pair in evaluation.pairs] == ["a", "b"]
    assert "Counted as an empty prediction (Dice 0" in evaluation.notes[0]


def test_lits_files(folders):
    truth, prediction, out = folders
    evaluation = evaluate(truth, prediction, out, Scoring("lits", compat=True))
    with open(out / "lits.csv") as stream:
        rows = list(csv.DictReader(stream))
    assert [(row["case"], row["missing"]) for row in rows] == [
        ("a", "False"), ("b", "False"), ("c", "True"),
    ]  # fmt: skip
    lits = json.loads((out / "scores.json").read_text())["lits"]
    assert lits["compat"] is True
    # a: 2 * 5 / 15; b: both empty, 1; c: missing, 0
    assert lits["figures"]["lesion_dice_per_case"] == pytest.approx((2 / 3 + 1 + 0) / 3)
    assert len(evaluation.lits) == 3


def test_msd_scores_labels_with_surfels(folders):
    evaluation = evaluate(*folders, Scoring("msd"))
    assert evaluation.regions == Regions({"liver": (1,), "tumour": (2,)})
    assert evaluation.scoring.tolerance_mm == 7
    assert "hd95_area" in evaluation.score_names
    # label 1 alone: 50 voxels in the truth, 45 in the prediction, from 10 to 50 in both
    assert evaluation.results[0].scores["dice"] == 2 * 40 / 95


def test_nnunet_summary(folders):
    truth, prediction, out = folders
    evaluate(truth, prediction, out, Scoring("nnunet"))
    summary = json.loads((out / "summary.json").read_text())
    assert list(summary) == ["foreground_mean", "mean", "metric_per_case"]
    first, empty = summary["metric_per_case"]  # c has no prediction
    assert first["reference_file"] == str(truth / "a.nii.gz")
    assert first["metrics"]["2"] == {
        "Dice": 2 * 5 / 15, "FN": 5, "FP": 0, "IoU": 0.5, "TN": 110, "TP": 5,
        "n_pred": 5, "n_ref": 10,
    }  # fmt: skip
    assert math.isnan(empty["metrics"]["1"]["Dice"])
    assert empty["metrics"]["1"]["TN"] == 120
    assert summary["mean"]["2"]["Dice"] == 2 * 5 / 15  # NaN is left out
    assert summary["mean"]["2"]["n_ref"] == 10 / 2
    means = [summary["mean"][label]["Dice"] for label in ("1", "2")]
    assert summary["foreground_mean"]["Dice"] == sum(means) / 2


def test_nnunet_regions_are_keyed_by_their_labels(folders):
    truth, prediction, out = folders
    evaluate(truth, prediction, out, Scoring("nnunet", LIVER_REGIONS))
    assert set(json.loads((out / "summary.json").read_text())["mean"]) == {"(1, 2)", "2"}


def test_unknown_labels_are_a_failure_with_default_regions_only(tmp_path):
    odd = labels().array.copy()
    odd.flat[-1], odd.flat[-2] = 7, 255
    truth = write(tmp_path / "t", a=labels())
    prediction = write(tmp_path / "p", a=Volume(odd, AFFINE))
    evaluation = evaluate(truth, prediction, tmp_path / "out")
    (failure,) = evaluation.failures
    assert failure.message.startswith("Expected labels of the regions in")
    assert "Received 7, 255, which count as background" in failure.message
    assert evaluation.results[0].scores["dice"] == 1  # scored nevertheless

    chosen = Scoring(regions=LIVER_REGIONS)
    evaluation = evaluate(truth, prediction, tmp_path / "chosen", chosen)
    assert evaluation.failures == ()
    assert "Received 7, 255" in evaluation.notes[0]


def test_probabilities_are_not_a_mask(tmp_path):
    truth = write(tmp_path / "t", a=labels(), b=labels())
    prediction = write(tmp_path / "p", b=labels())
    write_volume(prediction / "a.nii.gz", Volume(np.full(SHAPE, 0.4, np.float32), AFFINE))
    done = CliRunner().invoke(
        liverseg,
        ["evaluate", str(truth), str(prediction), "--out", str(tmp_path / "o"), "--workers", "1"],
    )
    assert done.exit_code == 1
    (error,) = [line for line in done.output.splitlines() if line.startswith("Error:")]
    assert "whole numbers" in error
    assert "case a" in error
    with open(tmp_path / "o" / "scores.csv") as stream:
        assert {line["case"] for line in csv.DictReader(stream)} == {"b"}


def test_failure_names_the_case_whose_worker_died(folders, monkeypatch):
    def run_and_die(function, jobs, workers):
        for number, job in enumerate(jobs):
            yield number, LiverSegError("The worker died") if job.case == "a" else function(job)

    monkeypatch.setattr(module, "run_jobs", run_and_die)
    evaluation = evaluate_pairs(find_pairs(*folders[:2]), workers=Processes(2))
    messages = [failure.message for failure in evaluation.failures]
    assert messages[0] == "The worker died (case a)"
    assert {result.case for result in evaluation.results} == {"b"}


@pytest.mark.slow
def test_workers_and_one_process_give_equal_tables(folders):
    truth, prediction, out = folders
    tables = []
    for workers in ("1", "2"):
        CliRunner().invoke(
            liverseg,
            ["evaluate", str(truth), str(prediction), "--out", str(out), "--workers", workers],
        )
        tables.append((out / "scores.csv").read_bytes())
    assert tables[0] == tables[1]


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"protocol": "brats"}, "default, lits, msd, nnunet"),
        ({"protocol": "lits", "regions": Regions({"liver": (1,)})}, "fixes its regions"),
        ({"compat": True}, "compat with lits"),
        ({"tolerance_mm": -1.0}, "at least 0 mm"),
    ],
)
def test_incompatible_settings(settings, message):
    with pytest.raises(SettingsError, match=message):
        Scoring(**settings)


def test_every_protocol_has_a_description():
    assert all(protocol.description for protocol in PROTOCOLS.values())


def test_interval_of_a_mean():
    values = np.random.default_rng(1).normal(0.9, 0.05, 40)
    low, high = bootstrap_interval(values)
    # about the mean plus and minus 1.96 standard errors
    error = values.std() / math.sqrt(40)
    assert (low, high) == pytest.approx(
        (values.mean() - 1.96 * error, values.mean() + 1.96 * error), abs=0.15 * error
    )
    assert bootstrap_interval(values) == (low, high)
    assert bootstrap_interval(values, seed=1) != (low, high)
    assert all(map(math.isnan, bootstrap_interval([0.5, math.nan])))


def test_comparison_of_two_sets_of_predictions(tmp_path):
    names = "abcdefg"
    truth = write(tmp_path / "t", **{name: labels() for name in names})
    first, second = (
        evaluate_folder(
            truth,
            write(tmp_path / name, **{n: labels(60 - missed - i, 10) for i, n in enumerate(names)}),
        )
        for name, missed in (("first", 12), ("second", 2))
    )
    comparisons = {(c.region, c.score): c for c in write_comparison(tmp_path, first, second)}
    dice = comparisons["liver", "dice"]
    first_dice, second_dice = first.values("liver", "dice"), second.values("liver", "dice")
    assert (dice.n, dice.first, dice.second) == (7, np.mean(first_dice), np.mean(second_dice))
    assert dice.difference == pytest.approx(np.mean(second_dice) - np.mean(first_dice))
    assert dice.low <= dice.difference <= dice.high
    # all seven differences are positive: p = 2 / 2**7
    assert dice.p == pytest.approx(2 / 2**7)
    assert dice.p == pytest.approx(wilcoxon(first_dice, second_dice).pvalue)
    assert comparisons["tumour", "dice"].p == 1
    with open(tmp_path / "versus.csv") as stream:
        rows = [row for row in csv.DictReader(stream) if row["score"] == "dice"]
    assert len(rows) == 2 * 7
    difference = float(rows[0]["second"]) - float(rows[0]["first"])
    assert float(rows[0]["difference"]) == pytest.approx(difference)
    json.loads((tmp_path / "versus.json").read_text(), parse_constant=pytest.fail)


def test_evaluations_that_cannot_be_compared(folders):
    truth, prediction, _ = folders
    evaluation = evaluate_folder(truth, prediction)
    other = write(truth.parent / "q", c=labels())
    with pytest.raises(LiverSegError, match="no case in common"):
        compare_evaluations(evaluation, evaluate_folder(truth, other))
    assert math.isnan(wilcoxon_p(np.array([])))


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_command_prints_tables_of_80_columns(folders, protocol):
    truth, prediction, out = folders
    arguments = ["evaluate", truth, prediction, "--out", out, "--protocol", protocol]
    arguments += ["--versus", prediction, "--workers", 1]
    done = CliRunner().invoke(liverseg, list(map(str, arguments)))
    assert done.exit_code == 1, done.output
    tables = [line for line in done.output.splitlines() if line.startswith(" ")]
    assert max(map(len, tables)) <= 80
    assert "…" not in done.output
    assert done.output.count("No prediction found for") == 2
