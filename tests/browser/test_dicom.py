import shutil
import zipfile

import numpy as np
import pydicom
import pytest
from node import READ_IMAGES
from pydicom.uid import (
    DeflatedExplicitVRLittleEndian,
    ExplicitVRBigEndian,
    ImplicitVRLittleEndian,
    SecondaryCaptureImageStorage,
    generate_uid,
)

from liverseg_tf.ct.images import read_image
from liverseg_tf.errors import LiverSegError


def _edit(**values):
    def edit(dataset, z):
        for keyword, value in values.items():
            setattr(dataset, keyword, value(z) if callable(value) else value)

    return edit


def _without(*keywords):
    def edit(dataset, z):
        for keyword in keywords:
            delattr(dataset, keyword)

    return edit


def _encoded(syntax):
    def edit(dataset, z):
        dataset.file_meta.TransferSyntaxUID = syntax

    return edit


def _signed(dataset, z):
    values = np.frombuffer(dataset.PixelData, "<u2").astype(np.int16) - 1024
    dataset.PixelRepresentation, dataset.RescaleIntercept = 1, 0
    dataset.PixelData = values.tobytes()


def _padded(value):
    def edit(dataset, z):
        pixels = np.frombuffer(dataset.PixelData, "<u2").copy()
        pixels[:9] = 63536
        dataset.PixelData = pixels.tobytes()
        dataset.add_new("PixelPaddingValue", "SS" if value < 0 else "US", value)

    return edit


def _twelve_bits(dataset, z):
    dataset.BitsStored, dataset.HighBit = 12, 11
    pixels = np.frombuffer(dataset.PixelData, "<u2") & 0x0FFF
    dataset.PixelData = (pixels | 0xF000).astype("<u2").tobytes()


def _moved(dataset, z):
    if z == 2:
        dataset.ImagePositionPatient[2] += 1.5


def _tilted(dataset, z):
    dataset.ImagePositionPatient[1] += 0.9 * z


def _localizer(dataset, z):
    if z == 0:
        dataset.ImageType = ["DERIVED", "PRIMARY", "LOCALIZER"]


def _interleaved(dataset, z):
    dataset.AcquisitionNumber = z % 2


VALID = {
    "plain": _edit(),
    "signed": _signed,
    "twelve bits": _twelve_bits,
    "slopes": _edit(RescaleSlope=lambda z: 1 + z / 4),
    "padding as unsigned": _padded(63536),
    "padding as signed": _padded(-2000),
    "no instance numbers": _without("InstanceNumber"),
    "localizer": _localizer,
    "one UID": _edit(SOPInstanceUID="1.2.3"),
    "MR": _edit(Modality="MR"),
}
INVALID = {
    "moved": _moved,
    "tilted": _tilted,
    "interleaved": _interleaved,
    "patients": _edit(PatientID=lambda z: f"p{z}"),
    "spacings": _edit(PixelSpacing=lambda z: [0.8 + z / 10, 0.7]),
    "colours": _edit(PhotometricInterpretation="RGB", SamplesPerPixel=3),
    "no position": _without("ImagePositionPatient"),
    "no slope": _without("RescaleSlope", "RescaleIntercept"),
    "only a slope": _without("RescaleIntercept"),
    "slope of 0": _edit(RescaleSlope=0),
    "no series": _without("SeriesInstanceUID"),
    "high bit": _edit(BitsStored=12, HighBit=15),
    "units": _edit(RescaleType="Z_EFF"),
    "same place": _edit(ImagePositionPatient=[0, 0, 0]),
    "mosaic": _edit(ImageType=["ORIGINAL", "PRIMARY", "MOSAIC"]),
    "no pixels": _without("PixelData"),
    "few pixels": _edit(PixelData=b"\0" * 10),
    "two phases": _edit(SOPInstanceUID=lambda z: f"1.2.{z // 2}"),
    "direction": _edit(ImageOrientationPatient=lambda z: [1, 0, 0, 0, 1 - z / 50, 0]),
    "frames": _edit(NumberOfFrames=2),
}


def _compare(node, sources, valid):
    found = node(READ_IMAGES, sources=[str(source) for source in sources])
    for source, result in zip(sources, found, strict=True):
        if not valid:
            with pytest.raises(LiverSegError):
                read_image(source)
            assert result.get("error", "").startswith("Expected"), source
            continue
        assert "error" not in result, (source, result)
        expected = read_image(source)
        assert result["array"].dtype == expected.array.dtype, source
        np.testing.assert_array_equal(result["array"], expected.array.ravel(), str(source))
        assert tuple(result["shape"]) == expected.array.shape
        np.testing.assert_allclose(result["affine"], expected.affine, rtol=1e-13, atol=1e-12)
        assert result["modality"] == expected.modality
        assert tuple(result["warnings"]) == expected.warnings


@pytest.fixture
def ct(make_volumes):
    return make_volumes(0, (5, 9, 8))[0]


def test_series_are_read_as_in_python(node, ct, write_series, tmp_path):
    folders = [write_series(tmp_path / name, ct, edit) for name, edit in VALID.items()]
    for name, syntax in (
        ("implicit", ImplicitVRLittleEndian),
        ("deflated", DeflatedExplicitVRLittleEndian),
    ):
        folders.append(write_series(tmp_path / name, ct, _encoded(syntax)))
    copies = write_series(tmp_path / "copies", ct)
    shutil.copy(copies / "0002.dcm", copies / "again.dcm")
    other = write_series(tmp_path / "other objects", ct)
    _write_capture(other / "capture.dcm")
    (other / "readme.txt").write_text("not a slice")
    (other / "DICOMDIR").write_bytes(b"")
    _compare(node, [*folders, copies, other], valid=True)


def test_what_python_refuses_is_refused(node, ct, write_series, tmp_path):
    folders = [write_series(tmp_path / name, ct, edit) for name, edit in INVALID.items()]
    missing = write_series(tmp_path / "missing", ct)
    (missing / "0002.dcm").unlink()
    damaged = write_series(tmp_path / "damaged", ct)
    (damaged / "0004.dcm").write_bytes((damaged / "0004.dcm").read_bytes()[:300])
    renamed = write_series(tmp_path / "renamed", ct)
    (renamed / "0004.dcm").write_bytes(b"0" * (renamed / "0003.dcm").stat().st_size)
    stray = write_series(tmp_path / "stray", ct)
    last = pydicom.dcmread(stray / "0004.dcm")
    last.SeriesInstanceUID = generate_uid()
    last.save_as(stray / "0004.dcm")
    two = write_series(tmp_path / "two", ct)
    write_series(two, ct, name="b{}.dcm", uid=generate_uid())
    _compare(node, [*folders, missing, damaged, renamed, stray, two], valid=False)


def test_big_endian_data_are_refused_by_name(node, ct, write_series, tmp_path):
    big = tmp_path / "big"
    shutil.copytree(write_series(tmp_path / "little", ct), big)
    for path in big.iterdir():
        dataset = pydicom.dcmread(path)
        pixels = np.frombuffer(dataset.PixelData, "<u2").astype(">u2")
        dataset.PixelData = pixels.tobytes()
        dataset.file_meta.TransferSyntaxUID = ExplicitVRBigEndian
        pydicom.dcmwrite(path, dataset, implicit_vr=False, little_endian=False)
    (found,) = node(READ_IMAGES, sources=[str(big)])
    assert "big-endian" in found["error"]


def test_enhanced_files(node, ct, write_series, tmp_path):
    folder = write_series(tmp_path / "single", ct)
    frames = [pydicom.dcmread(path) for path in sorted(folder.iterdir())]
    whole = frames[0]
    whole.SOPClassUID = "1.2.840.10008.5.1.4.1.1.2.1"
    shared, groups = pydicom.Dataset(), []
    measures = pydicom.Dataset()
    measures.PixelSpacing, measures.SliceThickness = whole.PixelSpacing, whole.SliceThickness
    shared.PixelMeasuresSequence = [measures]
    for frame in frames[::-1]:
        group, place, axes, value = (pydicom.Dataset() for _ in range(4))
        place.ImagePositionPatient = frame.ImagePositionPatient
        axes.ImageOrientationPatient = frame.ImageOrientationPatient
        value.RescaleSlope, value.RescaleIntercept, value.RescaleType = 1, -1024, "HU"
        group.PlanePositionSequence, group.PlaneOrientationSequence = [place], [axes]
        group.PixelValueTransformationSequence = [value]
        groups.append(group)
    whole.PixelData = b"".join(frame.PixelData for frame in frames[::-1])
    for keyword in ("PixelSpacing", "RescaleSlope", "RescaleIntercept", "ImagePositionPatient"):
        delattr(whole, keyword)
    whole.NumberOfFrames = len(frames)
    whole.SharedFunctionalGroupsSequence = [shared]
    whole.PerFrameFunctionalGroupsSequence = groups
    sources = []
    for name, syntax in (
        ("explicit", whole.file_meta.TransferSyntaxUID),
        ("implicit", ImplicitVRLittleEndian),
    ):
        (tmp_path / name).mkdir()
        whole.file_meta.TransferSyntaxUID = syntax
        whole.save_as(tmp_path / name / "1.dcm", enforce_file_format=True)
        sources.append(tmp_path / name)
    _compare(node, sources, valid=True)


def test_zip_archives(node, ct, write_series, tmp_path):
    folder = write_series(tmp_path / "series", ct)
    archive = tmp_path / "series.zip"
    with zipfile.ZipFile(archive, "w", zipfile.ZIP_DEFLATED) as stream:
        for path in sorted(folder.iterdir()):
            stream.write(path, f"study/{path.name}")
    data = archive.read_bytes()
    damaged = {"short.zip": data[:-30], "changed.zip": data[:500] + b"\1\2\3" + data[503:]}
    for name, content in damaged.items():
        (tmp_path / name).write_bytes(content)
    whole, *others = node(
        READ_IMAGES, sources=[str(archive), *(str(tmp_path / name) for name in damaged)]
    )
    expected = read_image(folder)
    np.testing.assert_array_equal(whole["array"], expected.array.ravel())
    assert all("error" in other for other in others), others


def _write_capture(path):
    dataset = pydicom.Dataset()
    dataset.file_meta = pydicom.dataset.FileMetaDataset()
    dataset.file_meta.TransferSyntaxUID = ImplicitVRLittleEndian
    dataset.SOPClassUID, dataset.SOPInstanceUID = SecondaryCaptureImageStorage, generate_uid()
    dataset.SeriesInstanceUID, dataset.Modality = generate_uid(), "OT"
    dataset.save_as(path, enforce_file_format=True)
