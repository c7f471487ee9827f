import re

import numpy as np

from liverseg_tf.ct.dicom.series import DicomSeries, volume_series
from liverseg_tf.ct.nifti import write_volume
from liverseg_tf.ct.volume import Volume
from liverseg_tf.model.spec import NetworkSpec
from liverseg_tf.predict.batch.memory import estimate


def _gigabytes(*arguments):
    (line,) = estimate(*arguments)
    return float(re.search(r"about ([\d.]+) GB", line)[1])


def test_the_two_largest_images_count_and_what_is_unreadable_does_not(tmp_path):
    small, large = tmp_path / "small.nii.gz", tmp_path / "large.nii.gz"
    write_volume(small, Volume(np.zeros((4, 8, 8), np.int16), np.diag([-1.0, -1.0, 1.0, 1.0])))
    array = np.zeros((1000, 400, 400), np.int16)
    write_volume(large, Volume(array, np.diag([-1.5, -1.5, 1.0, 1.0])))
    (tmp_path / "broken.nii.gz").write_bytes(b"no image")
    broken = [tmp_path / "broken.nii.gz", tmp_path / "missing.nii"]
    base = _gigabytes([small, *broken], NetworkSpec(), 8)
    one = _gigabytes([small, large, *broken], NetworkSpec(), 8)
    # two bytes for the voxels and two for their masks; 400 x 400 pixels in a batch of 8
    assert abs(one - base - array.size * 4e-9 - 8 * 400 * 400 * 600e-9) < 0.11
    assert abs(_gigabytes([large, large], NetworkSpec(), 8) - one - array.size * 4e-9) < 0.11
    assert estimate(broken, NetworkSpec(), 8) == []


def test_a_series_counts_as_the_image_that_it_holds(tmp_path, make_volumes, write_series):
    ct, _ = make_volumes(shape=(5, 40, 60))
    write_volume(tmp_path / "ct.nii.gz", ct)
    write_series(tmp_path / "series", ct)
    (series,) = volume_series(tmp_path / "series")
    assert estimate([series], NetworkSpec(), 8) == estimate(
        [tmp_path / "ct.nii.gz"], NetworkSpec(), 8
    )
    for broken in (tmp_path / "missing", tmp_path / "text"):
        (tmp_path / "text").write_text("no image")
        assert estimate([DicomSeries("1.2", (broken,), 5)], NetworkSpec(), 8) == []
