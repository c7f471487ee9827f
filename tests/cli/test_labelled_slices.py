"""A list of labelled slices on its way through check, preprocess and evaluate."""

import numpy as np
import pytest
from commands import run_liverseg

import liverseg_tf as ls
from liverseg_tf.ct.nifti import read_labels, write_labels
from liverseg_tf.ct.regions import LIVER_REGIONS
from liverseg_tf.predict.outputs.seg_nrrd import write_seg_nrrd


@pytest.fixture
def data(make_dataset, tmp_path):
    """Three cases of six slices, of which 1 to 4 contain the liver; case_1 has none on slice 3."""
    folder = make_dataset(tmp_path / "set")
    path = folder / "masks" / "case_1.nii.gz"
    mask = read_labels(path)
    mask.array[3] = 0
    write_labels(path, mask)
    return folder


def _write_list(data, *rows, name="labelled_slices.csv"):
    (data / name).write_text("\n".join(["case,slices", *rows]))
    return data / name


@pytest.mark.usefixtures("in_this_process")
def test_check_compares_the_list_with_the_masks(data):
    _write_list(data, "case_0,1-2", "case_1,2-4")
    done = run_liverseg("check", data)
    assert done.exit_code == 0, done.output
    assert f"Note: labelled slices are listed in {data}/labelled_slices.csv" in done.stderr
    for line in (
        "warning: data set: 1 case not in labelled_slices.csv (case_2): all of their slices count "
        "as labelled [slices]",
        "warning: case_0: labels on 2 slices (3, 4), not listed as labelled: they are not used",
        "warning: case_1: labels on 1 slice (1), not listed",
        "warning: case_1: no label on 1 slice (3), listed as labelled, but labels on the",
    ):
        assert line in " ".join(done.stdout.split())
    listed = next(line for line in done.stdout.splitlines() if "labelled slices" in line)
    assert listed.split()[2:] == ["2", "2", "2.5", "3"]
    volumes = next(line for line in done.stdout.splitlines() if "liver, ml" in line)
    assert volumes.split()[2] == "1"  # a volume is known only where all slices are labelled
    _write_list(data, "case_*,1-2", "case_3,1")
    done = run_liverseg("check", data)
    assert done.exit_code == 2
    assert "Received 'case_3', which matches no case" in done.stderr
    _write_list(data, "case_*,1-6")
    done = run_liverseg("check", data)
    assert done.exit_code == 1
    assert "error: case_0: Expected slices from 0 to 5" in done.stdout


@pytest.mark.usefixtures("in_this_process")
def test_preprocess_cuts_a_case_again_if_its_list_changes(data, tmp_path):
    _write_list(data, "case_*,1-2", "case_1,every=2")
    preprocess = ["preprocess", data, tmp_path / "store", "--spacing", "native", "--tile", 32]
    done = run_liverseg(*preprocess)
    assert done.exit_code == 0, done.output
    assert "Note: 7 of the 18 slices of 3 cases are labelled" in done.stderr
    assert "labels on 2 slices (3, 4), not listed as labelled: they are not used" in done.stderr
    mask = ls.open_store(tmp_path / "store").read("case_1").mask
    assert [z for z in range(6) if (np.asarray(mask[z]) == 255).all()] == [1, 3, 5]
    assert (np.asarray(mask)[::2] != 255).all()
    _write_list(data, "case_*,1-2", "case_1,every=3")
    assert "1 case cut, 2 kept" in run_liverseg(*preprocess).output
    (data / "labelled_slices.csv").unlink()
    assert "3 cases cut, 0 kept" in run_liverseg(*preprocess).output
    path = _write_list(tmp_path, "case_0,1", name="other.csv")
    done = run_liverseg(*preprocess, "--labelled-slices", path)
    assert "1 case cut, 2 kept" in done.output
    assert "2 cases not in other.csv (case_1, case_2)" in done.stderr


def test_named_segments_have_no_numbered_slices(data):
    mask = data / "masks" / "case_2.nii.gz"
    write_seg_nrrd(mask.with_name("case_2.seg.nrrd"), read_labels(mask), LIVER_REGIONS)
    mask.unlink()
    _write_list(data, "case_2,1-2")
    done = run_liverseg("check", data)
    assert done.exit_code == 1
    assert "error: case_2: Expected a label map for a case of labelled_slices.csv" in done.stdout


def test_evaluate_scores_the_listed_slices(data, tmp_path):
    predictions = tmp_path / "predictions"
    predictions.mkdir()
    for path in (data / "masks").iterdir():
        mask = read_labels(path)
        mask.array[4] = 0
        write_labels(predictions / path.name, mask)
    _write_list(data, "case_*,0-2", "case_9,1")
    evaluate = [predictions, "--out", tmp_path / "scores", "--no-report"]
    for truth in (data, data / "masks"):
        done = run_liverseg("evaluate", truth, *evaluate)
        assert done.exit_code == 0, done.output
        assert "names case_9: no such mask" in done.stderr
        assert [line for line in done.stdout.splitlines() if "mean of 3" in line]
    dice = ls.evaluate_masks(data, predictions, distances=False).summary()["liver"]["dice"]
    assert (dice.n, dice.min) == (3, 1)
    done = run_liverseg("evaluate", data, *evaluate, "--protocol", "lits")
    assert done.exit_code == 2
    assert "a list of labelled slices: use another protocol" in done.stderr
    (data / "labelled_slices.csv").unlink()
    dice = ls.evaluate_masks(data, predictions, distances=False).summary()["liver"]["dice"]
    assert dice.max < 1
