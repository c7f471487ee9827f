"""Headers that contradict themselves, or have other units, in the commands that read images."""

import csv
import json
import shutil

import nibabel as nib
import numpy as np
import pytest
from commands import run_liverseg

from liverseg_tf.ct.nifti import read_labels, read_volume
from liverseg_tf.predict.input_image import read_input
from liverseg_tf.tiles.store import TileStore

pytestmark = pytest.mark.usefixtures("in_this_process")

SMALL = ["--shape", 6, 28, 28, "--spacing", 32, 14, 14]


def rewrite(path, edit):
    """Write a file again, with another header."""
    image = nib.load(path)
    image = nib.Nifti1Image(np.asarray(image.dataobj), image.affine)
    edit(image)
    nib.save(image, path)


@pytest.fixture(scope="module")
def phantoms(tmp_path_factory):
    folder = tmp_path_factory.mktemp("phantoms")
    assert run_liverseg("phantom", folder, "--count", 2, *SMALL).exit_code == 0
    return folder


@pytest.fixture
def dataset(phantoms, tmp_path):
    return shutil.copytree(phantoms, tmp_path / "set")


def thinner_qform(image):
    affine = image.affine.copy()
    image.set_sform(affine, 1)
    image.set_qform(affine @ np.diag([1, 1, 0.75, 1]), 1)


@pytest.fixture
def contradicting(dataset):
    for folder in ("imagesTr", "labelsTr"):
        rewrite(dataset / folder / "phantom_001.nii.gz", thinner_qform)
    return dataset


def test_forms_that_disagree_are_errors_until_one_is_chosen(contradicting, tmp_path):
    done = run_liverseg("check", contradicting, "--workers", 1, "--json", tmp_path / "check.json")
    assert done.exit_code == 1
    (line,) = [line for line in done.output.splitlines() if "sform and a qform" in line]
    assert "phantom_001" in line
    assert "--use-sform or --use-qform" in line
    assert (
        "sform and"
        not in run_liverseg("check", contradicting, "--workers", 1, "--use-qform").output
    )


def test_preprocess_cuts_the_form_that_was_chosen(contradicting, tmp_path):
    store = tmp_path / "store"
    options = ["--workers", 1, "--tile", 32, "--spacing", 14]
    done = run_liverseg("preprocess", contradicting, store, *options)
    assert done.exit_code == 1
    assert "--use-sform or --use-qform" in done.output
    for flag, factor in (("--use-sform", 1), ("--use-qform", 0.75)):
        run_liverseg("preprocess", contradicting, store, *options, flag)
        record = TileStore.open(store).cases["phantom_001"]
        assert np.prod(record["spacing_mm"]) == pytest.approx(factor * 32 * 14 * 14), flag


def test_evaluate_and_view_take_the_form_that_was_chosen(contradicting, tmp_path):
    masks = contradicting / "labelsTr"
    options = ["--out", tmp_path / "scores", "--no-report", "--workers", 1]
    done = run_liverseg("evaluate", masks, masks, *options)
    assert done.exit_code == 1
    assert "--use-sform or --use-qform" in done.output
    volumes = {}
    for flag in ("--use-sform", "--use-qform"):
        assert run_liverseg("evaluate", masks, masks, *options, flag).exit_code == 0
        with open(tmp_path / "scores/scores.csv", encoding="utf-8") as file:
            rows = [row for row in csv.DictReader(file) if row["case"] == "phantom_001"]
        column = next(name for name in rows[0] if "ml" in name)
        volumes[flag] = float(rows[0][column])
    assert volumes["--use-qform"] == pytest.approx(0.75 * volumes["--use-sform"], rel=1e-3)
    image = contradicting / "imagesTr/phantom_001.nii.gz"
    view = ["view", image, masks / image.name, "--out", tmp_path / "page.html"]
    assert run_liverseg(*view).exit_code == 1
    assert run_liverseg(*view, "--use-sform").exit_code == 0


def test_predict_refuses_what_has_no_choice(contradicting):
    image = contradicting / "imagesTr/phantom_001.nii.gz"
    volume_ml = 32 * 14 * 14 / 1000
    assert read_input(image, form="sform").voxel_volume_ml == pytest.approx(volume_ml)
    assert read_input(image, form="qform").voxel_volume_ml == pytest.approx(0.75 * volume_ml)
    assert "--use-sform / --use-qform" in run_liverseg("predict", "--help").output


@pytest.mark.parametrize(("unit", "factor"), [("meter", 1e-3), ("micron", 1e3)])
def test_volumes_of_masks_in_other_units(dataset, tmp_path, unit, factor):
    """Without the unit, 1.5 litres are 1.5e-6 or 1.5e12 ml."""
    path = dataset / "labelsTr/phantom_000.nii.gz"
    before = read_labels(path)

    def scale(image):
        affine = np.diag([factor] * 3 + [1]) @ image.affine
        image.set_sform(affine, 1)
        image.set_qform(affine, 1)
        image.header.set_xyzt_units(unit, "sec")

    rewrite(path, scale)
    assert read_volume(path).voxel_volume_ml == pytest.approx(before.voxel_volume_ml, rel=1e-5)


def test_a_header_without_orientation_is_an_error(dataset, tmp_path):
    def forget(image):
        image.set_sform(None, 0)
        image.set_qform(None, 0)

    for folder in ("imagesTr", "labelsTr"):
        rewrite(dataset / folder / "phantom_001.nii.gz", forget)
    done = run_liverseg("check", dataset, "--workers", 1)
    assert done.exit_code == 1
    assert "phantom_001: no orientation in the header: set --orientation" in done.output
    done = run_liverseg("check", dataset, "--workers", 1, "--orientation", "*_001=LPS")
    assert "no orientation" not in done.output


def test_entries_of_a_description_that_do_not_exist(dataset, tmp_path):
    path = dataset / "dataset.json"
    content = json.loads(path.read_text())
    for entry in content["training"]:
        for key in ("image", "label"):
            entry[key] = entry[key].replace("./", ".\\").replace("/", "\\")
    path.write_text(json.dumps(content))
    assert "2 cases" in run_liverseg("check", dataset, "--workers", 1).output
    (dataset / "imagesTr/phantom_001.nii.gz").unlink()
    done = run_liverseg("check", dataset, "--workers", 1)
    assert done.exit_code == 1
    assert "phantom_001.nii.gz. Received: no such file" in done.output
