"""Pixels are read only where all readers agree about their bits."""

import numpy as np
import pytest
from reading import set_tags

from liverseg_tf.ct.images import read_image
from liverseg_tf.ct.volume import Volume
from liverseg_tf.errors import LiverSegError


def make_ct():
    array = np.random.default_rng(0).integers(-1000, 1000, (3, 4, 6)).astype(np.int16)
    return Volume(array, np.diag([-0.7, 0.8, 2.5, 1.0]))


REFUSED = {
    "high bit": ({"BitsStored": 12, "HighBit": 15}, "HighBit of 11"),
    "high bit of all bits": ({"HighBit": 11}, "HighBit of 15"),
    "no high bit": ({"BitsStored": 12, "HighBit": None}, "HighBit in"),
    "twelve bits": ({"BitsAllocated": 12, "BitsStored": 12, "HighBit": 11}, "BitsAllocated"),
    "one bit": ({"BitsAllocated": 1, "BitsStored": 1, "HighBit": 0}, "BitsAllocated"),
    "64 bits": ({"BitsAllocated": 64}, "BitsAllocated"),
    "32 bits": ({"BitsAllocated": 32, "BitsStored": 32, "HighBit": 31}, "bytes of pixel data"),
    "8 bits": ({"BitsAllocated": 8, "BitsStored": 8, "HighBit": 7}, "bytes of pixel data"),
    "too many bits": ({"BitsStored": 17, "HighBit": 16}, "BitsStored from 1 to 16"),
    "no bits stored": ({"BitsStored": None}, "BitsStored"),
    "no sign": ({"PixelRepresentation": None}, "PixelRepresentation"),
    "unknown sign": ({"PixelRepresentation": 2}, "PixelRepresentation of 0 or 1"),
    "palette": ({"PhotometricInterpretation": "PALETTE COLOR"}, "grey value"),
    "colour": ({"PhotometricInterpretation": "YBR_FULL"}, "grey value"),
    "unknown colours": ({"PhotometricInterpretation": "MONOCHROME9"}, "grey value"),
    "three samples": ({"SamplesPerPixel": 3}, "grey value"),
    "two paddings": ({"PixelPaddingValue": [1, 2]}, "one integer as PixelPaddingValue"),
    "frames without groups": ({"NumberOfFrames": 3}, "functional groups"),
    "mosaic": ({"ImageType": ["ORIGINAL", "PRIMARY", "M", "MOSAIC"]}, "mosaic"),
    "units": ({"RescaleType": "MGML"}, "RescaleType MGML"),
}


@pytest.mark.parametrize("case", REFUSED.values(), ids=REFUSED.keys())
def test_pixels_without_one_meaning_are_refused(tmp_path, write_series, case):
    values, reason = case
    write_series(tmp_path, make_ct(), set_tags(**values))
    with pytest.raises(LiverSegError, match=reason) as caught:
        read_image(tmp_path)
    assert "\n" not in str(caught.value)


def test_the_number_of_images_in_a_mosaic_is_seen_without_its_image_type(tmp_path, write_series):
    def mark(dataset, z):
        block = dataset.private_block(0x19, "SIEMENS MR HEADER", create=True)
        block.add_new(0x0A, "US", 36)

    write_series(tmp_path, make_ct(), mark)
    with pytest.raises(LiverSegError, match="mosaic"):
        read_image(tmp_path)


def test_series_of_two_modalities_are_refused(tmp_path, write_series):
    def change(dataset, z):
        dataset.Modality = "MR" if z == 1 else "CT"

    write_series(tmp_path, make_ct(), change)
    with pytest.raises(LiverSegError, match=r"one modality.*MR in .*0001\.dcm.*CT in"):
        read_image(tmp_path)


def test_a_missing_intercept_of_one_signed_slice_is_refused(tmp_path, write_series):
    def change(dataset, z):
        dataset.PixelRepresentation = 1
        if z == 1:
            del dataset.RescaleIntercept

    write_series(tmp_path, make_ct(), change)
    with pytest.raises(LiverSegError, match=r"RescaleIntercept.*0001\.dcm"):
        read_image(tmp_path)


def test_signed_values_without_rescaling_are_read_with_a_warning(tmp_path, write_series):
    edit = set_tags(PixelRepresentation=1, RescaleIntercept=None, RescaleSlope=None)
    ct = make_ct()
    volume = read_image(write_series(tmp_path, ct, edit))
    np.testing.assert_array_equal(volume.array, ct.array + 1024)
    assert "no RescaleSlope" in volume.warnings[0]


@pytest.mark.parametrize("modality", ["CT", "MR", "PT"])
def test_the_modality_is_kept(tmp_path, write_series, modality):
    assert (
        read_image(write_series(tmp_path, make_ct(), set_tags(Modality=modality))).modality
        == modality
    )


def test_bits_above_those_stored_are_ignored(tmp_path, write_series):
    def overlay(dataset, z):
        stored = np.frombuffer(dataset.PixelData, "<u2") | 0xA000
        dataset.BitsStored, dataset.HighBit, dataset.PixelData = 12, 11, stored.tobytes()

    ct = make_ct()
    np.testing.assert_array_equal(read_image(write_series(tmp_path, ct, overlay)).array, ct.array)
