"""The commands on a real CT: the chain learns from it (which says nothing of other patients)."""

import json

import nibabel as nib
import numpy as np
import pytest
from click.testing import CliRunner

from liverseg_tf.cli.main import liverseg


def _run(*arguments):
    done = CliRunner().invoke(liverseg, [str(argument) for argument in arguments])
    assert done.exit_code == 0, done.output
    return done


@pytest.mark.slow
@pytest.mark.usefixtures("in_this_process")
def test_a_real_ct_through_all_stages(shared_data, tmp_path):
    dataset = shared_data / "Task03_Liver"
    store, run, masks = (tmp_path / name for name in ("store", "run", "masks"))
    _run("preprocess", dataset, store, "--spacing", 6, "--tile", 64, "--workers", 1)
    network = ["--base-filters", 8, "--depth", 3, "--augment", 0.3, "--region", "liver=1,2"]
    done = _run("train", store, run, "--epochs", 1, "--steps-per-epoch", 100, *network)
    assert "no validation cases" in done.output
    _run("predict", dataset, "--model", run, "--out", masks, "--largest", "liver")
    _run("evaluate", dataset, masks, "--out", tmp_path / "scores", "--region", "liver=1,2")
    (row,) = json.loads((tmp_path / "scores" / "scores.json").read_text())["rows"]
    assert row["dice"] > 0.8

    image = nib.load(dataset / "imagesTr" / "liver_0.nii.gz")
    mask = nib.load(masks / "liver_0.nii.gz")
    assert mask.shape == image.shape
    assert mask.get_data_dtype() == np.uint8
    assert nib.aff2axcodes(mask.affine) == ("L", "A", "S")
    for field in ("dim", "qform_code", "sform_code", "xyzt_units", "pixdim"):
        assert mask.header[field].tobytes() == image.header[field].tobytes()
    np.testing.assert_array_equal(mask.affine, image.affine)
