"""Encodings of DICOM files: wrong transfer syntaxes, deflated files, lengths that are wrong."""

import tracemalloc
import zlib

import numpy as np
import pydicom
import pytest
from pydicom.uid import (
    DeflatedExplicitVRLittleEndian,
    ExplicitVRBigEndian,
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
    JPEGLosslessSV1,
    RLELossless,
)

from liverseg_tf.ct.dicom.series import find_series
from liverseg_tf.ct.images import read_image
from liverseg_tf.ct.volume import Volume
from liverseg_tf.errors import LiverSegError

AFFINE = np.diag([-0.7, 0.8, 2.5, 1.0])


def make_ct(shape=(3, 6, 8)):
    array = np.random.default_rng(0).integers(-1000, 1000, shape).astype(np.int16)
    return Volume(array, AFFINE)


def claim(folder, syntax):
    """Change the transfer syntax that the file meta information states, and nothing else."""
    for path in folder.iterdir():
        content = path.read_bytes()
        stated = pydicom.dcmread(path).file_meta.TransferSyntaxUID.encode()
        old, new = (text + b"\0" * (len(text) % 2) for text in (stated, syntax.encode()))
        start = content.index(b"\x02\0\x10\0UI")
        element = len(new).to_bytes(2, "little") + new
        content = content[: start + 6] + element + content[start + 8 + len(old) :]
        path.write_bytes(content)
    return folder


def test_explicit_data_behind_a_header_that_claims_implicit_are_read(tmp_path, write_series):
    ct = make_ct()
    claim(write_series(tmp_path, ct), ImplicitVRLittleEndian)
    volume = read_image(tmp_path)
    np.testing.assert_array_equal(volume.array, ct.array)
    path = tmp_path / "0000.dcm"
    assert pydicom.dcmread(path).file_meta.TransferSyntaxUID == ImplicitVRLittleEndian
    np.testing.assert_array_equal(volume.array[0] + 1024, pydicom.dcmread(path).pixel_array)


def test_implicit_data_behind_a_header_that_claims_explicit_are_read(tmp_path, write_series):
    ct = make_ct()
    for path in write_series(tmp_path, ct).iterdir():
        dataset = pydicom.dcmread(path)
        dataset.file_meta.TransferSyntaxUID = ImplicitVRLittleEndian
        dataset.save_as(path, enforce_file_format=True)
    claim(tmp_path, ExplicitVRLittleEndian)
    np.testing.assert_array_equal(read_image(tmp_path).array, ct.array)


@pytest.mark.parametrize("syntax", [ExplicitVRBigEndian, RLELossless, JPEGLosslessSV1])
def test_other_wrong_transfer_syntaxes_are_refused(tmp_path, write_series, syntax):
    claim(write_series(tmp_path, make_ct()), syntax)
    with pytest.raises(LiverSegError):
        read_image(tmp_path)


@pytest.mark.parametrize("syntax", [ExplicitVRLittleEndian, ImplicitVRLittleEndian])
def test_compressed_pixels_that_claim_not_to_be_are_refused(tmp_path, write_series, syntax):
    noise = make_ct((3, 40, 40))  # RLE makes it longer: there are enough bytes
    claim(write_series(tmp_path, noise, lambda one, z: one.compress(RLELossless)), syntax)
    with pytest.raises(LiverSegError, match="uncompressed pixel data"):
        read_image(tmp_path)


def deflate(folder):
    for path in folder.iterdir():
        dataset = pydicom.dcmread(path)
        dataset.file_meta.TransferSyntaxUID = DeflatedExplicitVRLittleEndian
        dataset.save_as(path, enforce_file_format=True)
    return folder


def test_deflated_files_are_read(tmp_path, write_series):
    ct = make_ct()
    folder = deflate(write_series(tmp_path, ct))
    np.testing.assert_array_equal(read_image(folder).array, ct.array)


def test_a_deflated_file_that_was_cut_off_is_refused(tmp_path, write_series):
    deflate(write_series(tmp_path, make_ct()))
    path = tmp_path / "0001.dcm"
    path.write_bytes(path.read_bytes()[:-30])
    with pytest.raises(LiverSegError, match=r"0001\.dcm"):
        read_image(tmp_path)


def test_a_deflated_file_that_inflates_to_more_than_its_pixels_is_refused(tmp_path, write_series):
    write_series(tmp_path, make_ct((1, 6, 8)))
    path = deflate(tmp_path) / "0000.dcm"
    content = path.read_bytes()
    dataset = pydicom.dcmread(path)
    with pydicom.filebase.DicomBytesIO() as buffer:
        buffer.is_implicit_VR, buffer.is_little_endian = False, True
        pydicom.filewriter.write_dataset(buffer, dataset)
        plain = buffer.getvalue()
    packer = zlib.compressobj(1, zlib.DEFLATED, -15)
    bomb = packer.compress(plain) + packer.compress(bytes(40_000_000)) + packer.flush()
    start = content.index(b"\x02\0\x10\0UI") + 8 + 22
    end = start + (len(content[start:]) - len(content[start:].lstrip(b"\x02")))
    meta_end = 144 + dataset.file_meta.FileMetaInformationGroupLength
    assert end <= meta_end
    path.write_bytes(content[:meta_end] + bomb)
    tracemalloc.start()
    with pytest.raises(LiverSegError, match=r"0000\.dcm to inflate to the 96 bytes"):
        read_image(tmp_path)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 80_000_000


def test_a_length_beyond_the_file_allocates_no_memory(tmp_path, write_series):
    write_series(tmp_path, make_ct((1, 6, 8)))
    path = tmp_path / "0000.dcm"
    content = bytearray(path.read_bytes())
    start = content.index(b"\xe0\x7f\x10\0OW") + 8
    content[start : start + 4] = (0xFFFFFF00).to_bytes(4, "little")
    path.write_bytes(content)
    tracemalloc.start()
    with pytest.raises(LiverSegError, match=r"0000\.dcm"):
        read_image(tmp_path)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 10_000_000


@pytest.mark.parametrize("size", [-2, -60, 12, 200])
def test_pixel_data_of_another_length_are_refused(tmp_path, write_series, size):
    def resize(dataset, z):
        if z == 1:
            pixels = dataset.PixelData
            dataset.PixelData = pixels[:size] if size < 0 else pixels + bytes(size)

    write_series(tmp_path, make_ct(), resize)
    with pytest.raises(LiverSegError, match=r"96 bytes of pixel data in .*0001\.dcm"):
        read_image(tmp_path)


def test_a_few_bytes_after_the_pixels_are_padding(tmp_path, write_series):
    def lengthen(dataset, z):
        dataset.PixelData += bytes(2)

    ct = make_ct()
    np.testing.assert_array_equal(read_image(write_series(tmp_path, ct, lengthen)).array, ct.array)


def test_floating_point_pixels_are_refused(tmp_path, write_series):
    def store_floats(dataset, z):
        pixels = np.frombuffer(dataset.PixelData, "<u2").astype("<f4")
        del dataset.PixelData
        dataset.FloatPixelData = pixels.tobytes()
        dataset.BitsAllocated = dataset.BitsStored = 32
        dataset.HighBit = 31

    write_series(tmp_path, make_ct(), store_floats)
    with pytest.raises(LiverSegError, match="FloatPixelData"):
        read_image(tmp_path)


def test_an_unknown_transfer_syntax_is_refused(tmp_path, write_series):
    claim(write_series(tmp_path, make_ct()), "1.2.840.113619.5.2.99")
    with pytest.raises(LiverSegError, match="image encoding as the transfer syntax"):
        read_image(tmp_path)


def test_finding_reads_only_the_start_of_a_deflated_file(tmp_path, write_series):
    deflate(write_series(tmp_path, make_ct()))
    (series,) = find_series(tmp_path)
    assert (series.image_count, series.patient_id, series.modality) == (3, "p1", "CT")
