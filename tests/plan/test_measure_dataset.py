import numpy as np
import pytest

from liverseg_tf.ct.nifti import read_volume, write_volume
from liverseg_tf.ct.regions import Regions
from liverseg_tf.dataset.cases import find_cases
from liverseg_tf.dataset.check.rules import CheckSettings
from liverseg_tf.errors import LiverSegError
from liverseg_tf.plan.measure_dataset import measure_dataset

SETTINGS = CheckSettings()


def _change(folder, number, change):
    path = folder / f"images/case_{number}.nii.gz"
    image = read_volume(path)
    write_volume(path, image.with_array(change(image.array)))


def test_broken_cases_are_named_and_left_out(tmp_path, make_dataset):
    folder = make_dataset(tmp_path / "set", count=4)
    (folder / "images/case_1.nii.gz").write_bytes(b"no image")
    (folder / "masks/case_2.nii.gz").unlink()
    seen = []
    measured = measure_dataset(find_cases(folder), SETTINGS, on_case=seen.append)
    assert [case.name for case in measured.fingerprint.cases] == ["case_0", "case_3"]
    assert measured.skipped.keys() == {"case_1", "case_2"}
    assert "no mask" in measured.skipped["case_2"]
    assert len(seen) == 4
    assert measure_dataset(find_cases(folder), SETTINGS) == measured


def test_no_case_can_be_used(tmp_path, make_dataset):
    folder = make_dataset(tmp_path / "set", count=2)
    for path in folder.glob("images/*"):
        path.write_bytes(b"")
    with pytest.raises(LiverSegError, match="Received 2 cases with errors, first case_0: "):
        measure_dataset(find_cases(folder), SETTINGS)


def test_images_without_hu_are_planned_as_mr_and_this_is_said(tmp_path, make_dataset):
    folder = make_dataset(tmp_path / "set", count=2)
    for number in range(2):
        _change(folder, number, lambda array: (array + 1000).astype(np.int16))
    cases = find_cases(folder)
    measured = measure_dataset(cases, SETTINGS)
    assert not measured.fingerprint.has_hu
    assert "use --modality ct" in measured.notes[0]
    assert measure_dataset(cases, SETTINGS, "mr").notes == ()
    with pytest.raises(LiverSegError, match="not HU"):
        measure_dataset(cases, SETTINGS, "ct")


def test_a_single_image_without_hu_is_left_out(tmp_path, make_dataset):
    folder = make_dataset(tmp_path / "set", count=3)
    _change(folder, 1, lambda array: (array + 1000).astype(np.int16))
    measured = measure_dataset(find_cases(folder), SETTINGS)
    assert measured.fingerprint.has_hu
    assert measured.skipped.keys() == {"case_1"}


def test_regions_that_do_not_occur_are_left_out(tmp_path, make_dataset):
    folder = make_dataset(tmp_path / "set", count=1)
    settings = CheckSettings(Regions({"liver": (1,), "spleen": (3,)}))
    measured = measure_dataset(find_cases(folder), settings)
    assert measured.fingerprint.regions == Regions({"liver": (1,)})
    assert measured.notes == (
        "The region spleen occurs in no case and is left out.",
        "The label 2 belongs to no region; --region NAME=LABEL adds a region.",
    )
    settings = CheckSettings(Regions({"spleen": (3,)}), accepted=("labels",))
    with pytest.raises(LiverSegError, match="name the labels of your masks with --region"):
        measure_dataset(find_cases(folder), settings)
