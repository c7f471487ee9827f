import gzip
import itertools
import os
import subprocess
import sys
import warnings
import zlib
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from isal import igzip
from scipy.spatial.transform import Rotation

from liverseg_tf.ct import size_limit
from liverseg_tf.ct.nifti import (
    nifti_stem,
    read_image_size,
    read_labels,
    read_volume,
    write_labels,
    write_volume,
)
from liverseg_tf.ct.volume import Volume
from liverseg_tf.errors import LiverSegError

SHAPE = (7, 6, 5)  # (i, j, k)
AFFINE = np.array([[-0.7, 0, 0, 90.5], [0, 0.8, 0, -12.25], [0, 0, 5, 1000], [0, 0, 0, 1]])
GRID_FIELDS = (
    *("dim", "dim_info", "pixdim", "qform_code", "sform_code", "xyzt_units"),
    *("quatern_b", "quatern_c", "quatern_d", "qoffset_x", "qoffset_y", "qoffset_z"),
    *("srow_x", "srow_y", "srow_z"),
)
PROPERTY = settings(
    max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
numbers = itertools.count()


def voxels(dtype=np.int16, low=-1000, high=1000):
    return np.random.default_rng(1).integers(low, high, SHAPE).astype(dtype)


def save(path, array, affine=AFFINE, **fields):
    """Write with nibabel, then set fields of the header in the file."""
    image = nib.Nifti1Image(array, affine, dtype=array.dtype)
    image.header.set_xyzt_units("mm", "sec")
    path = path / f"{next(numbers)}.nii" if path.is_dir() else path
    nib.save(image, path)
    return patch(path, **fields) if fields else path


def patch(path, **fields):
    opener = gzip.open if path.name.endswith(".gz") else open
    with opener(path, "rb") as stream:
        content = stream.read()
    header = nib.Nifti1Header(content[:348], check=False)
    for name, value in fields.items():
        header[name] = value
    with opener(path, "wb") as stream:
        stream.write(header.binaryblock + content[348:])
    return path


def raw_header(path):
    opener = gzip.open if path.name.endswith(".gz") else open
    with opener(path, "rb") as stream:
        start = stream.read(540)
    kind = nib.Nifti1Header if nib.Nifti1Header.may_contain_header(start) else nib.Nifti2Header
    return kind(start[: kind.sizeof_hdr], check=False)


def check_same_grid_on_disk(source, written):
    """Equal bytes in each field that says where the voxels lie."""
    before, after = raw_header(source), raw_header(written)
    assert type(before) is type(after)
    assert before.endianness == after.endianness
    for name in GRID_FIELDS:
        assert before[name].tobytes() == after[name].tobytes(), name


def check_refused(read, path, *words):
    with pytest.raises(LiverSegError) as caught:
        read(path)
    message = str(caught.value)
    assert "\n" not in message
    assert message.startswith("Expected ")
    assert "Received" in message
    for word in (path.name, *words):
        assert word in message


def check_mask_comes_back(source, tmp_path):
    image = read_volume(source)
    labels = np.random.default_rng(2).integers(0, 3, image.array.shape).astype(np.uint8)
    target = tmp_path / f"{next(numbers)}.nii.gz"
    write_labels(target, image.with_array(labels))
    check_same_grid_on_disk(source, target)
    again = read_labels(target)
    assert again.array.dtype == np.uint8
    np.testing.assert_array_equal(again.array, labels)
    np.testing.assert_array_equal(again.affine, image.affine)
    theirs = nib.load(target)
    np.testing.assert_array_equal(np.asanyarray(theirs.dataobj).T, labels)
    np.testing.assert_array_equal(theirs.affine, nib.load(source).affine)
    return target


@pytest.mark.parametrize("suffix", [".nii", ".nii.gz"])
@pytest.mark.parametrize("kind", [nib.Nifti1Image, nib.Nifti2Image])
@pytest.mark.parametrize("order", ["<", ">"])
@pytest.mark.parametrize("code", ["i2", "u1", "f4", "u2", "i4", "f8"])
def test_files_that_nibabel_wrote(tmp_path, suffix, kind, order, code):
    array = voxels(np.dtype(order + code), low=0, high=250)
    header = kind.header_class(endianness=order)
    header.set_data_dtype(array.dtype)
    path = tmp_path / ("a" + suffix)
    nib.save(kind(array, AFFINE, header), path)
    assert raw_header(path).get_data_dtype() == np.dtype(order + code)
    volume = read_volume(path)
    np.testing.assert_array_equal(volume.array, array.T)
    np.testing.assert_allclose(volume.affine, AFFINE, atol=1e-5)
    np.testing.assert_array_equal(volume.affine, nib.load(path).affine)
    assert volume.array.flags.c_contiguous
    assert volume.array.dtype.isnative
    kept = {"u1": np.uint8, "f4": np.float32, "f8": np.float32}
    assert volume.array.dtype == kept.get(code, np.int16)
    check_mask_comes_back(path, tmp_path)


@pytest.mark.parametrize(
    ("stored", "low", "high", "scaling", "dtype"),
    [
        (np.int16, -1024, 3000, (1, 0), np.int16),
        (np.int16, -1024, 3000, (0, 7), np.int16),  # slope 0: neither is used
        (np.int16, 0, 4000, (1, -1024), np.int16),
        (np.uint16, 0, 4000, (1, -1024), np.int16),
        (np.uint16, 0, 65535, (1, -32768), np.int16),
        (np.uint16, 0, 65535, (1, 0), np.int32),
        (np.int16, -1024, 3000, (20, 0), np.int32),
        (np.uint8, 0, 255, (2, -100), np.int16),
        (np.int32, -1024, 3000, (1, 0), np.int16),
        (np.int32, 0, 2**31 - 1, (2, 0), np.float32),
        (np.uint32, 0, 2**32 - 1, (1, 0), np.float32),
        (np.int64, -5, 5, (-3, 1), np.int16),
        (np.uint64, 0, 5, (1, -3), np.int16),
        (np.int8, -128, 127, (1, 0), np.int16),
        (np.int16, 0, 1, (1e30, 0), np.float32),
        (np.int16, 0, 1, (1, 2.0**31), np.float32),
        (np.int16, 0, 4000, (0.5, -1024), np.float32),
        (np.int16, 0, 4000, (1, 0.25), np.float32),
        (np.float32, 0, 4000, (2, -1024), np.float32),
        (np.float64, 0, 4000, (1, 0), np.float32),
    ],
)
def test_slope_and_intercept(tmp_path, stored, low, high, scaling, dtype):
    slope, intercept = scaling
    array = np.linspace(low, high, np.prod(SHAPE)).astype(stored).reshape(SHAPE)
    path = save(tmp_path, array, scl_slope=slope, scl_inter=intercept)
    volume = read_volume(path)
    expected = array.T.astype(float) * (slope or 1) + (intercept if slope else 0)
    assert volume.array.dtype == dtype
    np.testing.assert_allclose(volume.array, expected, rtol=1e-6)
    np.testing.assert_allclose(volume.array, nib.load(path).get_fdata().T, rtol=1e-6)


@pytest.mark.parametrize("slope", [0, np.nan])
def test_an_intercept_without_a_slope(tmp_path, slope):
    path = save(tmp_path, voxels(), scl_slope=slope, scl_inter=-1024)
    volume = read_volume(path)
    np.testing.assert_array_equal(volume.array, voxels().T)
    assert volume.warnings == ("scl_inter of -1024 ignored, because there is no scl_slope",)
    assert read_volume(save(tmp_path, voxels(), scl_slope=slope, scl_inter=0)).warnings == ()


def test_zeros_with_a_slope_beyond_all_integers(tmp_path):
    path = save(tmp_path, np.zeros(SHAPE, np.int16), scl_slope=1e30)
    assert not read_volume(path).array.any()


def test_nan_and_infinity_are_kept(tmp_path):
    array = voxels(np.float32)
    array[0, 0, :3] = (np.nan, np.inf, -np.inf)
    np.testing.assert_array_equal(read_volume(save(tmp_path, array)).array, array.T)


def test_header_extensions_are_kept(tmp_path):
    image = nib.Nifti1Image(voxels(), AFFINE)
    for content in (b"first", b"<second>" * 40):
        image.header.extensions.append(nib.nifti1.Nifti1Extension("comment", content))
    path = tmp_path / "a.nii.gz"
    nib.save(image, path)
    np.testing.assert_array_equal(read_volume(path).array, voxels().T)
    written = nib.load(check_mask_comes_back(path, tmp_path))
    assert [e.get_content() for e in written.header.extensions] == [
        e.get_content() for e in nib.load(path).header.extensions
    ]


@pytest.mark.parametrize(("qform", "sform"), [(1, 0), (0, 1), (0, 0), (1, 2), (2, 1)])
def test_each_way_to_place_an_image(tmp_path, qform, sform):
    image = nib.Nifti1Image(voxels(), AFFINE)
    moved = AFFINE.copy()
    moved[:3, 3] += 10
    image.set_qform(AFFINE, qform)
    image.set_sform(moved, sform)
    path = tmp_path / "a.nii"
    nib.save(image, path)
    if qform and sform:
        check_refused(read_volume, path, "17.3 apart", "--use-sform or --use-qform")
        np.testing.assert_allclose(read_volume(path, form="qform").affine, AFFINE, atol=1e-4)
        np.testing.assert_allclose(read_volume(path, form="sform").affine, moved, rtol=1e-6)
        return
    volume = read_volume(path)
    assert volume.lacks_orientation is not bool(qform or sform)
    np.testing.assert_array_equal(volume.affine, nib.load(path).affine)
    if qform or sform:
        np.testing.assert_allclose(volume.affine, moved if sform else AFFINE, atol=1e-4)
    assert volume.spacing_mm == pytest.approx((5, 0.8, 0.7))
    check_mask_comes_back(path, tmp_path)


@pytest.mark.parametrize(
    "fields",
    [
        {"pixdim": [0, 0.7, 0.8, 5, 0, 0, 0, 0]},  # qfac 0 is common and means 1
        {"pixdim": [0, 0.7, 0.8, 5, 0, 0, 0, 0], "sform_code": 0, "qform_code": 1},
        {"pixdim": [1, -0.7, 0.8, 5, 0, 0, 0, 0], "sform_code": 0},
        {"pixdim": [-1, 0.7, -0.8, 5, 0, 0, 0, 0], "sform_code": 0, "qform_code": 1},
        {"pixdim": [1, 0, 0, 0, 0, 0, 0, 0]},  # the sform says it all
        {"xyzt_units": 0},
        {"xyzt_units": 3, "sform_code": 0, "pixdim": [1, 700, 800, 5000, 0, 0, 0, 0]},
        {"dim_info": 57},
        {"dim": [3, *SHAPE, 0, 0, 0, 0]},
        {"cal_min": -100, "cal_max": 200, "descrip": b"x" * 80, "intent_code": 3},
    ],
)
def test_odd_fields_are_kept_as_they_are(tmp_path, fields):
    check_mask_comes_back(save(tmp_path, voxels(), **fields), tmp_path)


def random_image(seed, codes, header):
    rng = np.random.default_rng(seed)
    affine = np.eye(4)
    affine[:3, :3] = Rotation.from_rotvec(rng.normal(size=3)).as_matrix() * rng.uniform(0.3, 6, 3)
    affine[:3, 0] *= rng.choice([-1, 1])
    affine[:3, 3] = rng.normal(0, 300, 3)
    kind = nib.Nifti2Image if isinstance(header, nib.Nifti2Header) else nib.Nifti1Image
    image = kind(voxels(), affine, header)
    image.set_qform(affine, codes[0])
    image.set_sform(affine, codes[1])
    image.header["xyzt_units"] = rng.choice([0, 2]) + 8 * rng.integers(0, 8)
    image.header["dim_info"] = rng.integers(0, 64)
    return image


@given(
    st.integers(0, 10**6),
    st.tuples(st.integers(0, 4), st.integers(0, 4)),
    st.sampled_from([nib.Nifti1Header, nib.Nifti2Header]),
    st.sampled_from("<>"),
)
@PROPERTY
def test_masks_have_the_header_of_any_image(tmp_path, seed, codes, kind, order):
    path = tmp_path / f"{next(numbers)}.nii"
    nib.save(random_image(seed, codes, kind(endianness=order)), path)
    check_mask_comes_back(path, tmp_path)


@pytest.mark.parametrize("suffix", [".nii", ".nii.gz"])
@pytest.mark.parametrize("dtype", [np.uint8, np.int16, np.int32, np.float32])
def test_volumes_without_a_header(tmp_path, suffix, dtype):
    volume = Volume(voxels(dtype, 0, 200).T.copy(), AFFINE)
    path = tmp_path / "new" / ("a" + suffix)
    write_volume(path, volume)
    again, theirs = read_volume(path), nib.load(path)
    np.testing.assert_array_equal(again.array, volume.array)
    np.testing.assert_array_equal(np.asanyarray(theirs.dataobj).T, volume.array)
    assert theirs.get_data_dtype() == dtype
    np.testing.assert_allclose(again.affine, AFFINE, atol=1e-4)
    np.testing.assert_allclose(theirs.get_qform(), AFFINE, atol=1e-4)
    assert theirs.header.get_xyzt_units()[0] == "mm"


def test_views_and_scaled_images_are_written_as_they_are_seen(tmp_path):
    source = read_volume(save(tmp_path, voxels(), scl_slope=0.5, scl_inter=-10))
    flipped = source.with_array(source.array[::-1, :, ::-1])
    write_volume(tmp_path / "out.nii", flipped)
    np.testing.assert_array_equal(read_volume(tmp_path / "out.nii").array, flipped.array)


def test_equal_masks_are_equal_gzip_files(tmp_path):
    labels = Volume(np.zeros((30, 40, 50), np.uint8), AFFINE)
    for name in ("a", "b"):
        write_labels(tmp_path / f"{name}.nii.gz", labels)
    content = (tmp_path / "a.nii.gz").read_bytes()
    assert content == (tmp_path / "b.nii.gz").read_bytes()
    assert content[4:8] == bytes(4)  # no time
    assert gzip.decompress(content) == igzip.decompress(content)
    assert len(gzip.decompress(content)) == 352 + labels.array.size
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.nii.gz", "b.nii.gz"]


@pytest.mark.parametrize("name", ["a.txt", "a.nii.bz2", "a", "nii", "a.nii.gz.tmp"])
def test_other_endings_are_refused(tmp_path, name):
    check_refused(lambda path: write_labels(path, Volume(voxels(), AFFINE)), tmp_path / name)
    assert list(tmp_path.iterdir()) == []


def test_a_folder_that_cannot_be_written(tmp_path):
    (tmp_path / "file").touch()
    path = tmp_path / "file" / "a.nii.gz"
    check_refused(lambda path: write_labels(path, Volume(voxels(), AFFINE)), path)


@pytest.mark.parametrize(
    ("name", "stem"),
    [("a.nii", "a"), ("a.b.nii.gz", "a.b"), ("._a.nii.gz", None), ("a.gz", None), ("a", None)],
)
def test_stems(tmp_path, name, stem):
    assert nifti_stem(tmp_path / name) == stem


# --- files that are broken -------------------------------------------------------------------


@pytest.mark.parametrize("name", ["a.nii", "a.nii.gz"])
def test_missing_empty_and_foreign_files(tmp_path, name):
    path = tmp_path / name
    check_refused(read_volume, path, "no such file")
    path.touch()
    check_refused(read_volume, path, "an empty file")
    path.write_text("This is no image. " * 100)
    check_refused(read_volume, path)
    path.unlink()
    path.mkdir()
    check_refused(read_volume, path, "a folder")


def test_gzip_of_something_else(tmp_path):
    path = tmp_path / "a.nii.gz"
    path.write_bytes(gzip.compress(b"This is no image. " * 100))
    check_refused(read_volume, path, "no NIfTI header")


@pytest.mark.parametrize("cut", [1, 4, 100, 347, 348, 351, 352, 353, 500, -1])
def test_truncated_files(tmp_path, cut):
    path = save(tmp_path, voxels())
    path.write_bytes(path.read_bytes()[:cut])
    check_refused(read_volume, path)


@pytest.mark.parametrize("cut", [1, 5, 10, 18, 100, -200, -20, -9, -8, -5, -4, -1])
def test_truncated_gzip_files(tmp_path, cut):
    path = save(tmp_path / "a.nii.gz", voxels())
    path.write_bytes(path.read_bytes()[:cut])
    check_refused(read_volume, path, "truncated")


def test_a_gzip_file_cut_behind_the_last_voxel(tmp_path):
    """The voxels are all there, but not the checksum that vouches for them."""
    content = save(tmp_path, voxels()).read_bytes()
    stream = zlib.compressobj(wbits=31)
    start = stream.compress(content) + stream.flush(zlib.Z_SYNC_FLUSH)
    path = tmp_path / "a.nii.gz"
    path.write_bytes(start)
    check_refused(read_volume, path, "truncated")
    path.write_bytes(start + stream.flush())
    np.testing.assert_array_equal(read_volume(path).array, voxels().T)


def test_flipped_bits_in_gzip_files(tmp_path):
    path = save(tmp_path / "a.nii.gz", voxels())
    content = path.read_bytes()
    for at in [*range(20, len(content) - 12, 23), *range(-8, 0)]:
        flipped = bytearray(content)
        flipped[at] ^= 0x10
        path.write_bytes(flipped)
        check_refused(read_volume, path)


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"dim": [3, 10000, 10000, 10000, 1, 1, 1, 1]}, "at most 4294967296 voxels"),
        ({"dim": [3, 1500, 1500, 1500, 1, 1, 1, 1]}, "truncated"),
        ({"dim": [3, 7, 6, 0, 1, 1, 1, 1]}, "(7, 6, 0)"),
        ({"dim": [3, -7, 6, 5, 1, 1, 1, 1]}, "(-7, 6, 5)"),
        ({"dim": [3, -1, 1, 1, 1, 1, 1, 1]}, "header"),
        ({"dim": [0] * 8}, "3D"),
        ({"dim": [32767, 7, 6, 5, 1, 1, 1, 1]}, "header"),
        ({"sform_code": 77}, "unknown sform_code 77"),
        ({"scl_slope": np.inf}, "infinite scl_slope"),
        ({"qform_code": 1, "pixdim": [-0.99, 0.7, 0.8, 5, 0, 0, 0, 0]}, "pixdim[0] of -0.99"),
        ({"qform_code": -1}, "unknown qform_code -1"),
        ({"magic": b"n+1x"}, "an Analyze header"),
        ({"datatype": 77}, "unknown data type 77"),
        ({"datatype": 0}, "data type"),
        ({"vox_offset": 0}, "voxels at byte 0"),
        ({"vox_offset": -5}, "voxels at byte -5"),
        ({"vox_offset": 1e30}, "voxels at byte 1e+30"),
        ({"vox_offset": np.nan}, "voxels at byte nan"),
        ({"vox_offset": np.inf}, "voxels at byte inf"),
        ({"vox_offset": 2**20}, "truncated"),
        ({"scl_inter": np.nan, "scl_slope": 1}, "intercept"),
        ({"sform_code": 0, "pixdim": [1, 0, 0.8, 5, 0, 0, 0, 0]}, "(0, 0.8, 5) mm"),
        ({"sform_code": 0, "qform_code": 1, "pixdim": [1, 1, 1, 0] + [0] * 4}, "(1, 1, 0) mm"),
        ({"sform_code": 0, "pixdim": [1, np.nan, 0.8, 5, 0, 0, 0, 0]}, "finite"),
        ({"sform_code": 0, "qform_code": 1, "quatern_b": 3}, "header"),
        ({"srow_x": [0, 0, 0, 1]}, "above 0"),
        ({"srow_x": [np.nan, 0, 0, 1]}, "finite"),
        ({"srow_y": [0.2, 0.8, 0, 1]}, "orthonormal"),
    ],
)
@pytest.mark.parametrize("suffix", [".nii", ".nii.gz"])
def test_headers_that_cannot_be_right(tmp_path, fields, words, suffix):
    path = save(tmp_path / ("a" + suffix), voxels(), **fields)
    check_refused(read_volume, path, words)


@pytest.mark.skipif(not Path("/proc/self/status").is_file(), reason="needs Linux")
def test_what_a_header_claims_is_not_allocated(tmp_path):
    path = save(tmp_path, voxels(), dim=[3, 1600, 1600, 1600, 1, 1, 1, 1])
    code = (
        "import sys, pathlib; from liverseg_tf.ct.nifti import read_volume\n"
        "try: read_volume(pathlib.Path(sys.argv[1]))\n"
        "except Exception as error: print(error)\n"
        "status = pathlib.Path('/proc/self/status').read_text()\n"
        "print(status.split('VmHWM:')[1].split()[0])"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, str(path)], capture_output=True, text=True, check=True
    )
    message, kilobytes = done.stdout.splitlines()
    assert "truncated" in message or "memory" in message
    assert int(kilobytes) < 250e3  # imports included; 8 GB are claimed


@pytest.mark.parametrize("shape", [(7, 6, 5, 2), (7, 6, 5, 1, 2), (7, 6), (7,)])
def test_other_dimensions(tmp_path, shape):
    path = save(tmp_path, np.zeros(shape, np.int16))
    check_refused(read_volume, path, str(shape))


def test_colours_and_complex_numbers(tmp_path):
    rgb = np.zeros(SHAPE, [("R", "u1"), ("G", "u1"), ("B", "u1")])
    check_refused(read_volume, save(tmp_path, rgb), "colour or complex")
    check_refused(read_volume, save(tmp_path, voxels(np.complex64)), "colour or complex")


@given(st.binary(min_size=1, max_size=8), st.integers(0, 351), st.booleans())
@example(b"\xff\xff", 40, False)
@example(b"\x01\xff\xff\xff\xff", 348, False)
@settings(max_examples=150, deadline=None, suppress_health_check=list(HealthCheck))
def test_any_damage_to_a_header_is_read_or_told(tmp_path, damage, at, compressed):
    content = bytearray((save(tmp_path / "whole.nii", voxels())).read_bytes())
    content[at : at + len(damage)] = damage
    path = tmp_path / ("a.nii.gz" if compressed else "a.nii")
    path.write_bytes(gzip.compress(content, 1) if compressed else content)
    try:
        outcome = read_volume(path).array.ndim
    except LiverSegError as error:
        outcome = str(error)
    assert outcome == 3 or (path.name in outcome and "\n" not in outcome)


@pytest.mark.parametrize(("unit", "factor"), [(0, 1), (1, 1e-3), (2, 1), (3, 1e3), (8 + 3, 1e3)])
def test_units_of_length(tmp_path, unit, factor):
    scaled = AFFINE.copy()
    scaled[:3] *= factor
    path = save(tmp_path, voxels(), scaled, xyzt_units=unit)
    volume = read_volume(path)
    np.testing.assert_allclose(volume.affine, AFFINE, rtol=1e-6)
    assert read_image_size(path)[2] == pytest.approx((0.7, 0.8, 5))
    write_labels(tmp_path / "mask.nii", volume.with_array(np.zeros(SHAPE[::-1], np.uint8)))
    check_same_grid_on_disk(path, tmp_path / "mask.nii")


def test_units_that_do_not_exist(tmp_path):
    check_refused(read_volume, save(tmp_path, voxels(), xyzt_units=5), "xyzt_units", "Received 5")


@pytest.mark.parametrize("factor", [1e-3, 1e3])
def test_spacings_that_are_not_in_millimetres(tmp_path, factor):
    path = save(tmp_path, voxels(), AFFINE * [[factor], [factor], [factor], [1]])
    check_refused(read_volume, path, "0.01 to 100 mm", "not in mm")
    assert read_volume(path, any_spacing=True).spacing_mm == pytest.approx(
        (5 * factor, 0.8 * factor, 0.7 * factor)
    )


def test_sform_and_qform_that_disagree(tmp_path):
    """ITK takes the spacing from pixdim and nibabel from the sform: 33 % of the volume apart."""
    thick = np.diag([0.7, 0.8, 6.67, 1])
    image = nib.Nifti1Image(voxels(), thick)
    image.set_qform(np.diag([0.7, 0.8, 5, 1]), 1)
    image.set_sform(thick, 1)
    path = tmp_path / "a.nii.gz"
    nib.save(image, path)
    check_refused(read_volume, path, "0.7 x 0.8 x 6.67 and 0.7 x 0.8 x 5", "--use-qform")
    assert read_volume(path, form="sform").spacing_mm[0] == pytest.approx(6.67)
    volume = read_volume(path, form="qform")
    assert volume.spacing_mm[0] == pytest.approx(5)
    write_labels(tmp_path / "mask.nii", volume.with_array(np.zeros(SHAPE[::-1], np.uint8)))
    check_same_grid_on_disk(path, tmp_path / "mask.nii")


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"pixdim": [1, 0.7, 0.8, 4, 0, 0, 0, 0]}, "sform and a pixdim"),
        ({"qform_code": 1, "quatern_b": 2}, "a qform that is not possible"),
        ({"qform_code": 1, "quatern_b": 0.7}, "sform and a qform"),
        ({"qform_code": 1, "quatern_b": np.nan}, "sform and a qform"),
        ({"qform_code": 1, "qoffset_x": np.inf}, "sform and a qform"),
    ],
)
def test_an_sform_that_something_contradicts(tmp_path, fields, words):
    path = save(tmp_path, voxels(), **fields)
    check_refused(read_volume, path, words, "--use-sform")
    np.testing.assert_allclose(read_volume(path, form="sform").affine, AFFINE, rtol=1e-6)


def test_forms_that_differ_by_rounding_agree(tmp_path):
    affine = nib.affines.from_matvec(
        Rotation.from_euler("xyz", [3, 5, 7], degrees=True).as_matrix() * [0.7, 0.8, 5], (1, 2, 3)
    )
    image = nib.Nifti1Image(np.zeros((512, 512, 3), np.int16), affine)
    image.set_qform(affine, 1)
    image.set_sform(np.round(affine, 4), 1)
    nib.save(image, tmp_path / "a.nii.gz")
    assert read_volume(tmp_path / "a.nii.gz").spacing_mm[2] == pytest.approx(0.7, 1e-3)


@pytest.mark.parametrize("shape", [(7, 6, 5, 1), (7, 6, 5, 1, 1)])
def test_axes_of_one_element_say_nothing(tmp_path, shape):
    path = save(tmp_path, voxels().reshape(shape))
    np.testing.assert_array_equal(read_volume(path).array, voxels().T)
    labels = save(tmp_path, voxels(np.uint8, 0, 3).reshape(shape))
    np.testing.assert_array_equal(read_labels(labels).array, voxels(np.uint8, 0, 3).T)


def test_a_fourth_axis_without_elements(tmp_path):
    path = save(tmp_path, voxels(), dim=[4, 7, 6, 5, 0, 1, 1, 1])
    for channel in (None, 0):
        check_refused(
            lambda path, channel=channel: read_volume(path, channel), path, "(7, 6, 5, 0)."
        )


def test_slices_along_the_fourth_axis(tmp_path):
    path = save(tmp_path, np.zeros((7, 6, 1, 5), np.int16))
    check_refused(read_volume, path, "(7, 6, 1, 5)", "along the fourth axis")


@pytest.mark.parametrize("suffix", [".nii", ".nii.gz"])
def test_files_that_hold_more_than_their_header_says(tmp_path, suffix):
    content = save(tmp_path, voxels()).read_bytes()
    path = tmp_path / f"a{suffix}"
    write = gzip.compress if suffix.endswith(".gz") else bytes
    path.write_bytes(write(content + b"\0" * 5))
    assert read_volume(path).warnings == ("5 bytes after the last voxel ignored",)
    path.write_bytes(write(content + b"\0" * 60))
    check_refused(read_volume, path, "bytes more")
    path.write_bytes(write(content))
    assert read_volume(path).warnings == ()


def test_every_volume_of_a_4d_file_must_be_there(tmp_path):
    path = save(tmp_path, np.zeros((7, 6, 5, 2), np.int16))
    path.write_bytes(path.read_bytes()[:-1])
    check_refused(lambda path: read_volume(path, 0), path, "truncated")


def test_bits_per_voxel_that_contradict_the_data_type(tmp_path):
    check_refused(read_volume, save(tmp_path, voxels(), bitpix=32), "32 bits", "16 bits")


def test_a_nifti_2_file_whose_line_ends_were_changed(tmp_path):
    path = tmp_path / "a.nii"
    nib.save(nib.Nifti2Image(voxels(), AFFINE), path)
    np.testing.assert_array_equal(read_volume(path).array, voxels().T)
    content = path.read_bytes()
    path.write_bytes(content[:8] + content[8:12].replace(b"\r", b"\n") + content[12:])
    check_refused(read_volume, path, "line ends")
    path.write_bytes(content[:4] + b"x+2\0" + content[8:])
    check_refused(read_volume, path, "unknown format")


def test_values_beyond_float32_are_infinite(tmp_path):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        array = read_volume(save(tmp_path, np.full(SHAPE, 1e300))).array
    assert np.isinf(array).all()


def test_gzip_with_other_bytes_behind_it(tmp_path):
    path = save(tmp_path / "a.nii.gz", voxels())
    content = path.read_bytes()
    for more in (b"x", b"xxxx", b"x" * 100):
        path.write_bytes(content + more)
        check_refused(read_volume, path, "after the end of the compressed data")
    path.write_bytes(content + bytes(20))  # tape archives and some tools add zeros
    np.testing.assert_array_equal(read_volume(path).array, voxels().T)


def test_files_of_another_kind_than_their_name(tmp_path):
    compressed = save(tmp_path / "a.nii.gz", voxels())
    compressed.rename(tmp_path / "b.nii")
    check_refused(read_volume, tmp_path / "b.nii", "rename it to .nii.gz")
    nib.save(nib.Nifti1Pair(voxels(), AFFINE), tmp_path / "c.hdr")
    for name in ("c.hdr", "c.img"):
        check_refused(read_volume, tmp_path / name, "a pair of .hdr and .img")
    (tmp_path / "c.hdr").rename(tmp_path / "d.nii")
    check_refused(read_volume, tmp_path / "d.nii", "a pair of .hdr and .img")


@pytest.mark.parametrize("name", ["a" * 300 + ".nii", "a\0.nii", "pipe.nii.gz", "device.nii"])
def test_names_that_cannot_be_read(tmp_path, name):
    if name.startswith("pipe"):
        os.mkfifo(tmp_path / name)
    elif name.startswith("device"):
        (tmp_path / name).symlink_to("/dev/zero")
    check_refused(read_volume, tmp_path / name)
    check_refused(read_image_size, tmp_path / name)


@pytest.mark.parametrize("name", ["a.nii", "a.nii.gz"])
def test_the_size_is_read_without_the_voxels(tmp_path, name):
    path = save(tmp_path / name, voxels(np.float64), AFFINE)
    assert read_image_size(path) == (SHAPE, np.dtype(float), pytest.approx((0.7, 0.8, 5)))
    path.write_bytes(path.read_bytes()[:90])
    check_refused(read_image_size, path)


def test_copies_made_while_reading_count_as_memory(tmp_path, monkeypatch):
    path = save(tmp_path, voxels(np.float64))
    size = 7 * 6 * 5 * (8 + 4)  # the file's numbers and their float32
    monkeypatch.setattr(size_limit, "memory_bytes", lambda: 2 * size)
    read_volume(path)
    monkeypatch.setattr(size_limit, "memory_bytes", lambda: 2 * size - 1)
    check_refused(read_volume, path, "half of the memory")


# --- label maps ------------------------------------------------------------------------------


def labelled(dtype, *values):
    array = np.zeros(SHAPE, dtype)
    array.flat[: len(values)] = values
    return array


@pytest.mark.parametrize("dtype", [np.uint8, np.int16, np.uint16, np.int32, np.float32, np.float64])
def test_labels_of_any_dtype(tmp_path, dtype):
    labels = read_labels(save(tmp_path, labelled(dtype, 1, 2, 255)))
    assert labels.array.dtype == np.uint8
    assert labels.array.flat[0] == 1
    np.testing.assert_array_equal(labels.array, labelled(np.uint8, 1, 2, 255).T)


def test_labels_that_are_nearly_whole(tmp_path):
    labels = read_labels(save(tmp_path, labelled(np.float32, 0.99999, 2.005, -0.001)))
    np.testing.assert_array_equal(labels.array, labelled(np.uint8, 1, 2).T)


@pytest.mark.parametrize(
    ("array", "words"),
    [
        (labelled(np.float32, 1, 0.5, 0.5), ("0.5 and 1 more", "mask?")),
        (labelled(np.float32, 1, np.nan), ("nan and 0 more",)),
        (labelled(np.float32, 1, np.inf), ("inf",)),
        (labelled(np.int16, -1), ("from -1 to 0",)),
        (labelled(np.int16, 1, 256), ("from 0 to 256",)),
        (labelled(np.float32, 300), ("from 0 to 300",)),
        (voxels(), ("0 to 255", "an image instead of a mask?")),
    ],
)
def test_label_maps_that_are_none(tmp_path, array, words):
    check_refused(read_labels, save(tmp_path, array), *words)


def test_labels_as_an_image(tmp_path):
    path = save(tmp_path, labelled(np.uint8, 1, 2))
    assert read_volume(path).array.dtype == np.uint8


@pytest.mark.parametrize("ending", [".nii", ".nii.gz"])
def test_a_channel_of_a_4d_file(tmp_path, ending):
    rng = np.random.default_rng(0)
    values = rng.integers(0, 900, (5, 4, 3, 2)).astype(np.int16)
    affine = nib.affines.from_matvec(np.diag([0.6, 0.6, 3.6]), (1, 2, 3))
    path = tmp_path / f"prostate{ending}"
    nib.save(nib.Nifti1Image(values, affine), path)
    for channel in (0, 1):
        volume = read_volume(path, channel)
        np.testing.assert_array_equal(volume.array, values[..., channel].T)
        np.testing.assert_allclose(volume.affine, affine)
    mask = volume.with_array(np.ones(volume.array.shape, np.uint8))
    write_labels(tmp_path / "mask.nii.gz", mask)
    written = nib.load(tmp_path / "mask.nii.gz")
    assert written.shape == (5, 4, 3)
    np.testing.assert_array_equal(written.affine, nib.load(path).affine)
    with pytest.raises(LiverSegError, match=r"channel from 0 to 1 .* Received 2"):
        read_volume(path, 2)
    with pytest.raises(LiverSegError, match="--channel 0"):
        read_volume(path)


def test_channel_0_of_a_3d_file_is_the_file(tmp_path, make_volumes):
    image, _ = make_volumes()
    write_volume(tmp_path / "a.nii", image)
    np.testing.assert_array_equal(read_volume(tmp_path / "a.nii", 0).array, image.array)
    with pytest.raises(LiverSegError, match=r"channel from 0 to 0 .* Received 1"):
        read_volume(tmp_path / "a.nii", 1)
