"""Compressed DICOM in the page, compared with what the package decodes."""

import shutil
import subprocess

import numpy as np
import pydicom
import pytest
from node import READ_IMAGES
from pydicom.data import get_testdata_file
from pydicom.encaps import encapsulate, encapsulate_extended, generate_frames
from pydicom.uid import JPEGBaseline8Bit, RLELossless
from reading import compress_with_gdcm

from liverseg_tf.ct.images import read_image
from liverseg_tf.ct.volume import Volume
from liverseg_tf.errors import LiverSegError

KINDS = ("JPEGLosslessProcess14_1", "JPEG2000Lossless", "JPEGLSLossless")


def _ct():
    array = np.random.default_rng(0).integers(-1000, 1000, (2, 11, 18)).astype(np.int16)
    array[:, 4:] = np.arange(18) - 1000  # runs and smooth values
    return Volume(array, np.diag([-0.7, 0.8, 2.5, 1.0]))


def _signed(dataset, z):
    stored = np.frombuffer(dataset.PixelData, "<u2").astype(np.int16) - 1024
    dataset.PixelRepresentation, dataset.RescaleIntercept = 1, 0
    dataset.PixelData = stored.tobytes()


def _twelve_bits(dataset, z):
    _signed(dataset, z)
    dataset.BitsStored, dataset.HighBit = 12, 11


def _eight_bits(dataset, z):
    stored = np.frombuffer(dataset.PixelData, "<u2") >> 4
    dataset.BitsAllocated, dataset.BitsStored, dataset.HighBit = 8, 8, 7
    dataset.RescaleSlope = 16
    dataset.PixelData = stored.astype(np.uint8).tobytes()


EDITS = {
    "unsigned": lambda dataset, z: None,
    "signed": _signed,
    "12": _twelve_bits,
    "8": _eight_bits,
}


def _compress_rle(folder):
    for path in folder.iterdir():
        dataset = pydicom.dcmread(path)
        dataset.compress(RLELossless)
        dataset.save_as(path)
    return folder


def _rewrite(folder, edit, **how):
    """Replace the compressed image in each file of a series by what `edit` makes of it."""
    for path in folder.iterdir():
        dataset = pydicom.dcmread(path)
        (frame,) = generate_frames(dataset.PixelData, number_of_frames=1)
        dataset.PixelData = encapsulate([edit(frame)], **how)
        dataset["PixelData"].is_undefined_length = True
        dataset.save_as(path)
    return folder


def _check_equal(node, sources):
    found = node(READ_IMAGES, sources=list(map(str, sources)))
    for source, result in zip(sources, found, strict=True):
        assert "error" not in result, (source, result)
        expected = read_image(source).array
        assert result["array"].dtype == expected.dtype, source
        np.testing.assert_array_equal(result["array"], expected.ravel(), str(source))


def test_series_are_decoded_as_in_python(node, write_series, tmp_path):
    sources = []
    for name, edit in EDITS.items():
        sources.append(_compress_rle(write_series(tmp_path / f"rle {name}", _ct(), edit)))
        for kind in KINDS:
            folder = write_series(tmp_path / f"{kind} {name}", _ct(), edit)
            sources.append(compress_with_gdcm(folder, kind))
    for how in ({"fragments_per_frame": 3}, {"fragments_per_frame": 2, "has_bot": False}):
        copy = tmp_path / f"{how}"
        sources.append(_rewrite(shutil.copytree(sources[1], copy), lambda frame: frame, **how))
    _check_equal(node, sources)


def test_files_of_other_writers_are_decoded_as_in_python(node, tmp_path):
    sources = []
    for name in (
        *("MR_small_RLE", "MR_small_jp2klossless", "MR_small_jpeg_ls_lossless"),
        *("J2K_pixelrep_mismatch", "693_J2KI"),
    ):
        (tmp_path / name).mkdir()
        shutil.copy(get_testdata_file(f"{name}.dcm", download=False), tmp_path / name)
        sources.append(tmp_path / name)
    _check_equal(node, sources)


@pytest.mark.skipif(shutil.which("dcmcjpeg") is None, reason="needs dcmcjpeg (Debian: dcmtk)")
def test_all_predictors_of_lossless_jpeg(node, write_series, tmp_path):
    folder, sources = write_series(tmp_path / "ct", _ct(), _twelve_bits), []
    for predictor in range(1, 8):
        sources.append(tmp_path / str(predictor))
        sources[-1].mkdir()
        for path in folder.iterdir():
            command = ["dcmcjpeg", "+el", "+sv", str(predictor), path, sources[-1] / path.name]
            subprocess.run(command, check=True, timeout=60)
    _check_equal(node, sources)


def test_frames_of_one_file(node, write_series, tmp_path):
    """With and without tables of offsets, and with several items for a frame."""
    folder = compress_with_gdcm(write_series(tmp_path / "ct", _ct()), KINDS[0])
    frames = [pydicom.dcmread(path) for path in sorted(folder.iterdir())]
    images = [next(generate_frames(frame.PixelData, number_of_frames=1)) for frame in frames]
    extended, offsets, lengths = encapsulate_extended(images)
    encodings = {
        "offsets": encapsulate(images, fragments_per_frame=2),
        "ends": encapsulate(images, fragments_per_frame=2, has_bot=False),
        "no offsets": encapsulate(images, has_bot=False),
        "extended": extended,
    }
    sources = []
    for name, pixels in encodings.items():
        whole = pydicom.dcmread(sorted(folder.iterdir())[0])
        whole.SOPClassUID, whole.NumberOfFrames = "1.2.840.10008.5.1.4.1.1.2.1", len(frames)
        whole.PerFrameFunctionalGroupsSequence = [_functional_groups(frame) for frame in frames]
        whole.SharedFunctionalGroupsSequence = [pydicom.Dataset()]
        whole.PixelData = pixels
        whole["PixelData"].is_undefined_length = True
        if name == "extended":
            whole.ExtendedOffsetTable, whole.ExtendedOffsetTableLengths = offsets, lengths
        sources.append(tmp_path / name)
        sources[-1].mkdir()
        whole.save_as(sources[-1] / "1.dcm")
    _check_equal(node, sources)


def _functional_groups(frame):
    group = pydicom.Dataset()
    for sequence, keywords in {
        "PlanePositionSequence": ["ImagePositionPatient"],
        "PlaneOrientationSequence": ["ImageOrientationPatient"],
        "PixelMeasuresSequence": ["PixelSpacing", "SliceThickness"],
        "PixelValueTransformationSequence": ["RescaleSlope", "RescaleIntercept"],
    }.items():
        item = pydicom.Dataset()
        for keyword in keywords:
            item[keyword] = frame[keyword]
        setattr(group, sequence, [item])
    group.PixelValueTransformationSequence[0].RescaleType = "HU"
    return group


END = b"\xff\xd9"
DAMAGE = {
    "cut off": lambda frame: frame[: len(frame) * 3 // 4],
    "cut off, with an end": lambda frame: frame[: len(frame) * 3 // 4] + END,
    "a gap": lambda frame: frame[:-60] + frame[-20:],
    "another kind": lambda frame: b"\x89PNG" + frame,
    "nothing": lambda frame: bytes(2),
}


def test_damaged_images_are_refused(node, write_series, tmp_path):
    sources = []
    for kind in ("RLE", *KINDS):
        whole = write_series(tmp_path / kind, _ct())
        whole = _compress_rle(whole) if kind == "RLE" else compress_with_gdcm(whole, kind)
        for name, damage in DAMAGE.items():
            copy = shutil.copytree(whole, tmp_path / f"{kind}, {name}")
            sources.append(_rewrite(copy, damage))
        transposed = shutil.copytree(whole, tmp_path / f"{kind}, transposed")
        cut = shutil.copytree(whole, tmp_path / f"{kind}, file cut off")
        for path in transposed.iterdir():
            dataset = pydicom.dcmread(path)
            dataset.Rows, dataset.Columns = dataset.Columns, dataset.Rows + 1
            dataset.save_as(path)
        for path in cut.iterdir():
            path.write_bytes(path.read_bytes()[:-60])
        sources += [transposed, cut]
    lossy = _compress_rle(write_series(tmp_path / "baseline", _ct()))
    for path in lossy.iterdir():
        dataset = pydicom.dcmread(path)
        dataset.file_meta.TransferSyntaxUID = JPEGBaseline8Bit
        dataset.save_as(path)
    found = node(READ_IMAGES, sources=[*map(str, sources), str(lossy)])
    for source, result in zip([*sources, lossy], found, strict=True):
        assert result.get("kind") == "LiverSegError", (source, result)
        assert result["error"].startswith("Expected")
        with pytest.raises(LiverSegError):
            read_image(source)
    assert "dcm2niix" in found[-1]["error"]
