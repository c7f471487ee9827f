import nibabel as nib
import numpy as np
import pytest

from liverseg_tf.ct.nifti import read_volume, write_volume
from liverseg_tf.errors import LiverSegError
from liverseg_tf.model.postprocessing import PostProcessing
from liverseg_tf.predict import segment


@pytest.fixture
def ct(make_volumes):
    return make_volumes()[0]


def test_a_volume_or_a_path_gives_labels_without_writing_files(ct, bright_is_liver, tmp_path):
    write_volume(tmp_path / "ct.nii.gz", ct)
    before = sorted(tmp_path.iterdir())
    labels = segment(ct, bright_is_liver())
    assert labels.array.dtype == np.uint8
    np.testing.assert_array_equal(labels.array > 0, ct.array > -69)
    np.testing.assert_array_equal(labels.affine, ct.affine)
    for path in (tmp_path / "ct.nii.gz", str(tmp_path / "ct.nii.gz")):
        found = segment(path, bright_is_liver())
        np.testing.assert_array_equal(found.array, labels.array)
        assert found.header == read_volume(tmp_path / "ct.nii.gz").header
    assert sorted(tmp_path.iterdir()) == before


def test_postprocessing_of_the_model_can_be_replaced(ct, bright_is_liver):
    model = bright_is_liver()
    model.postprocessing = PostProcessing(largest=("tumour",))
    plain = segment(ct, model, PostProcessing())
    largest = segment(ct, model)
    assert 0 < (largest.array == 2).sum() < (plain.array == 2).sum()
    assert segment(ct, model, PostProcessing(min_mean_probability=(("liver", 1.0),))).array.any()


@pytest.mark.slow
def test_runs_are_loaded_from_their_folders(ct, untrained_run):
    one = segment(ct, untrained_run)
    several = segment(ct, [untrained_run, str(untrained_run)])
    np.testing.assert_array_equal(one.array, several.array)


def test_a_mask_is_refused_as_image(make_volumes, bright_is_liver):
    with pytest.raises(LiverSegError, match="looks like a mask"):
        segment(make_volumes()[1], bright_is_liver())


def test_nan_is_refused(ct, bright_is_liver):
    array = ct.array.astype(np.float32)
    array[0, 0, 0] = np.nan
    with pytest.raises(LiverSegError, match="finite"):
        segment(ct.with_array(array), bright_is_liver())


def test_the_result_can_be_written_as_nifti(ct, bright_is_liver, tmp_path):
    write_volume(tmp_path / "mask.nii.gz", segment(ct, bright_is_liver()))
    assert nib.load(tmp_path / "mask.nii.gz").shape == ct.array.shape[::-1]


def test_a_model_that_needs_a_warning_gives_it(ct, bright_is_liver):
    model = bright_is_liver()
    model.warnings = ("The run has not finished.",)
    with pytest.warns(UserWarning, match="has not finished"):
        segment(ct, model)
