"""NRRD files that are written are read by ITK, by pynrrd and by this package, unchanged."""

import nrrd
import numpy as np
import pytest
import SimpleITK as sitk

from liverseg_tf.ct.images import read_image
from liverseg_tf.ct.itk.write_nrrd import write_nrrd
from liverseg_tf.ct.volume import Volume
from liverseg_tf.errors import LiverSegError


def _volume(dtype=np.uint8):
    turned = np.array([[0.36, 0.48, -0.8], [-0.8, 0.6, 0.0], [0.48, 0.64, 0.6]])
    affine = np.eye(4)
    affine[:3, :3] = turned * [0.7031234567, 0.8, 5.0]
    affine[:3, 3] = -170.123456789, 12.5, -1 / 3
    values = np.random.default_rng(0).integers(0, 3, (4, 5, 6))
    return Volume(values.astype(dtype), affine)


@pytest.mark.parametrize("compress", [True, False])
@pytest.mark.parametrize("dtype", [np.uint8, np.int8, np.uint16, np.int16, np.int32, np.float32])
def test_three_readers_agree(tmp_path, dtype, compress):
    volume, path = _volume(dtype), tmp_path / "mask.nrrd"
    write_nrrd(path, volume, compress)
    own = read_image(path)
    np.testing.assert_array_equal(own.array, volume.array)
    np.testing.assert_array_equal(own.affine, volume.affine)
    assert not own.lacks_orientation
    array, header = nrrd.read(str(path))
    np.testing.assert_array_equal(array.T, volume.array)
    assert array.dtype == dtype
    assert header["space"] == "left-posterior-superior"
    image = sitk.ReadImage(str(path))
    np.testing.assert_array_equal(sitk.GetArrayFromImage(image), volume.array)
    directions = np.reshape(image.GetDirection(), (3, 3)) * image.GetSpacing()
    lps = np.diag([-1, -1, 1]) @ volume.affine[:3]
    np.testing.assert_allclose(directions, lps[:, :3], atol=1e-12)
    np.testing.assert_allclose(image.GetOrigin(), lps[:, 3], atol=1e-12)


def test_what_cannot_be_written_is_refused(tmp_path):
    with pytest.raises(LiverSegError, match="at most 32 bits"):
        write_nrrd(tmp_path / "mask.nrrd", _volume(np.int64))
    with pytest.raises(LiverSegError, match=r"ending in \.nrrd"):
        write_nrrd(tmp_path / "mask.nii", _volume())
    assert not list(tmp_path.iterdir())
