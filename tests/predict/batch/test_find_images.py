from pathlib import Path

import nibabel as nib
import numpy as np
import pytest

from liverseg_tf.ct.nifti import write_volume
from liverseg_tf.ct.volume import Volume
from liverseg_tf.errors import LiverSegError
from liverseg_tf.predict.batch.find_images import find_images
from liverseg_tf.predict.batch.predict_cases import predict_cases
from liverseg_tf.predict.batch.prediction_job import PredictionJob


def _write(path, bright=100):
    array = np.full((4, 20, 20), -500, np.int16)
    array[1:3, 5:12, 5:12] = bright
    array[1, 17, 17] = bright
    write_volume(path, Volume(array, np.diag([-1.0, -1.0, 3.0, 1.0])))
    return path


def test_files_folders_and_data_sets_are_found(tmp_path):
    single = _write(tmp_path / "single.nii.gz")
    _write(tmp_path / "flat" / "b.nii")
    _write(tmp_path / "flat" / "._b.nii.gz")
    _write(tmp_path / "set" / "images" / "a.nii.gz")
    _write(tmp_path / "lits" / "part" / "volume-3.nii")
    _write(tmp_path / "lits" / "part" / "segmentation-3.nii")
    found = find_images([single, tmp_path / "flat", tmp_path / "set", tmp_path / "lits"])
    assert list(found) == ["single", "b", "a", "volume-3"]
    assert found["volume-3"].name == "volume-3.nii"


def test_duplicate_names_and_inputs_without_images_are_refused(tmp_path):
    one, two = _write(tmp_path / "x" / "a.nii"), _write(tmp_path / "y" / "a.nii.gz")
    with pytest.raises(LiverSegError, match="Expected one image per case name"):
        find_images([one, two])
    assert find_images([one, one]) == {"a": one}
    (tmp_path / "empty").mkdir()
    with pytest.raises(
        LiverSegError, match=r"Expected image files, DICOM files or a data set in .*empty"
    ):
        find_images([tmp_path / "empty"])
    with pytest.raises(
        LiverSegError, match=r"Expected a file ending in .nii.gz, .nii, .* or .csv, or a folder"
    ):
        find_images([tmp_path / "scan.png"])


def test_images_are_read_from_a_table(tmp_path):
    _write(tmp_path / "x" / "a.nii.gz")
    table = tmp_path / "list.csv"
    table.write_text("image,name\nx/a.nii.gz,first\n/abs/volume-7.nii,\n,\n\n")
    assert find_images([table]) == {
        "first": tmp_path / "x" / "a.nii.gz",
        "volume-7": Path("/abs/volume-7.nii"),
    }


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "Expected at least one row"),
        ("file\na.nii\n", "Expected a path in the column image"),
        ("image,name\na.nii,one\nb.nii,one\n", "once. Received 'one' more than once"),
        ("image,name\na.nii,../one\n", "Received '../one'"),
    ],
)
def test_invalid_tables_are_refused(tmp_path, text, message):
    (tmp_path / "list.csv").write_text(text)
    with pytest.raises(LiverSegError, match=message):
        find_images([tmp_path / "list.csv"])


def test_dicom_folders_and_trees_are_found_and_predicted(
    tmp_path, make_volumes, write_series, bright_is_liver
):
    ct, _ = make_volumes(shape=(4, 20, 20))
    write_series(tmp_path / "tree" / "p1", ct)
    write_series(tmp_path / "tree" / "p2" / "CT", ct)
    assert list(find_images([tmp_path / "tree"])) == ["p1", "p2_CT"]
    (tmp_path / "tree" / "p2" / "CT" / "0001.dcm").unlink()
    found = find_images([tmp_path / "tree" / "p1", tmp_path / "tree" / "p2"])
    assert list(found) == ["p1", "p2"]
    failures = predict_cases(found, bright_is_liver(), PredictionJob(tmp_path / "out")).failures
    assert failures.keys() == {"p2"}
    assert "equal distances" in failures["p2"]
    assert nib.load(tmp_path / "out" / "p1.nii.gz").shape == (20, 20, 4)
    _write(tmp_path / "tree" / "a.nii")
    with pytest.raises(LiverSegError, match="either image files or DICOM files"):
        find_images([tmp_path / "tree"])
