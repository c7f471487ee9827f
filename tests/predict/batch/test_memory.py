import re
from dataclasses import replace

import numpy as np

from liverseg_tf.ct.dicom.series import DicomSeries, find_volume_series
from liverseg_tf.ct.nifti import write_volume
from liverseg_tf.ct.volume import Volume
from liverseg_tf.model.spec import NetworkSpec
from liverseg_tf.predict.batch.memory import estimate_memory


def _gigabytes(*arguments):
    return float(re.search(r"about ([\d.]+) GB", str(estimate_memory(*arguments)))[1])


def test_the_two_largest_images_count_and_unreadable_images_are_ignored(tmp_path):
    small, large = tmp_path / "small.nii.gz", tmp_path / "large.nii.gz"
    write_volume(small, Volume(np.zeros((4, 8, 8), np.int16), np.diag([-1.0, -1.0, 1.0, 1.0])))
    array = np.zeros((1000, 400, 400), np.int16)
    write_volume(large, Volume(array, np.diag([-1.5, -1.5, 1.0, 1.0])))
    (tmp_path / "broken.nii.gz").write_bytes(b"no image")
    broken = [tmp_path / "broken.nii.gz", tmp_path / "missing.nii"]
    base = _gigabytes([small, *broken], NetworkSpec(), 8)
    one = _gigabytes([small, large, *broken], NetworkSpec(), 8)
    # two bytes per voxel and two for its masks; 400 x 400 pixels per slice in a batch of 8
    assert abs(one - base - array.size * 4e-9 - 8 * 400 * 400 * 600e-9) < 0.11
    assert abs(_gigabytes([large, large], NetworkSpec(), 8) - one - array.size * 4e-9) < 0.11
    assert estimate_memory(broken, NetworkSpec(), 8) is None


def test_a_series_needs_the_same_memory_as_its_nifti_version(tmp_path, make_volumes, write_series):
    ct, _ = make_volumes(shape=(5, 40, 60))
    write_volume(tmp_path / "ct.nii.gz", ct)
    write_series(tmp_path / "series", ct)
    (series,) = find_volume_series(tmp_path / "series")
    estimate = estimate_memory([series], NetworkSpec(), 8)
    of_nifti = estimate_memory([tmp_path / "ct.nii.gz"], NetworkSpec(), 8)
    assert str(estimate) == str(of_nifti)
    assert str(estimate).startswith("Image: 60 x 40 x 5 voxels; about 0.7 GB of memory")
    assert str(replace(estimate, image_count=2)).startswith("Largest of 2 images: 60 x 40 x 5")
    for broken in (tmp_path / "missing", tmp_path / "text"):
        (tmp_path / "text").write_text("no image")
        assert estimate_memory([DicomSeries("1.2", (broken,), 5)], NetworkSpec(), 8) is None


def test_any_damaged_header_is_ignored_and_other_formats_count(tmp_path, make_volumes):
    ct, _ = make_volumes(shape=(5, 40, 60))
    path = tmp_path / "ct.nii.gz"
    write_volume(path, ct)
    expected = str(estimate_memory([path], NetworkSpec(), 8))
    content = path.read_bytes()
    for at in range(0, 40):
        damaged = bytearray(content)
        damaged[at] ^= 0xFF
        path.write_bytes(damaged)
        estimate_memory([path], NetworkSpec(), 8)
    names = [tmp_path / ("a" * 300 + ".nii"), tmp_path / "a\0.mha", tmp_path]
    assert estimate_memory(names, NetworkSpec(), 8) is None
    header = (
        "NRRD0004\ntype: short\ndimension: 3\nspace: LPS\nsizes: 60 40 5\nendian: little\n"
        f"encoding: raw\nspace directions: ({ct.spacing_mm[2]},0,0) (0,{ct.spacing_mm[1]},0) "
        "(0,0,5)"
    )
    (tmp_path / "ct.nrrd").write_text(header + "\n\n")
    assert str(estimate_memory([tmp_path / "ct.nrrd"], NetworkSpec(), 8)) == expected
