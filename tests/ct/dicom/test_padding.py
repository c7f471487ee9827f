"""Padding is air, whatever its sign and range in the header."""

import numpy as np
import pytest
from pydicom.uid import ExplicitVRBigEndian

from liverseg_tf.ct.images import read_image
from liverseg_tf.ct.volume import Volume
from liverseg_tf.errors import LiverSegError

AFFINE = np.diag([-0.7, 0.8, 2.5, 1.0])
ROWS, COLUMNS = np.meshgrid(np.arange(12), np.arange(14), indexing="ij")
OUTSIDE = (ROWS - 5.5) ** 2 + (COLUMNS - 6.5) ** 2 > 36


def make_ct():
    array = np.random.default_rng(0).integers(-500, 500, (3, 12, 14)).astype(np.int16)
    return Volume(array, AFFINE)


def pad(values, vr="US", where=OUTSIDE, **tags):
    """Return an edit that stores values outside the circle and sets tags."""

    def edit(dataset, z):
        stored = np.frombuffer(dataset.PixelData, "<u2").reshape(12, 14).copy()
        stored[where] = np.resize(np.array(values).astype(np.int64) & 0xFFFF, where.sum())
        dataset.PixelData = stored.tobytes()
        for keyword, value in tags.items():
            if keyword.startswith("PixelPadding"):
                dataset.add_new(keyword, vr, value)
            else:
                setattr(dataset, keyword, value)

    return edit


CASES = {
    "unsigned": (pad([63536], PixelPaddingValue=63536), -1024),
    "unsigned, stated as signed": (pad([63536], "SS", PixelPaddingValue=-2000), -1024),
    "signed, stated as unsigned": (
        pad([-2000], PixelPaddingValue=63536, PixelRepresentation=1),
        -3024,
    ),
    "range": (
        pad([63000, 63500, 64000], PixelPaddingValue=63000, PixelPaddingRangeLimit=64000),
        -1024,
    ),
    "range from above": (
        pad([63000, 64000], PixelPaddingValue=64000, PixelPaddingRangeLimit=63000),
        -1024,
    ),
    "negative range": (
        pad([-2000, -1900], "SS", PixelPaddingValue=-2000, PixelPaddingRangeLimit=-1900),
        -1024,
    ),
    "largest value": (pad([65535], PixelPaddingValue=65535), -1024),
    "a value of tissue at the corners": (pad([1100], PixelPaddingValue=1100), -1024),
    "air": (pad([0], PixelPaddingValue=0), -1024),
    "more bits than are stored": (
        pad([63536], PixelPaddingValue=63536, BitsStored=12, HighBit=11),
        -1024,
    ),
    "the intercept that most writers use for signed values": (
        pad([-2000], "SS", PixelPaddingValue=-2000, PixelRepresentation=1),
        -3024,
    ),
}


@pytest.mark.parametrize("case", CASES.values(), ids=CASES.keys())
def test_padding_is_air_and_nothing_else_changes(tmp_path, write_series, case):
    edit, air = case
    ct = make_ct()
    volume = read_image(write_series(tmp_path, ct, edit))
    assert volume.array.dtype == np.int16
    assert (volume.array[:, OUTSIDE] == air).all()
    inside = ~OUTSIDE & (ct.array != 1100 - 1024)
    np.testing.assert_array_equal(volume.array[inside], ct.array[inside])


def test_padding_of_mr_is_its_lowest_value(tmp_path, write_series):
    edit = pad([63536], PixelPaddingValue=63536, Modality="MR", RescaleIntercept=0)
    volume = read_image(write_series(tmp_path, make_ct(), edit))
    lowest = volume.array[:, ~OUTSIDE].min(axis=1)
    assert (volume.array[:, OUTSIDE] == lowest[:, None]).all()


def test_padding_in_big_endian_files_is_air(tmp_path, write_series):
    edit = pad([63536], PixelPaddingValue=63536)
    ct = make_ct()

    def swap(dataset, z):
        edit(dataset, z)
        dataset.file_meta.TransferSyntaxUID = ExplicitVRBigEndian
        dataset.PixelData = np.frombuffer(dataset.PixelData, "<u2").astype(">u2").tobytes()

    volume = read_image(write_series(tmp_path, ct, swap))
    assert (volume.array[:, OUTSIDE] == -1024).all()
    np.testing.assert_array_equal(volume.array[:, ~OUTSIDE], ct.array[:, ~OUTSIDE])


def test_low_padding_of_unsigned_mr_is_kept(tmp_path, write_series):
    edit = pad([0], PixelPaddingValue=0, Modality="MR", RescaleIntercept=0)
    volume = read_image(write_series(tmp_path, make_ct(), edit))
    assert (volume.array[:, OUTSIDE] == 0).all()


def test_a_slice_of_padding_only_is_air(tmp_path, write_series):
    everywhere = np.ones_like(OUTSIDE)
    edit = pad([63536], where=everywhere, PixelPaddingValue=63536)
    assert (read_image(write_series(tmp_path, make_ct(), edit)).array == -1024).all()


def test_padding_that_is_tissue_is_refused(tmp_path, write_series):
    edit = pad([1100], where=(ROWS == 5) & (COLUMNS == 5), PixelPaddingValue=1100)
    with pytest.raises(LiverSegError, match=r"no value of tissue\. Received 76 HU"):
        read_image(write_series(tmp_path, make_ct(), edit))
