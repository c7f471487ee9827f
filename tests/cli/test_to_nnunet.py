"""`liverseg to-nnunet` and the layout of phantoms."""

import json

import pytest
from commands import run_liverseg

pytestmark = pytest.mark.usefixtures("in_this_process")


def test_a_data_set_becomes_one_of_nnunet(tmp_path, make_dataset):
    make_dataset(tmp_path / "set", count=2)
    (tmp_path / "set" / "labelled_slices.csv").write_text("case,slices\ncase_1,2-4\n")
    done = run_liverseg(
        "to-nnunet", tmp_path / "set", tmp_path / "Dataset007_T", "--region", "tumour=2"
    )
    assert done.exit_code == 0, done.output
    assert "labels of nnU-Net are consecutive: 2 is now 1." in done.output
    assert "Note: voxels to ignore have the label 2." in done.output
    assert "no --region names became background in 2 cases: 1." in done.output
    assert "2 cases written, 0 failed" in done.output
    written = json.loads((tmp_path / "Dataset007_T" / "dataset.json").read_text())
    assert written["labels"] == {"background": 0, "tumour": 1, "ignore": 2}
    done = run_liverseg("check", tmp_path / "Dataset007_T", "--accept", "values")
    assert "note: data set: label 2 is ignored, as dataset.json says (--ignore 2)" in done.output


def test_what_is_refused(tmp_path, make_dataset):
    make_dataset(tmp_path / "set", count=1)
    arguments = ["to-nnunet", tmp_path / "set", tmp_path / "out"]
    done = run_liverseg(*arguments)
    assert done.exit_code == 2
    assert "Received no dataset.json with labels: use --region" in done.output
    done = run_liverseg(*arguments, "--region", "liver=1", "--labelled", "case_0=liver")
    assert done.exit_code == 2
    done = run_liverseg(*arguments, "--region", "liver=1,2")
    assert done.exit_code == 0
    assert "rename out." in done.output
