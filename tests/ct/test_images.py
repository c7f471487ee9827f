from pathlib import Path

import numpy as np
import pytest
from reading import check_refused

from liverseg_tf.ct.dicom.series import find_series
from liverseg_tf.ct.images import image_stem, read_image, read_label_image, source_files
from liverseg_tf.ct.nifti import write_volume
from liverseg_tf.errors import LiverSegError

AFFINE = np.array([[-0.7, 0, 0, 90], [0, 0.8, 0, -12], [0, 0, 2.5, 1000], [0, 0, 0, 1]])


def write_itk(path, volume):
    sitk = pytest.importorskip("SimpleITK")
    image = sitk.GetImageFromArray(volume.array)
    lps = np.diag([-1, -1, 1]) @ volume.affine[:3]
    image.SetSpacing(volume.spacing_mm[::-1])
    image.SetDirection((lps[:, :3] / volume.spacing_mm[::-1]).ravel().tolist())
    image.SetOrigin(lps[:, 3].tolist())
    sitk.WriteImage(image, str(path))
    return path


@pytest.mark.parametrize(
    ("name", "stem"),
    [
        ("a.nii", "a"),
        ("a.b.NII.GZ", "a.b"),
        ("a.mha", "a"),
        ("a.MHD", "a"),
        ("a.nrrd", "a"),
        ("a.dcm", None),
        (".a.nii", None),
        ("a", None),
    ],
)
def test_stems(name, stem):
    assert image_stem(Path("x.nii") / name) == stem


@pytest.mark.parametrize("name", ["a.nii", "a.NII.GZ", "a.mha", "a.mhd", "A.NRRD", "dicom"])
def test_one_ct_in_every_format(tmp_path, make_volumes, write_series, name):
    ct, _ = make_volumes(affine=AFFINE)
    path = tmp_path / name
    if name == "dicom":
        write_series(path, ct)
    elif ".nii" in name.lower():
        write_volume(tmp_path / name.lower(), ct)
        (tmp_path / name.lower()).rename(path)
    else:
        write_itk(path, ct)
    volume = read_image(path)
    assert volume.array.dtype == np.int16
    np.testing.assert_array_equal(volume.array, ct.array)
    np.testing.assert_allclose(volume.affine, AFFINE, atol=1e-5)
    assert (volume.header is not None) == (".nii" in name.lower())
    if name == "dicom":
        (series,) = find_series(path)
        np.testing.assert_array_equal(read_image(series).array, ct.array)


def test_label_maps(tmp_path, make_volumes):
    _, labels = make_volumes()
    floats = labels.with_array(labels.array.astype(np.float32) * np.float32(0.99999))
    again = read_label_image(write_itk(tmp_path / "a.nrrd", floats))
    assert again.array.dtype == np.uint8
    np.testing.assert_array_equal(again.array, labels.array)
    ct, _ = make_volumes()
    with pytest.raises(LiverSegError, match="an image instead of a mask"):
        read_label_image(write_itk(tmp_path / "ct.mha", ct))


@pytest.mark.parametrize("name", ["a.mhd", "a.nhdr", "a.mha", "a.nrrd"])
def test_voxels_in_a_file_of_their_own_belong_to_the_image(tmp_path, make_volumes, name):
    path = write_itk(tmp_path / name, make_volumes()[0])
    assert sorted(source_files(path)) == sorted(tmp_path.iterdir())
    assert len(source_files(path)) == (2 if "hd" in name else 1)


def test_broken_metaimages(tmp_path, make_volumes):
    path = write_itk(tmp_path / "a.mha", make_volumes()[0])
    content = path.read_bytes()
    check_refused(tmp_path / "none.mha", "none.mha", "no such file")
    for broken in (b"", b"nothing", content[:100], content[:-100]):
        path.write_bytes(broken)
        check_refused(path, "a.mha")
    path.write_bytes(content.replace(b"DimSize = 24 20 6", b"DimSize = 99999 99999 9999"))
    check_refused(path, "voxels")


def test_shapes_that_are_no_volume(tmp_path):
    sitk = pytest.importorskip("SimpleITK")
    sitk.WriteImage(sitk.Image([4, 4, 4], sitk.sitkVectorUInt8, 3), str(tmp_path / "rgb.mha"))
    check_refused(tmp_path / "rgb.mha", "colour")
    sitk.WriteImage(sitk.Image([4, 4], sitk.sitkInt16), str(tmp_path / "flat.mha"))
    check_refused(tmp_path / "flat.mha", "3D")
