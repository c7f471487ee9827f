import hashlib
import re
from importlib.resources import files

import numpy as np
import pytest
from click.testing import CliRunner

from liverseg_tf.cli.main import liverseg
from liverseg_tf.ct.nifti import write_labels, write_volume
from liverseg_tf.ct.volume import Volume
from liverseg_tf.dataset.provenance import MaskCheck, MaskRecord, MaskRecords


@pytest.fixture
def folder(tmp_path, make_volumes):
    image, labels = make_volumes()
    write_volume(tmp_path / "ct.nii.gz", image)
    for name in ("truth", "guess"):
        write_labels(tmp_path / f"{name}.nii.gz", labels)
    write_labels(tmp_path / "short.nii.gz", Volume(labels.array[1:], labels.affine))
    write_volume(tmp_path / "floats.nii", Volume(image.array + np.float32(0.5), image.affine))
    (tmp_path / "text.nii.gz").write_text("no image")
    _make_4d(tmp_path / "four.nii")
    return tmp_path


def _make_4d(path):
    import nibabel as nib

    nib.save(nib.Nifti1Image(np.zeros((4, 4, 4, 2), np.int16), np.eye(4)), path)


def _view(folder, *arguments):
    paths = [
        str(folder / part) if isinstance(part, str) and ".nii" in part else str(part)
        for part in arguments
    ]
    return CliRunner().invoke(liverseg, ["view", *paths, "--out", str(folder / "page.html")])


def test_a_page_is_written(folder):
    done = _view(folder, "ct.nii.gz", "truth.nii.gz", "guess.nii.gz")
    assert done.exit_code == 0, done.output
    assert re.search(r"page: .*page.html \(\d\.\d MB\)", done.output)
    page = (folder / "page.html").read_text(encoding="utf-8")
    assert '"name": "truth"' in page
    assert '"name": "guess"' in page
    assert "<title>ct.nii.gz</title>" in page


def test_a_mask_that_the_model_flagged_is_named_on_the_page(folder):
    check = MaskCheck("liver", "agreement", 0.71, 0.83, True)
    MaskRecords(folder).write("guess", MaskRecord({}, checks=(check,)), {"guess.nii.gz"})
    done = _view(folder, "ct.nii.gz", "truth.nii.gz", "guess.nii.gz")
    assert done.exit_code == 0, done.output
    page = (folder / "page.html").read_text(encoding="utf-8")
    assert '"alerts": ["guess: liver: agreement 0.710 below 0.830: check this mask"]' in page


def test_a_predicted_mask_knows_its_regions_and_how_the_case_differs_from_the_training(folder):
    """`predict` records both; --region chooses other regions."""
    record = MaskRecord({}, unlike=("pixel size of 9 mm",), regions={"lesion": [2], "spleen": [1]})
    MaskRecords(folder).write("guess", record, {"guess.nii.gz"})
    masks = "ct.nii.gz", "truth.nii.gz", "guess.nii.gz"
    assert _view(folder, *masks).exit_code == 0
    page = (folder / "page.html").read_text(encoding="utf-8")
    assert '"alerts": ["guess: pixel size of 9 mm"]' in page
    assert '"componentsOf": "lesion"' in page
    assert _view(folder, *masks, "--region", "kidney=1").exit_code == 0
    page = (folder / "page.html").read_text(encoding="utf-8")
    assert '"componentsOf": "kidney"' in page


def test_names_and_title(folder):
    done = _view(folder, "ct.nii.gz", "truth.nii.gz", "--name", "expert", "--title", "Case 1")
    assert done.exit_code == 0, done.output
    page = (folder / "page.html").read_text(encoding="utf-8")
    assert '"name": "expert"' in page
    assert "<title>Case 1</title>" in page


@pytest.mark.parametrize(
    ("arguments", "code", "says"),
    [
        (["ct.nii.gz", "short.nii.gz"], 1, "the mask short on one grid"),
        (["ct.nii.gz", "floats.nii"], 1, "Expected whole numbers as labels"),
        (["text.nii.gz"], 1, "NIfTI file at"),
        (["ct.nii.gz", "text.nii.gz"], 1, "NIfTI file at"),
        (["four.nii"], 1, "Expected a 3D image"),
        (["none.nii.gz"], 1, "none.nii.gz"),
        (["ct.nii.gz", "--limit-mb", "0.0001"], 1, "fit into 0.0001 MB"),
        (["ct.nii.gz", "--limit-mb", "0"], 2, "--limit-mb"),
        (["ct.nii.gz", "truth.nii.gz", "--name", "a", "--name", "b"], 2, "Expected --name once"),
        (["ct.nii.gz", "truth.nii.gz", "guess.nii.gz", "--name", "a", "--name", "a"], 2, "another"),
        ([], 2, "Missing argument"),
    ],
)
def test_errors_are_one_line_with_an_exit_code(folder, arguments, code, says):
    done = _view(folder, *arguments)
    assert done.exit_code == code, done.output
    assert says in " ".join(done.output.split())
    assert "Traceback" not in done.output
    assert not (folder / "page.html").exists()


def test_the_checksum_of_niivue_is_the_recorded_one():
    assets = files("liverseg_tf") / "assets"
    stated = re.search(r"sha256: +(\w{64})", (assets / "niivue.txt").read_text())[1]
    assert hashlib.sha256((assets / "niivue.umd.js").read_bytes()).hexdigest() == stated
    assert "BSD 2-Clause" in (assets / "niivue.LICENSE.txt").read_text()
