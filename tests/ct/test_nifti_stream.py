import nibabel as nib
import numpy as np
import pytest

from liverseg_tf.ct.nifti import read_volume, write_labels, write_volume
from liverseg_tf.ct.nifti_stream import write_slabs
from liverseg_tf.errors import LiverSegError


@pytest.fixture
def image(tmp_path, make_volumes):
    write_volume(tmp_path / "ct.nii.gz", make_volumes()[0])
    return read_volume(tmp_path / "ct.nii.gz")


@pytest.mark.parametrize("suffix", [".nii", ".nii.gz"])
def test_slabs_make_the_file_that_the_whole_makes(tmp_path, image, suffix):
    labels = np.random.default_rng(0).integers(0, 3, image.array.shape).astype(np.uint8)
    write_labels(tmp_path / f"whole{suffix}", image.with_array(labels))
    write_slabs(tmp_path / f"slabs{suffix}", image, (labels[z : z + 4] for z in (0, 4)))
    whole, slabs = (nib.load(tmp_path / f"{name}{suffix}") for name in ("whole", "slabs"))
    assert whole.header.binaryblock == slabs.header.binaryblock
    np.testing.assert_array_equal(np.asanyarray(slabs.dataobj), labels.T)


def test_a_slope_makes_probabilities(tmp_path, image):
    values = np.linspace(0, 255, image.array.size).astype(np.uint8).reshape(image.array.shape)
    write_slabs(tmp_path / "p.nii.gz", image, [values], 1 / 255)
    found = read_volume(tmp_path / "p.nii.gz")
    np.testing.assert_allclose(found.array, values / 255, atol=1e-6)
    np.testing.assert_array_equal(found.affine, image.affine)


@pytest.mark.parametrize("wrong", ["few", "many", "shape", "dtype", "name"])
def test_other_slabs_leave_no_file(tmp_path, image, wrong):
    slab = np.zeros(image.array.shape, np.uint8)
    slabs = {
        "few": [slab[:-1]],
        "many": [slab, slab[:1]],
        "shape": [slab[:, 1:]],
        "dtype": [slab.astype(np.int16)],
        "name": [slab],
    }[wrong]
    (tmp_path / "out").mkdir()
    with pytest.raises(LiverSegError, match="Expected"):
        write_slabs(tmp_path / "out" / ("p.png" if wrong == "name" else "p.nii.gz"), image, slabs)
    assert not list((tmp_path / "out").iterdir())
