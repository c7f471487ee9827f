"""Compressed pixels are what the header describes, and complete."""

import shutil

import numpy as np
import pydicom
import pytest
from pydicom.data import get_testdata_file
from reading import compress_with_gdcm

from liverseg_tf.ct.images import read_image
from liverseg_tf.ct.volume import Volume
from liverseg_tf.errors import LiverSegError

KINDS = ["JPEGLosslessProcess14_1", "JPEG2000Lossless", "JPEGLSLossless"]


def make_ct():
    array = np.random.default_rng(0).integers(-1000, 1000, (2, 12, 18)).astype(np.int16)
    return Volume(array, np.diag([-0.7, 0.8, 2.5, 1.0]))


@pytest.fixture(params=KINDS)
def compressed(request, tmp_path, write_series):
    return compress_with_gdcm(write_series(tmp_path, make_ct()), request.param)


def rewrite(folder, edit):
    for path in folder.iterdir():
        dataset = pydicom.dcmread(path)
        (frame,) = pydicom.encaps.generate_frames(dataset.PixelData, number_of_frames=1)
        frame = edit(dataset, frame)
        dataset.PixelData = pydicom.encaps.encapsulate([frame])
        dataset["PixelData"].is_undefined_length = True
        dataset.save_as(path)


def test_complete_codestreams_are_read(compressed):
    np.testing.assert_array_equal(read_image(compressed).array, make_ct().array)


def test_codestreams_of_another_shape_are_refused(compressed):
    def transpose(dataset, frame):
        dataset.Rows, dataset.Columns = dataset.Columns, dataset.Rows
        return frame

    rewrite(compressed, transpose)
    with pytest.raises(LiverSegError, match=r"18 x 12 pixels.*an image of 12 x 18"):
        read_image(compressed)


def test_codestreams_without_an_end_are_refused(compressed):
    rewrite(compressed, lambda dataset, frame: frame[: len(frame) * 3 // 4])
    with pytest.raises(LiverSegError, match="without its end"):
        read_image(compressed)


def test_damage_that_the_decoder_only_prints_is_refused(tmp_path, write_series, capfd):
    pytest.importorskip("gdcm")
    compress_with_gdcm(write_series(tmp_path, make_ct()), "JPEGLosslessProcess14_1")
    rewrite(tmp_path, lambda dataset, frame: frame[:-100] + b"\0" * 20 + b"\xff\xd9")
    with pytest.raises(LiverSegError, match=r"damaged compressed image \(Corrupt JPEG data"):
        read_image(tmp_path)
    assert "Corrupt" not in capfd.readouterr().err


def test_codestreams_of_another_kind_are_refused(compressed):
    rewrite(compressed, lambda dataset, frame: b"\x89PNG" + frame)
    with pytest.raises(LiverSegError, match="something else"):
        read_image(compressed)


def test_a_codestream_whose_sign_is_not_that_of_the_header_is_read(tmp_path):
    """The header says signed, and the codestream unsigned, as in the files of some scanners."""
    pytest.importorskip("gdcm")
    path = get_testdata_file("J2K_pixelrep_mismatch.dcm", download=False)
    shutil.copy(path, tmp_path)
    stored = pydicom.dcmread(path)
    expected = stored.pixel_array * float(stored.RescaleSlope) + float(stored.RescaleIntercept)
    np.testing.assert_array_equal(read_image(tmp_path).array[0], expected)
