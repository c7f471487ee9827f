import csv
import dataclasses
import io
import json

import numpy as np
from rich.console import Console

from liverseg_tf.ct.regions import LIVER_REGIONS
from liverseg_tf.ct.volume import Volume
from liverseg_tf.evaluate.coverage import Coverage
from liverseg_tf.evaluate.evaluation import Evaluation, Failure
from liverseg_tf.evaluate.metrics.overlap import DEFINITIONS, Overlap, score_overlap
from liverseg_tf.evaluate.report.lesion_tables import lesion_table
from liverseg_tf.evaluate.report.score_table import score_table
from liverseg_tf.evaluate.report.size_plot import plot_sensitivity_by_size
from liverseg_tf.evaluate.report.tables import scores_json, write_tables
from liverseg_tf.evaluate.report.write_report import write_report
from liverseg_tf.evaluate.score_case import RegionResult, score_masks

NAMES = ("case_1", "case_2", "case_3", "case_4", "case_5")


def evaluation_of(names=NAMES, **more):
    results = []
    for index, case in enumerate(names):
        for region, overlap in (
            ("liver", Overlap(1000, 900, 800)),
            ("tumour", Overlap(0, 0, 0) if index == 0 else Overlap(0, 5, 0)),
        ):
            results.append(RegionResult(case, region, overlap, score_overlap(overlap, 0.5)))
    failures = (Failure("case_9", "No prediction found for case_9.nii.gz (case case_9)"),)
    return Evaluation(LIVER_REGIONS, tuple(results), failures=failures, notes=("a note",), **more)


def printed(evaluation):
    console = Console(width=80, file=io.StringIO())
    console.print(score_table(evaluation))
    return console.file.getvalue()


def refuse(constant):
    raise AssertionError(f"{constant} is not JSON")


def test_json_is_strict_and_contains_definitions(tmp_path):
    evaluation = evaluation_of(NAMES[:2])
    write_tables(evaluation, tmp_path)
    text = (tmp_path / "scores.json").read_text()
    value = json.loads(text, parse_constant=refuse)
    assert value == scores_json(evaluation)
    assert value["regions"] == {"liver": [1, 2], "tumour": [2]}
    assert DEFINITIONS.keys() <= value["definitions"].keys()
    assert value["conventions"].keys() == value["summary"].keys() == {"lits", "nnunet"}
    assert value["summary"]["lits"]["tumour"]["dice"] == {
        "n": 2,
        "mean": 0.5,
        "median": 0.5,
        "std": 0.5,
        "min": 0.0,
        "max": 1.0,
    }
    assert value["summary"]["nnunet"]["tumour"]["dice"]["mean"] == 0.0
    assert value["summary"]["nnunet"]["tumour"]["difference_percent"]["mean"] is None
    assert value["rows"][1]["difference_percent"] is None
    assert value["rows"][0]["both_voxels"] == 800
    assert value["failures"][0]["case"] == "case_9"
    assert value["intervals"]["lits"]["liver"]["dice"] == [None, None]  # fewer than five cases


def test_csv(tmp_path):
    write_tables(evaluation_of(("a, b", "ö")), tmp_path)
    with open(tmp_path / "scores.csv", encoding="utf-8", newline="") as stream:
        rows = list(csv.DictReader(stream))
    assert [(row["case"], row["region"]) for row in rows] == [
        ("a, b", "liver"),
        ("a, b", "tumour"),
        ("ö", "liver"),
        ("ö", "tumour"),
    ]
    assert float(rows[0]["dice"]) == 1600 / 1900
    assert float(rows[0]["truth_ml"]) == 500
    assert rows[1]["difference_percent"] == ""
    assert rows[3]["prediction_voxels"] == "5"


def test_terminal_table():
    text = printed(evaluation_of())
    assert text.count("case_1") == text.count("case_2") == 1
    assert "0.842" in text
    assert "-50.0" in text
    lines = [line for line in text.splitlines() if "tumour" in line]
    assert "mean of 5" in lines[-4]
    assert "0.200" in lines[-4]
    assert "4 not empty" in lines[-3]
    assert "0.000" in lines[-3]
    assert "95 % from" in lines[-2]
    assert "95 % to" in lines[-1]
    assert "NSD" in text.splitlines()[1]
    assert "2 mm" in text.splitlines()[2]  # the tolerance


def test_no_intervals_of_fewer_than_five_cases():
    text = printed(evaluation_of(NAMES[:4]))
    assert "95 % from" not in text
    assert "they need at least 5 cases" in text


def test_cases_without_a_score_are_in_every_table(tmp_path):
    missing = tuple(f"case_{number}" for number in range(3, 13))
    coverage = Coverage(2, missing, left_out={"liver": 10, "tumour": 10})
    evaluation = evaluation_of(NAMES[:2], coverage=coverage, warnings=(coverage.describe(),))
    text = printed(evaluation)
    assert text.count("missing") == 10
    assert text.count("mean of 2 of 12") == 2
    rows = map(str.split, text.splitlines())
    (zeros,) = (row for row in rows if row[:4] == ["10", "as", "0", "liver"])
    assert float(zeros[4]) == round(2 * 1600 / 1900 / 12, 3)
    value = scores_json(evaluation)
    assert value["cases"]["expected"] == 12
    assert value["cases"]["without_prediction"] == list(missing)
    assert value["means_with_zeros"]["liver"]["dice"] == 2 * 1600 / 1900 / 12
    assert value["warnings"] == [
        "Only 2 of 12 cases were scored: 10 without a prediction (case_3, case_4, case_5 and 7 "
        "more). The means leave out 10 cases."
    ]
    write_report(evaluation, tmp_path)
    page = (tmp_path / "report.html").read_text("utf-8")
    assert '<div class="alert" role="alert">' in page
    assert page.count("<td>missing</td>") == 10
    assert "<td>2 of 12</td>" in page
    assert "2 of 12 cases scored" in page


def test_terminal_table_fits_80_columns():
    names = [f"a_hospital_with_a_long_name_{number:03d}_portal_venous" for number in range(40)]
    text = printed(evaluation_of(names))
    assert max(map(len, text.splitlines())) <= 80
    assert "…" not in text


def test_usual_names_fit_into_one_line():
    names = ["patient_0123_venous", "liver_1"]
    text = printed(evaluation_of(names))
    assert all(any(name in line for line in text.splitlines()) for name in names)


def test_names_are_not_markup():
    assert "a[/b]" in printed(evaluation_of(("a[/b]",)))


def test_evaluation_without_results(tmp_path):
    evaluation = Evaluation(LIVER_REGIONS, ())
    write_tables(evaluation, tmp_path)
    assert json.loads((tmp_path / "scores.json").read_text(), parse_constant=refuse)["rows"] == []
    assert "mean of 0" in printed(evaluation)


def test_lesions_of_a_region_with_several_components(tmp_path):
    truth, prediction = np.zeros((2, 3, 40, 40), np.uint8)
    truth[:, 5:35, 5:35] = prediction[:, 5:35, 5:35] = 1
    truth[1, 8:12, 8:12] = prediction[1, 8:12, 8:13] = truth[1, 20:22, 20:22] = 2
    results = []
    for case in NAMES:
        masks = (Volume(array, np.eye(4)) for array in (truth, prediction))
        results += score_masks(case, *masks, LIVER_REGIONS)
    results[-1] = dataclasses.replace(results[-1], lesions=None)
    evaluation = Evaluation(LIVER_REGIONS, tuple(results))
    console = Console(width=80, file=io.StringIO())
    console.print(lesion_table(evaluation))
    text = " ".join(console.file.getvalue().split())
    assert "tumour IoU > 0.5 4 0 4 1.000 0.500 0.00 4/8 0/0 0/0" in text
    assert "liver IoU" not in text  # one component in every case
    assert "lesions of 1 of 5 cases are not counted" in text
    assert max(map(len, console.file.getvalue().splitlines())) <= 80
    value = scores_json(evaluation)["lesions"]["regions"]
    assert list(value) == ["tumour"]
    assert value["tumour"]["any_overlap"]["by_size"]["below_10_mm"] == {"found": 4, "all": 8}
    assert len(value["tumour"]["cases"]) == 4
    write_report(evaluation, tmp_path)
    assert "<td>IoU &gt; 0.5</td>" in (tmp_path / "report.html").read_text("utf-8")
    assert value["tumour"]["any_overlap"]["cases_by_size"]["below_10_mm"] == {"found": 4, "all": 4}
    assert "cases in which one was found, of those with one: <10 mm 4/4" in text
    assert plot_sensitivity_by_size(evaluation, "tumour") is None  # too few cases
    results[-1] = dataclasses.replace(results[-1], lesions=results[1].lesions)
    assert results[1].lesions is not None
    picture = plot_sensitivity_by_size(Evaluation(LIVER_REGIONS, tuple(results)), "tumour")
    assert b"<svg" in picture
