"""Folds, budgets, resumption and tables of benchmarks/patients.py, without a training."""

import os
import subprocess
import sys
import time
from argparse import Namespace
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest

from liverseg_tf.ct.nifti import read_labels, read_volume, write_labels, write_volume
from liverseg_tf.ct.volume import Volume
from liverseg_tf.dataset.cases import find_cases

# stands for a Python with MONAI: it "predicts" masks that were made before
PEER = """#!/bin/sh
mkdir -p "$3"
echo '{{"batch": 8}}' > "$3/network.json"
printf '%s ' "$7" >> "$3/calls"
case "$*" in *--predict*) mkdir "$5"; cp {answers}/*.nii.gz "$5";; esac
"""


def _write_cases(folder: Path, names, low=-1000):
    array = np.full((4, 12, 12), low, np.int16)
    array[:, 3:9, 3:9] = 60
    labels = np.zeros(array.shape, np.uint8)
    labels[:, 4:8, 4:8] = 1
    labels[1:3, 6, 6] = 2
    labels[3, 0, 0] = 3
    for name in names:
        for kind in ("images", "masks"):
            (folder / kind).mkdir(parents=True, exist_ok=True)
        write_volume(folder / "images" / f"{name}.nii.gz", Volume(array, np.diag([2, 2, 3, 1])))
        write_labels(folder / "masks" / f"{name}.nii.gz", Volume(labels, np.diag([2, 2, 3, 1])))


def test_every_patient_is_tested_once_and_never_learnt_from_in_the_same_fold(benchmarks, tmp_path):
    from contest.folds import FOLDS, divide

    _write_cases(tmp_path, [f"p{n}" for n in range(11)])
    cases = find_cases(tmp_path)
    tested = []
    for fold in range(FOLDS):
        train, test = (
            {case.name for case in side} for side in divide(cases[:: (-1) ** fold], fold)
        )
        assert not train & test
        assert len(train | test) == 11
        tested += test
    assert sorted(tested) == sorted(case.name for case in cases)


def test_a_training_takes_no_more_than_its_minutes(benchmarks):
    from contest.costs import Cost
    from contest.task import Length

    cost = Cost(fixed_s=30, epoch_s=2, step_s=0.25)
    assert cost.length(60, 1) == Length(1, 112)
    length = cost.length(120, 4)
    assert length.epochs == 4
    assert 119 < cost.seconds(length) <= 120
    assert Cost(10, 1, 20).length(60, 5) == Length(2, 1)  # a step takes long
    with pytest.raises(SystemExit, match="too few"):
        cost.length(30, 1)


def test_contestants_learn_the_same_task(benchmarks, tmp_path):
    from contest import contestants
    from contest.contestants import Place
    from contest.task import Length, Task

    place = Place(*(tmp_path / name for name in ("fold", "prepared", "run", "masks")))
    for task, classes in ((Task(), ["1,2"]), (Task("organs"), ["1,2", "3", "4", "5"])):
        ours = contestants.parse_variant("wide=--base-filters 24 --mirror")
        (prepared,) = ours.preparation(place, task)
        assert prepared[prepared.index("--window") + 1 :][:2] == ["75.0", "400"]
        training = ours.training(place, task, Length(3, 7))
        assert {"--base-filters", "24", "--mirror", "--region=liver=1,2"} <= set(training)
        peer = contestants.monai("python").training(place, task, Length(3, 7))
        assert peer[peer.index("--steps") + 1] == "21"
        assert peer[peer.index("--window") + 1 :][:2] == ["-125", "275"]
        assert peer[peer.index("--classes") + 1 :][: len(classes)] == classes
    with pytest.raises(SystemExit, match="NAME=OPTIONS"):
        contestants.parse_variant("--mirror")


def test_a_campaign_keeps_what_is_finished_and_scores_native_masks(benchmarks, tmp_path, capsys):
    from contest.campaign import Campaign
    from contest.contestants import ours
    from contest.costs import Cost
    from contest.results import IDENTITY

    _write_cases(tmp_path / "own", [f"p{n}" for n in range(5)])
    _write_cases(tmp_path / "other", ["q"], low=-3024)
    (tmp_path / "answers").mkdir()
    for case in (*find_cases(tmp_path / "own"), *find_cases(tmp_path / "other")):
        answer = read_labels(case.mask)
        answer.array[0] = 0
        write_labels(tmp_path / "answers" / case.mask.name, answer)
    python = tmp_path / "python"
    python.write_text(PEER.format(answers=tmp_path / "answers"))
    python.chmod(0o755)
    options = Namespace(
        data=tmp_path / "own", external=[tmp_path / "other"], work=tmp_path / "work",
        results=tmp_path / "patients.json", monai=str(python), nnunet=None, ours=False, ablate=[],
        task="liver", limits=(-125, 275), preset="fast", minutes=1, folds=[0, 1], workers=1,
        cores=[min(os.sched_getaffinity(0))],
    )  # fmt: skip
    campaign = Campaign(options)
    campaign.results.add_cost(Cost(20, 0, 0.1), contestant="monai", variant="default", task="liver")
    campaign.measure_costs(again=False)  # nothing is missing
    campaign.run()
    first = campaign.results.find(contestant="monai", fold=0)
    assert first["steps"] == 400
    assert first["images_per_second"] == 80
    tested, other = first["cases"]
    assert other["case"] == "q"
    assert tested["dice"] == pytest.approx(6 / 7, abs=1e-5)
    assert tested["difference_percent"] == pytest.approx(-25)
    assert tested["hd95"] == pytest.approx(3)
    clipped = tmp_path / "work" / "external" / "other" / "images" / "q.nii.gz"
    assert read_volume(clipped).array.min() == -125

    # measured again on a slower machine, both beside each other: as many steps as MONAI has got
    for name, step_s in (("monai", 0.2), ("ours", 0.1)):
        cost = Cost(40, 0, step_s, "later")
        campaign.results.add_cost(cost, contestant=name, variant="default", task="liver")
    assert campaign.length(ours(), 0).steps == 800 // 12 * 12
    assert campaign.length(ours(), 4).steps == 200 // 12 * 12  # nobody has trained for this fold
    campaign.results.add_cost(
        Cost(40, 0, 0.1, "never"), contestant="ours", variant="default", task="liver"
    )
    with pytest.raises(SystemExit, match="from one call"):
        campaign.length(ours(), 0)
    # of two finished ones, that which was measured beside it
    other = campaign.results.find(contestant="monai", fold=0) | {"contestant": "nnunet"}
    campaign.results.add(other)
    peer = Cost(40, 0, 0.2, "never")
    campaign.results.add_cost(peer, contestant="nnunet", variant="default", task="liver")
    assert campaign.length(ours(), 0).steps == 800 // 12 * 12
    campaign.results.remove({name: other[name] for name in IDENTITY})
    campaign.results.add_cost(Cost(20, 0, 0.1), contestant="monai", variant="default", task="liver")
    options.folds = [0, 1, 2]
    Campaign(options).run()
    assert len(campaign.results.rows) == 3
    options.folds = [2]
    Campaign(options).forget()
    assert [row["fold"] for row in campaign.results.rows] == [0, 1]
    Campaign(options).run()
    runs = tmp_path / "work" / "liver" / "monai"
    assert [(runs / f"1min-{n}" / "run" / "calls").read_text() for n in range(3)] == [
        "400 400 "
    ] * 3
    lines = [line for line in campaign.tables().splitlines() if line.startswith("| o")]
    assert [line.split(" | ")[:3] for line in lines] == [
        ["| own", "MONAI's 2D U-Net", "3 of 5"],
        ["| other", "MONAI's 2D U-Net", "3 of 5"],
    ]


def test_only_the_largest_component_counts_and_absent_organs_are_left_out(benchmarks, tmp_path):
    from contest.scores import score_test_cases
    from contest.task import Task

    _write_cases(tmp_path / "fold" / "test", ["p"])
    case = find_cases(tmp_path / "fold" / "test")[0]
    masks = tmp_path / "masks"
    masks.mkdir()
    found = read_labels(case.mask)
    found.array[0, 0, :4] = 1  # a second component
    write_labels(masks / "p.nii.gz", found)
    rows = score_test_cases(tmp_path / "fold", masks, Task("organs"))
    assert [(row["region"], row["dice"]) for row in rows] == [("liver", 1), ("spleen", 1)]


def _row(contestant, fold, scores, variant="default", minutes=15):
    cases = [
        {
            "case": name,
            "region": "liver",
            "dice": dice,
            "nsd": dice,
            "hd95": None if dice == 0 else 3,
        }
        | {"difference_percent": -2}
        for name, dice in scores.items()
    ]
    identity = {"contestant": contestant, "variant": variant, "task": "liver"}
    return identity | {
        "minutes": minutes, "fold": fold, "images_per_second": 30, "cases": cases,
    }  # fmt: skip


def test_tables_compare_the_cases_that_both_have(benchmarks):
    from contest import tables

    sources = {"a": "own", "b": "own", "x": "other"}
    rows = [
        _row("ours", 0, {"a": 0.9, "x": 0.8}),
        _row("ours", 1, {"b": 0.96, "x": 0.9}),
        _row("monai", 0, {"a": 0.8, "x": 0.7}),
        _row("monai", 1, {"b": 0.92, "x": 0.9}),
        _row("nnunet", 0, {"a": 0.95, "x": 0.0}),
        _row("ours", 0, {"a": 0.94, "x": 0.8}, "wide"),
    ]
    scores = tables.score_table(rows, sources)
    assert len({line.count("|") for line in scores.splitlines()}) == 1
    assert "| own | liverseg_tf | 2 of 5 | 30.0 | 0.930 | 0.930 | 0.900 (a)" in scores
    assert (
        "| other | nnU-Net v2, 2D | 1 of 5 | 30.0 | 0.000 | 0.000 | 0.000 (x) | 0.000 | inf mm"
        in scores
    )
    differences = tables.difference_table(rows, sources)
    assert len({line.count("|") for line in differences.splitlines()}) == 1
    assert "| 2 | 0.070, 0.140 | 0.50 | +0.0700 (+0.0400 to +0.1000) | 2 of 2 |" in differences
    assert "| own | nnU-Net v2, 2D | 1 | 0.100, 0.050 | 2.00 | -0.0500 |" in differences
    # a patient of another hospital counts once, however many folds predicted it
    assert (
        "| other | MONAI's 2D U-Net | 2 | 0.150, 0.200 | 0.75 | +0.0500 | 1 of 2 |" in differences
    )
    (line,) = [
        one
        for one in tables.ablation_table(rows, sources).splitlines()
        if "wide" in one and "own" in one
    ]
    assert "| +0.0400 | 1 of 1 |" in line


def test_a_training_that_goes_on_after_a_kill_is_not_started_twice(benchmarks, tmp_path):
    from contest.jobs import claim

    with claim(tmp_path / "lock") as lock:
        command = [sys.executable, "-c", "input()"]
        child = subprocess.Popen(command, stdin=subprocess.PIPE, pass_fds=(lock,))
        with claim(tmp_path / "lock") as second:
            assert second is None
    with claim(tmp_path / "lock") as orphan_lives:
        assert orphan_lives is None
    child.communicate(b"\n")
    with claim(tmp_path / "lock") as free:
        assert free is not None


def test_an_interrupt_ends_the_running_command_and_starts_no_other(benchmarks, tmp_path):
    from contest.costs import _running, run_on_core, stop_all

    core = min(os.sched_getaffinity(0))
    with ThreadPoolExecutor(1) as pool:
        futures = [pool.submit(run_on_core, ["sleep", "60"], core, tmp_path / "log") for _ in "ab"]
        while not _running:
            time.sleep(0.01)
        with pytest.raises(SystemExit, match="Repeat the command"):
            stop_all()
    assert [str(future.exception())[:11] for future in futures] == ["Interrupted"] * 2
    assert (tmp_path / "log").read_text().count("sleep 60") == 1
