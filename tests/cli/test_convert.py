"""`liverseg convert`, and the masks with named segments that other commands read."""

import shutil

import numpy as np
import pytest
from click.testing import CliRunner

from liverseg_tf.cli.main import liverseg
from liverseg_tf.ct.images import read_label_image
from liverseg_tf.ct.nifti import read_labels, write_labels, write_volume
from liverseg_tf.ct.orientation import to_canonical
from liverseg_tf.ct.volume import Volume

REGIONS = ("--region", "liver=1,2", "--region", "tumour=2")


def _run(*arguments, code=0):
    done = CliRunner().invoke(liverseg, list(map(str, arguments)))
    assert done.exit_code == code, done.output
    assert "Traceback" not in done.output
    return " ".join(done.output.split())


def _write_series(folder, image, write_series):
    canonical = to_canonical(image)
    write_series(folder, Volume(np.rint(canonical.array).astype(np.int16), canonical.affine))


@pytest.fixture
def folder(tmp_path, make_volumes, write_series):
    """A mask in NIfTI, its image in NIfTI, and the DICOM series of the image."""
    image, labels = make_volumes()
    write_volume(tmp_path / "ct.nii.gz", image)
    write_labels(tmp_path / "mask.nii.gz", labels)
    _write_series(tmp_path / "series", image, write_series)
    return tmp_path


def test_every_format_from_nifti_and_back(folder):
    pytest.importorskip("highdicom")
    formats = ("nifti", "seg", "rtstruct", "seg.nrrd", "itk-snap", "stl")
    chosen = [word for name in formats for word in ("--format", name)]
    mask, series, out = folder / "mask.nii.gz", folder / "series", folder / "out"
    output = _run("convert", mask, series, "-o", out, *REGIONS, *chosen)
    assert "labels: liver=1,2 tumour=2" in output
    assert "the segments are manual" in output
    truth = to_canonical(read_labels(mask)).array
    for kind in ("seg.dcm", "rtstruct.dcm", "seg.nrrd"):
        for image in (series, folder / "ct.nii.gz"):
            back = folder / f"back {kind} {image.name}"
            _run("convert", out / f"mask.{kind}", image, "-o", back)
            found = read_labels(back / "mask.nii.gz")
            np.testing.assert_array_equal(to_canonical(found).array, truth)
        # the mask has the header of the image
        np.testing.assert_array_equal(found.affine, read_labels(mask).affine)
    assert '"tumour"' in (out / "mask.labels.txt").read_text()


@pytest.mark.parametrize(
    ("arguments", "code", "says"),
    [
        (["mask.nii.gz", "--format", "stl"], 2, "Expected the names of the labels"),
        (["mask.nii.gz", "--format", "stl", "--region", "liver=1"], 1, "Received also 2"),
        (["mask.nii.gz", "ct.nii.gz", *REGIONS, "--format", "seg"], 1, "a DICOM series as input"),
        (["short.nii.gz", "ct.nii.gz"], 1, "on one grid"),
        (["mask.nii.gz", "--segment", "liver=a"], 2, "--region together with --segment"),
        (["mask.nii.gz", *REGIONS, "--segment", "liver=a"], 2, "a label map without names"),
        (["series", "ct.nii.gz"], 1, "labels"),
        (["none.nii.gz"], 1, "none.nii.gz"),
    ],
)
def test_errors_are_one_line(folder, arguments, code, says):
    labels = read_labels(folder / "mask.nii.gz")
    write_labels(folder / "short.nii.gz", Volume(labels.array[1:], labels.affine))
    words = [folder / word if word in ("series",) or ".nii" in word else word for word in arguments]
    assert says in _run("convert", *words, "-o", folder / "out", code=code)
    assert not (folder / "out").exists()


def test_dicom_masks_are_checked_cut_scored_and_viewed(folder, make_volumes, write_series):
    pytest.importorskip("highdicom")
    mask, data, truth = folder / "mask.nii.gz", folder / "data", folder / "truth"
    truth.mkdir()
    for name, kind in (("a", "seg"), ("b", "rtstruct")):
        _write_series(data / name, make_volumes()[0], write_series)
        arguments = (*REGIONS, "--format", kind, "--name", name)
        _run("convert", mask, data / name, "-o", data / "masks", *arguments)
        shutil.copy(mask, truth / f"{name}.nii.gz")
    # both cases have one image
    assert "2 cases: 0 errors" in _run(
        "check", data, "--accept", "duplicate", "--accept", "contrast", "--accept", "modality"
    )
    for predicted, true in ((truth, data), (data / "masks", truth)):
        _run("evaluate", true, predicted, "-o", folder / "scores", "--no-distances")
        table = (folder / "scores" / "scores.csv").read_text().splitlines()
        column = table[0].split(",").index("dice")
        assert {float(row.split(",")[column]) for row in table[1:]} == {1.0}
    # without masks/, files belong to the series to which they refer
    shutil.move(data / "masks" / "a.seg.dcm", data / "a" / "result.dcm")
    shutil.rmtree(data / "masks")
    shutil.rmtree(data / "b")
    assert "1 case: 0 errors" in _run("check", data, "--accept", "contrast")
    page = folder / "page.html"
    _run("view", data / "a", data / "a" / "result.dcm", "-o", page)
    assert page.exists()
    assert "name it with --segment" in _run(
        "check", data, "--region", "spleen=3", "--accept", "contrast", code=1
    )


def test_a_segmentation_of_slicer_is_a_label_map_for_others(folder):
    _run("convert", folder / "mask.nii.gz", "-o", folder / "out", "--format", "seg.nrrd",
         "--region", "healthy=1", "--region", "tumour=2")  # fmt: skip
    found = read_label_image(folder / "out" / "mask.seg.nrrd")
    truth = read_labels(folder / "mask.nii.gz")
    np.testing.assert_array_equal(found.array, truth.array)
    np.testing.assert_allclose(found.affine, truth.affine, atol=1e-6)
