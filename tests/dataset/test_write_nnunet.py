"""Writing a data set of nnU-Net v2: what is written can be read back and lost nothing."""

from dataclasses import replace

import numpy as np
import pytest

from liverseg_tf.ct.nifti import read_labels, write_labels, write_volume
from liverseg_tf.ct.orientation import Orientation, to_canonical
from liverseg_tf.ct.regions import LIVER_REGIONS, Regions
from liverseg_tf.ct.volume import Volume
from liverseg_tf.dataset.cases import find_cases
from liverseg_tf.dataset.description import read_description
from liverseg_tf.dataset.reading import read_case
from liverseg_tf.dataset.write_nnunet import (
    NnunetTarget,
    number_labels,
    write_nnunet_dataset,
)
from liverseg_tf.errors import LiverSegError, SettingsError

pytestmark = pytest.mark.usefixtures("in_this_process")


def write(cases, folder, regions, **settings):
    ignored = settings.pop("ignored", None)
    target = NnunetTarget(folder, number_labels(regions, ignored), **settings)
    return write_nnunet_dataset(cases, target)


def test_labels_are_numbered_consecutively():
    labels = number_labels(Regions({"liver": [1, 7], "tumour": [7], "spleen": [3]}), ignored=255)
    assert labels.numbers == {1: 1, 3: 2, 7: 3, 255: 4}
    named = {"background": 0, "liver": [1, 3], "tumour": 3, "spleen": 2, "ignore": 4}
    assert labels.entries == {"labels": named, "regions_class_order": [1, 3, 2]}
    plain = number_labels(Regions({"spleen": [3], "liver": [1]}))
    assert plain.entries == {"labels": {"background": 0, "spleen": 2, "liver": 1}}
    with pytest.raises(SettingsError, match="other than background and ignore"):
        number_labels(Regions({"ignore": [1]}))


def test_a_data_set_that_was_written_reads_back(tmp_path, make_dataset):
    source = make_dataset(tmp_path / "set", count=2)
    (source / "masks" / "case_1.nii.gz").unlink()
    result = write(find_cases(source), tmp_path / "Dataset042_Liver", LIVER_REGIONS)
    assert (result.written, result.without_mask, result.failures) == (["case_0"], ["case_1"], {})
    assert (tmp_path / "Dataset042_Liver/imagesTs/case_1_0000.nii.gz").is_file()
    (case,) = find_cases(tmp_path / "Dataset042_Liver")
    for volume, written in zip(read_case(find_cases(source)[0]), read_case(case), strict=True):
        np.testing.assert_array_equal(written.array, volume.array)
        np.testing.assert_allclose(written.affine, volume.affine)
    description = read_description(tmp_path / "Dataset042_Liver")
    assert (description.regions, description.case_count) == (LIVER_REGIONS, 1)
    assert description.is_ct


def test_masks_get_the_axes_of_their_images_and_other_numbers(tmp_path, make_volumes):
    image, mask = make_volumes()
    canonical = to_canonical(mask)
    flipped = Orientation.of(np.diag([1.0, 1, 1, 1]))  # RAS; the image is LPS
    affine = np.diag([0.8, 0.8, 5.0, 1.0])
    affine[:2, 3] = mask.affine[:2, 3] - 0.8 * (np.array(mask.array.shape[:0:-1]) - 1)
    array = np.ascontiguousarray(flipped.from_canonical(canonical.array))
    write_volume(tmp_path / "set/images/a.nii.gz", image)
    write_labels(tmp_path / "set/masks/a.nii.gz", Volume(array * 3, affine))  # labels 3 and 6
    regions = Regions({"liver": [3], "tumour": [6]})
    result = write(find_cases(tmp_path / "set"), tmp_path / "out", regions)
    assert result.failures == {}
    written = read_labels(tmp_path / "out/labelsTr/a.nii.gz")
    np.testing.assert_array_equal(written.array, mask.array)
    np.testing.assert_allclose(written.affine, image.affine)


def test_labels_without_a_name_are_an_error_unless_they_are_left_out(tmp_path, make_dataset):
    cases = find_cases(make_dataset(tmp_path / "set", count=1))
    result = write(cases, tmp_path / "all", Regions({"liver": [1]}))
    assert "Received also 2." in result.failures["case_0"]
    assert not (tmp_path / "all" / "dataset.json").exists()
    result = write(cases, tmp_path / "liver", Regions({"liver": [1]}), allow_unnamed=True)
    assert result.unnamed == {"case_0": (2,)}
    assert set(np.unique(read_labels(tmp_path / "liver/labelsTr/case_0.nii.gz").array)) == {0, 1}


def test_what_is_not_known_is_ignored(tmp_path, make_dataset):
    cases = find_cases(make_dataset(tmp_path / "set", count=1))
    result = write(cases, tmp_path / "out", Regions({"liver": [1]}), ignored=2)
    assert result.failures == {}
    assert read_description(tmp_path / "out").ignored == 2


def test_what_cannot_be_written(tmp_path, make_dataset):
    cases = find_cases(make_dataset(tmp_path / "set", count=1))
    with pytest.raises(LiverSegError, match="larger regions before those inside"):
        write(cases, tmp_path / "out", Regions({"tumour": [2], "liver": [1, 2]}))
    (tmp_path / "out" / "imagesTr").mkdir(parents=True)
    with pytest.raises(LiverSegError, match="a new folder"):
        write(cases, tmp_path / "out", LIVER_REGIONS)
    missing = [replace(cases[0], mask=tmp_path / "nowhere.nii.gz")]
    result = write(missing, tmp_path / "other", LIVER_REGIONS)
    assert "nowhere.nii.gz" in result.failures["case_0"]
