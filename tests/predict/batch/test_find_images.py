import os
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
    found = found.images
    assert list(found) == ["single", "b", "a", "volume-3"]
    assert found["volume-3"].name == "volume-3.nii"


def test_duplicate_names_and_inputs_without_images_are_refused(tmp_path):
    one = _write(tmp_path / "x" / "a.nii")
    assert find_images([one, one]).images == {"a": one}
    (tmp_path / "empty").mkdir()
    with pytest.raises(
        LiverSegError, match=r"Expected image files, DICOM files or a data set in .*empty"
    ):
        find_images([tmp_path / "empty"])
    with pytest.raises(
        LiverSegError, match=r"Expected a file ending in .nii.gz, .nii, .* or .csv, or a folder"
    ):
        find_images([tmp_path / "scan.png"])


def test_inputs_of_one_name_get_the_names_of_their_folders(tmp_path, make_volumes, write_series):
    ct, _ = make_volumes(shape=(2, 8, 8))
    for patient in ("p1", "p2"):
        write_series(tmp_path / patient / "CT", ct)
    found = find_images([tmp_path / "p1" / "CT", tmp_path / "p2" / "CT"])
    assert list(found.images) == ["p1_CT", "p2_CT"]
    one, two = _write(tmp_path / "x" / "z" / "a.nii"), _write(tmp_path / "y" / "z" / "a.nii.gz")
    assert find_images([one, two]).images == {"x_z_a": one, "y_z_a": two}
    taken = _write(tmp_path / "x_z_a.nii.gz")  # a name that is taken is not given again
    names = list(find_images([taken, one, two]).images)
    assert names[0] == "x_z_a"
    assert [name.endswith(end) for name, end in zip(names[1:], ("_x_z_a", "_y_z_a"), strict=True)]


def test_an_input_that_fails_does_not_stop_the_others(tmp_path):
    for folder in ("set1", "set2"):
        for name in ("a", folder):
            _write(tmp_path / folder / "images" / f"{name}.nii.gz")
    _write(tmp_path / "set1" / "images" / "b.nii")
    _write(tmp_path / "set1" / "images" / "b.nii.gz")
    found = find_images([tmp_path / "set1", tmp_path / "scan.png", tmp_path / "set2"])
    assert list(found.images) == ["set1", "set2"]
    assert found.failures.keys() == {"a", "b", str(tmp_path / "scan.png")}
    assert "both named a: predict them into different folders" in found.failures["a"]
    assert all("\n" not in line for line in found.failures.values())


def test_an_input_with_a_name_that_is_too_long_does_not_stop_the_others(tmp_path):
    found = find_images([_write(tmp_path / "a.nii"), tmp_path / ("x" * 300)])
    assert list(found.images) == ["a"]
    assert "name too long" in next(iter(found.failures.values()))


def test_a_pipe_is_no_table(tmp_path):
    os.mkfifo(tmp_path / "list.csv")
    with pytest.raises(LiverSegError, match="Received a pipe"):
        find_images([tmp_path / "list.csv"])


def test_images_are_read_from_a_table(tmp_path):
    _write(tmp_path / "x" / "a.nii.gz")
    table = tmp_path / "list.csv"
    table.write_text("image,name\nx/a.nii.gz,first\n/abs/volume-7.nii,\n,\n\n")
    assert find_images([table]).images == {
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
    assert list(find_images([tmp_path / "tree"]).images) == ["p1", "p2_CT"]
    (tmp_path / "tree" / "p2" / "CT" / "0001.dcm").unlink()
    found = find_images([tmp_path / "tree" / "p1", tmp_path / "tree" / "p2"]).images
    assert list(found) == ["p1", "p2"]
    failures = predict_cases(found, bright_is_liver(), PredictionJob(tmp_path / "out")).failures
    assert failures.keys() == {"p2"}
    assert "equal distances" in failures["p2"]
    assert nib.load(tmp_path / "out" / "p1.nii.gz").shape == (20, 20, 4)
    _write(tmp_path / "tree" / "a.nii")
    with pytest.raises(LiverSegError, match="either image files or DICOM files"):
        find_images([tmp_path / "tree"])
