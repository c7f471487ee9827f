import gzip
import itertools

import nibabel as nib
import numpy as np
import pytest

from liverseg_tf.ct.nifti import read_volume, write_labels
from liverseg_tf.errors import LiverSegError

READ = """
const { readVolume, encodeLabels } = await load("ct/nifti");
return input.files.map(({ name, bytes, channel }) => {
  try {
    const volume = readVolume(bytes, name, channel ?? null);
    const labels = Uint8Array.from(volume.array, (value) => (value > 0 ? 1 : 0));
    return { array: volume.array, shape: volume.shape, affine: volume.affine,
      warnings: volume.warnings, mask: encodeLabels(labels, volume) };
  } catch (error) {
    if (error.name !== "LiverSegError") throw error;
    return { error: error.message };
  }
});
"""
ROTATION = nib.quaternions.quat2mat([0.9, 0.1, -0.3, 0.2])
ROTATION /= np.linalg.norm(ROTATION, axis=0)
AFFINE = nib.affines.from_matvec(ROTATION * [0.7, 0.8, 3], [-100, 50, 20])


def _file(
    dtype=np.int16, kind=nib.Nifti1Image, change=lambda header: None, shape=(4, 5, 3), big=False
):
    array = np.random.default_rng(0).integers(0, 100, shape).astype(dtype)
    header = kind.header_class(endianness=">" if big else "<")
    header.set_data_dtype(np.dtype(dtype).newbyteorder(">" if big else "<"))
    header.set_data_shape(shape)
    header.set_sform(AFFINE, 1)
    header.set_qform(AFFINE, 1)
    header.set_xyzt_units("mm")
    header["magic"], header["vox_offset"] = header.single_magic, header.single_vox_offset
    change(header)
    start = header.binaryblock + b"\0" * (int(header["vox_offset"]) - header.sizeof_hdr)
    order = ">" if big else "<"
    return start + array.astype(np.dtype(dtype).newbyteorder(order)).tobytes(order="F")


def _set(**fields):
    def change(header):
        for name, value in fields.items():
            header[name] = value

    return change


def _written(path, labels):
    write_labels(path, labels)
    return path.read_bytes()


def _extended(data):
    """Add an extension of 16 and one of 32 bytes."""
    content = b"\1\0\0\0" + np.array([16, 6], "<i4").tobytes() + b"comment\0"
    content += np.array([32, 44], "<i4").tobytes() + b"{}".ljust(24, b"\0")
    header = bytearray(data[:348])
    header[108:112] = np.float32(352 + 48).tobytes()
    return bytes(header) + content + data[352:]


KINDS = [
    np.uint8,
    np.int8,
    np.int16,
    np.uint16,
    np.int32,
    np.uint32,
    np.int64,
    np.float32,
    np.float64,
]
VALID = {
    **{f"{np.dtype(dtype)}.nii": _file(dtype) for dtype in KINDS},
    "big.nii": _file(big=True),
    "second.nii": _file(kind=nib.Nifti2Image),
    "second big.nii": _file(np.float32, nib.Nifti2Image, big=True),
    "compressed.nii.gz": gzip.compress(_file()),
    "two members.nii.gz": gzip.compress(_file()[:400]) + gzip.compress(_file()[400:]),
    "padded.nii.gz": gzip.compress(_file()) + b"\0" * 9,
    "extended.nii": _extended(_file()),
    "surplus.nii": _file() + b"123",
    "scaled.nii": _file(change=_set(scl_slope=2, scl_inter=-1024)),
    "fraction.nii": _file(change=_set(scl_slope=0.25, scl_inter=-0.5)),
    "no slope.nii": _file(change=_set(scl_slope=0, scl_inter=-3)),
    "qform.nii": _file(change=_set(sform_code=0)),
    "sform.nii": _file(change=_set(qform_code=0)),
    "reflected.nii": _file(
        change=lambda h: (
            h.set_qform(AFFINE * [1, 1, -1, 1], 1) or h.set_sform(AFFINE * [1, 1, -1, 1])
        )
    ),
    "metre.nii": _file(
        change=lambda h: (
            h.set_sform(AFFINE * [[0.001], [0.001], [0.001], [1]])
            or _set(xyzt_units=1, qform_code=0, pixdim=[1, 0, 0, 0, 1, 1, 1, 1])(h)
        )
    ),
    "4D of one.nii": _file(shape=(4, 5, 3, 1)),
    "display.nii": _file(change=_set(cal_min=-5, cal_max=7, descrip=b"something", intent_code=5)),
}
SHEARED = AFFINE.copy()
SHEARED[:3, 0] += 0.1 * SHEARED[:3, 1]
INVALID = {
    "empty.nii": b"",
    "text.nii": b"not a volume" * 99,
    "compressed.nii": gzip.compress(_file()),
    "plain.nii.gz": _file(),
    "truncated.nii": _file()[:-1],
    "truncated.nii.gz": gzip.compress(_file())[:-9],
    "no checksum.nii.gz": gzip.compress(_file())[:-8],
    "garbage.nii.gz": gzip.compress(_file()) + b"garbage",
    "checksum.nii.gz": gzip.compress(_file())[:-8] + b"\0\1\2\3" + gzip.compress(_file())[-4:],
    "surplus.nii": _file() + b"0" * 100,
    "4D.nii": _file(shape=(4, 5, 3, 2)),
    "2D.nii": _file(shape=(4, 5)),
    "RGB.nii": _file(np.uint8, change=_set(datatype=128, bitpix=24)),
    "complex.nii": _file(change=_set(datatype=32, bitpix=64)),
    "unknown.nii": _file(change=_set(datatype=77)),
    "bits.nii": _file(change=_set(bitpix=32)),
    "pair.nii": _file(change=_set(magic=b"ni1")),
    "forms.nii": _file(change=lambda h: h.set_qform(AFFINE * [1.2, 1, 1, 1], 1)),
    "spacing.nii": _file(change=_set(qform_code=0, pixdim=[1, 0.7, 0.8, 5, 1, 1, 1, 1])),
    "sheared.nii": _file(change=lambda h: h.set_sform(SHEARED) or _set(qform_code=0)(h)),
    "quaternion.nii": _file(change=_set(quatern_b=2)),
    "unit.nii": _file(change=_set(xyzt_units=6)),
    "micron.nii": _file(change=_set(xyzt_units=3)),
    "no forms.nii": _file(change=_set(sform_code=0, qform_code=0)),
    "code.nii": _file(change=_set(sform_code=9)),
    "offset.nii": _file(change=_set(vox_offset=300)),
    "nan.nii": _file(change=_set(srow_x=[np.nan, 0, 0, 0])),
    "slope.nii": _file(change=_set(scl_slope=np.inf)),
    "sign.nii": _file(change=_set(pixdim=[3, 0.7, 0.8, 3, 1, 1, 1, 1])),
    "huge.nii": _file(change=_set(dim=[3, 30000, 30000, 30000, 1, 1, 1, 1])),
    "negative.nii": _file(change=_set(dim=[3, -4, 5, 3, 1, 1, 1, 1])),
    "eol.nii": _file(kind=nib.Nifti2Image, change=_set(eol_check=[10, 10, 26, 10])),
}


def test_files_are_read_as_in_python_and_masks_are_written_byte_for_byte(node, tmp_path):
    files = [{"name": name, "bytes": np.frombuffer(data, np.uint8)} for name, data in VALID.items()]
    for (name, data), result in zip(VALID.items(), node(READ, files=files), strict=True):
        assert "error" not in result, (name, result)
        (tmp_path / name).write_bytes(data)
        expected = read_volume(tmp_path / name)
        assert result["array"].dtype == expected.array.dtype, name
        np.testing.assert_array_equal(result["array"], expected.array.ravel(), name)
        assert tuple(result["shape"]) == expected.array.shape
        np.testing.assert_allclose(result["affine"], expected.affine, rtol=1e-14, atol=1e-13)
        assert tuple(result["warnings"]) == expected.warnings
        labels = expected.with_array((expected.array > 0).astype(np.uint8))
        assert result["mask"].tobytes() == _written(tmp_path / "mask.nii", labels), name


def test_what_python_refuses_is_refused(node, tmp_path):
    files = [
        {"name": name, "bytes": np.frombuffer(data, np.uint8)} for name, data in INVALID.items()
    ]
    for (name, data), result in zip(INVALID.items(), node(READ, files=files), strict=True):
        (tmp_path / name).write_bytes(data)
        if name not in ("no forms.nii", "huge.nii"):  # `predict` refuses the first later
            with pytest.raises(LiverSegError):
                read_volume(tmp_path / name)
        assert "error" in result, name
        assert result["error"].startswith("Expected"), name
        assert "\n" not in result["error"]


def test_a_volume_of_a_4d_file(node, tmp_path):
    data = _file(shape=(4, 5, 3, 3))
    files = [
        {"name": "4D.nii", "bytes": np.frombuffer(data, np.uint8), "channel": channel}
        for channel in (0, 2, 3)
    ]
    *found, missing = node(READ, files=files)
    (tmp_path / "4D.nii").write_bytes(data)
    for channel, result in zip((0, 2), found, strict=True):
        expected = read_volume(tmp_path / "4D.nii", channel)
        np.testing.assert_array_equal(result["array"], expected.array.ravel())
        labels = expected.with_array((expected.array > 0).astype(np.uint8))
        assert result["mask"].tobytes() == _written(tmp_path / "mask.nii", labels)
    assert missing["error"] == "Expected a channel from 0 to 2 of 4D.nii. Received 3."


def test_the_header_of_a_mask_without_one(node):
    """Such as that of a DICOM series."""
    signs = itertools.product((1, -1), repeat=3)
    affines = [AFFINE * [*sign, 1] for sign in signs] + [np.diag([0.7, -0.8, 3, 1])]
    found = node(
        """
        const { encodeLabels } = await load("ct/nifti");
        return input.affines.map((affine) =>
          encodeLabels(new Uint8Array(60), { header: null, affine, shape: [3, 4, 5] }));
        """,
        affines=[affine.tolist() for affine in affines],
    )
    for affine, mask in zip(affines, found, strict=True):
        header = nib.Nifti1Header(mask.tobytes()[:348])
        np.testing.assert_allclose(header.get_sform(), affine, atol=1e-5)
        np.testing.assert_allclose(header.get_qform(), affine, atol=1e-4)
        assert header.get_data_shape() == (5, 4, 3)
        assert header.get_data_dtype() == np.uint8
