"""Patients, commands and the table of benchmarks/fine_tuning.py, without a training."""

import argparse
import json
from pathlib import Path

import pytest

from liverseg_tf.dataset.cases import Case
from liverseg_tf.model.spec import NetworkSpec

CASES = [Case(f"p{number}", Path("ct"), Path("mask")) for number in range(6)]


@pytest.fixture
def benchmark(benchmarks):
    import fine_tuning

    return fine_tuning


@pytest.fixture
def base(tmp_path):
    record = {
        "format": 1,
        "network": NetworkSpec().to_json(),
        "settings": {"context": 3, "patch": 2, "residual": True, "attention": False, "loss": "ce"},
        "store": {"split": {"train": ["p0", "p1", "p2"], "val": ["p3"], "test": []}},
    }
    (tmp_path / "run.json").write_text(json.dumps(record))
    return tmp_path


def _choose(benchmark, base, **settings):
    given = {"base": base, "unseen": False, "test": 2, "patients": [1, 4], "data": "DATA"}
    return benchmark.choose_patients(CASES, argparse.Namespace(**given | settings))


def test_patients_that_the_base_has_seen_are_not_predicted_and_come_last(benchmark, base):
    patients = _choose(benchmark, base)
    assert {case.name for case in (*patients.test, patients.pool[0])} == {"p3", "p4", "p5"}
    assert {case.name for case in patients.pool[1:]} == {"p0", "p1", "p2"} == patients.seen
    with pytest.raises(SystemExit, match="Expected more than 3 patients"):
        _choose(benchmark, base, test=3)
    with pytest.raises(SystemExit, match="Expected 5 patients to learn from"):
        _choose(benchmark, base, patients=[5])


def test_a_bundle_does_not_know_its_patients(benchmark, base):
    record = json.loads((base / "run.json").read_text())
    record["store"]["split"] = {"train": [], "val": [], "test": []}
    (base / "run.json").write_text(json.dumps(record))
    with pytest.raises(SystemExit, match="add --unseen"):
        _choose(benchmark, base)
    assert not _choose(benchmark, base, unseen=True).seen


def test_both_trainings_have_the_network_of_the_base(benchmark, base):
    options = ["--context", "3", "--patch", "2", "--residual"]
    assert benchmark.network_options(base) == options


def test_the_table_compares_each_patient(benchmark, tmp_path):
    def row(start, minutes, *dice, seen=0):
        cases = [{"case": str(case), "region": "liver", "dice": d} for case, d in enumerate(dice)]
        place = {"task": "organs", "patients": 3, "minutes": minutes, "seen_patients": seen}
        return place | {"start": start, "cases": cases}

    rows = [row("model", 1, 0.9, 0.8), row("scratch", 1, 0.5, 0.6), row("model", 2, 0.9, seen=2)]
    assert benchmark.make_table(rows).splitlines()[2:] == [
        "| organs | 3 | 1 | 0.8500 | 0.5500 | +0.3000 (+0.2000 to +0.4000) |",
        "| organs | 3 (2 seen by the model) | 2 | 0.9000 |  |  |",
    ]
    benchmark.draw(rows, tmp_path / "curves.png")
    assert (tmp_path / "curves.png").stat().st_size > 1000
