"""A SOPInstanceUID twice is a copy only if pixels and geometry are equal."""

import shutil

import numpy as np
import pydicom
import pytest
from pydicom.uid import RLELossless

from liverseg_tf.ct.images import read_image
from liverseg_tf.ct.volume import Volume
from liverseg_tf.errors import LiverSegError

AFFINE = np.diag([-0.7, 0.8, 2.5, 1.0])


def make_ct(offset=0, z_mm=0.0):
    array = np.random.default_rng(0).integers(-1000, 1000, (6, 4, 5)).astype(np.int16)
    affine = AFFINE.copy()
    affine[2, 3] = z_mm
    return Volume(array + np.int16(offset), affine)


def number_uids(dataset, z):
    dataset.SOPInstanceUID = f"1.2.{z}"


def one_uid(dataset, z):
    dataset.SOPInstanceUID = "1.2"


@pytest.mark.parametrize("uids", [number_uids, one_uid])
def test_two_phases_that_share_their_uids_are_refused(tmp_path, write_series, uids):
    write_series(tmp_path, make_ct(), uids, name="a{}", uid="1.5")
    write_series(tmp_path, make_ct(100), uids, name="b{}", uid="1.5")
    with pytest.raises(LiverSegError, match=r"different SOPInstanceUIDs.*a0.*b0.*pixels"):
        read_image(tmp_path)


def test_a_second_stack_at_other_positions_with_the_same_uids_is_refused(tmp_path, write_series):
    write_series(tmp_path, make_ct(), number_uids, name="a{}", uid="1.5")
    write_series(tmp_path, make_ct(100, z_mm=1.25), number_uids, name="b{}", uid="1.5")
    with pytest.raises(LiverSegError, match="different SOPInstanceUIDs"):
        read_image(tmp_path)


@pytest.mark.parametrize(
    ("keyword", "value"),
    [
        ("RescaleIntercept", -1000),
        ("PixelSpacing", [0.9, 0.7]),
        ("ImageOrientationPatient", [1, 0, 0, 0, 1, 0]),
    ],
)
def test_copies_with_another_header_are_refused(tmp_path, write_series, keyword, value):
    write_series(tmp_path, make_ct())
    copy = pydicom.dcmread(tmp_path / "0002.dcm")
    setattr(copy, keyword, value)
    copy.save_as(tmp_path / "copy.dcm")
    with pytest.raises(LiverSegError, match=r"different SOPInstanceUIDs.*0002.*copy"):
        read_image(tmp_path)


def test_copies_are_read_once_also_if_they_are_encoded_differently(tmp_path, write_series):
    ct = make_ct()
    write_series(tmp_path, ct)
    shutil.copytree(tmp_path, tmp_path / "a")
    copy = pydicom.dcmread(tmp_path / "0003.dcm")
    copy.compress(RLELossless, generate_instance_uid=False)
    copy.save_as(tmp_path / "a" / "0003.dcm")
    np.testing.assert_array_equal(read_image(tmp_path).array, ct.array)


def test_one_uid_everywhere_is_read_with_a_warning(tmp_path, write_series):
    ct = make_ct()
    volume = read_image(write_series(tmp_path, ct, one_uid))
    np.testing.assert_array_equal(volume.array, ct.array)
    assert "one SOPInstanceUID" in volume.warnings[0]
