import csv
import io
import json

from rich.console import Console

from liverseg_tf.ct.regions import LIVER_REGIONS
from liverseg_tf.evaluate.evaluation import Evaluation, Failure
from liverseg_tf.evaluate.metrics.overlap import DEFINITIONS, Overlap, score_overlap
from liverseg_tf.evaluate.report.tables import score_table, scores_json, write_tables
from liverseg_tf.evaluate.score_case import RegionResult


def evaluation_of(names=("case_1", "case_2")):
    results = []
    for index, case in enumerate(names):
        for region, overlap in (
            ("liver", Overlap(1000, 900, 800)),
            ("tumour", Overlap(0, 0, 0) if index == 0 else Overlap(0, 5, 0)),
        ):
            results.append(RegionResult(case, region, overlap, score_overlap(overlap, 0.5)))
    failures = (Failure("case_3", "No prediction found for case_3.nii.gz (case case_3)"),)
    return Evaluation(LIVER_REGIONS, tuple(results), failures=failures, notes=("a note",))


def printed(evaluation):
    console = Console(width=80, file=io.StringIO())
    console.print(score_table(evaluation))
    return console.file.getvalue()


def refuse(constant):
    raise AssertionError(f"{constant} is not JSON")


def test_json_is_strict_and_contains_definitions(tmp_path):
    evaluation = evaluation_of()
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
    assert value["failures"][0]["case"] == "case_3"


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
    assert "mean of 2" in lines[-4]
    assert "0.500" in lines[-4]
    assert "1 not empty" in lines[-3]
    assert "0.000" in lines[-3]
    assert "95 % from" in lines[-2]
    assert "95 % to" in lines[-1]


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
