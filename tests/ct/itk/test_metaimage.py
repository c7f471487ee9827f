"""MetaImage files, written by hand and compared with SimpleITK."""

import os
import zlib

import numpy as np
import pytest
from reading import check_refused

from liverseg_tf.ct import size_limit
from liverseg_tf.ct.images import read_image, source_files
from liverseg_tf.ct.itk.read_itk import read_itk
from liverseg_tf.errors import LiverSegError

SHAPE = (5, 6, 7)
VOXELS = np.random.default_rng(0).integers(-1000, 1000, SHAPE[::-1]).astype("<i2")
RAW = VOXELS.tobytes()
AFFINE = np.array([[-0.7, 0, 0, -10], [0, -0.8, 0, -20], [0, 0, 2, 30], [0, 0, 0, 1]])
FIELDS = {
    "ObjectType": "Image",
    "NDims": "3",
    "BinaryData": "True",
    "BinaryDataByteOrderMSB": "False",
    "CompressedData": "False",
    "TransformMatrix": "1 0 0 0 1 0 0 0 1",
    "Offset": "10 20 30",
    "ElementSpacing": "0.7 0.8 2",
    "DimSize": "5 6 7",
    "ElementType": "MET_SHORT",
    "ElementDataFile": "LOCAL",
}


def write(path, content=RAW, **fields):
    """Write a file; a field of None is left out, and ElementDataFile stays the last one."""
    fields = FIELDS | fields
    fields["ElementDataFile"] = fields.pop("ElementDataFile")
    lines = [f"{key} = {value}\n" for key, value in fields.items() if value is not None]
    path.write_bytes("".join(lines).encode() + content)
    return path


def compressed(path, content=None, **fields):
    content = zlib.compress(VOXELS.tobytes()) if content is None else content
    size = {"CompressedDataSize": str(len(content))}
    return write(path, content, CompressedData="True", **(size | fields))


def check_read(path, affine=AFFINE, array=VOXELS):
    volume = read_image(path)
    np.testing.assert_array_equal(volume.array, array)
    np.testing.assert_allclose(volume.affine, affine, rtol=1e-9)
    return volume


def test_the_reference_file(tmp_path):
    volume = check_read(write(tmp_path / "a.mha"))
    assert (volume.modality, volume.lacks_orientation, volume.warnings) == ("", False, ())
    check_read(compressed(tmp_path / "b.mha"))
    check_read(compressed(tmp_path / "c.mha", CompressedDataSize=None))


@pytest.mark.parametrize("kind", ["i1", "u1", "i2", "u2", "i4", "u4", "i8", "u8", "f4", "f8"])
@pytest.mark.parametrize("compression", [False, True])
def test_files_that_simpleitk_wrote(tmp_path, kind, compression):
    sitk = pytest.importorskip("SimpleITK")
    image = sitk.GetImageFromArray(np.arange(210).reshape(SHAPE[::-1]).astype(kind) % 100)
    image.SetSpacing((0.7, 0.8, 2))
    cosines = np.array([[0, 0.6, 0.8], [1, 0, 0], [0, 0.8, -0.6]])
    image.SetDirection(cosines.ravel().tolist())
    image.SetOrigin((10, 20, 30))
    path = tmp_path / "a.mhd"
    sitk.WriteImage(image, str(path), compression)
    affine = np.eye(4)
    affine[:3, :3], affine[:3, 3] = cosines * (0.7, 0.8, 2), (10, 20, 30)
    check_read(path, np.diag([-1, -1, 1, 1]) @ affine, sitk.GetArrayFromImage(image))


def test_the_modality(tmp_path):
    for modality in ("CT", "MR"):
        path = write(tmp_path / "a.mha", Modality=f"MET_MOD_{modality}")
        assert read_image(path).modality == modality


def test_big_endian_and_text(tmp_path):
    swapped = VOXELS.astype(">i2").tobytes()
    check_read(write(tmp_path / "a.mha", swapped, BinaryDataByteOrderMSB="True"))
    text = " ".join(map(str, VOXELS.ravel())).encode()
    check_read(write(tmp_path / "b.mha", text, BinaryData="False"))
    for wrong in (text[:-6], text + b" 7", text.replace(b" ", b" x", 1), text + b"." * 10**5):
        check_refused(write(tmp_path / "c.mha", wrong, BinaryData="False"))


def test_a_fourth_axis_of_one_element(tmp_path):
    fields = {
        "TransformMatrix": "1 0 0 0 0 1 0 0 0 0 1 0 0 0 0 1",
        "Offset": "10 20 30 0",
        "ElementSpacing": "0.7 0.8 2 1",
    }
    check_read(write(tmp_path / "a.mha", NDims="4", DimSize="5 6 7 1", **fields))
    check_refused(write(tmp_path / "b.mha", NDims="4", DimSize="5 6 1 7", **fields), "(5, 6, 1, 7)")


@pytest.mark.parametrize("at", [0, 1, 30, -300, -5, -4, -1])
def test_one_byte_of_the_compressed_data_is_flipped(tmp_path, at):
    """SimpleITK reads such files without an error; half of the voxels are wrong."""
    content = bytearray(zlib.compress(VOXELS.tobytes()))
    content[at] ^= 0xFF
    check_refused(compressed(tmp_path / "a.mha", bytes(content)))


def test_lengths_that_do_not_agree(tmp_path):
    path = tmp_path / "a.mha"
    content = zlib.compress(VOXELS.tobytes())
    check_refused(compressed(path, content[:-3], CompressedDataSize=None), "truncated")
    check_refused(compressed(path, content[:-3], CompressedDataSize=str(len(content))), "bytes")
    check_refused(compressed(path, content + b"more", CompressedDataSize=None), "after the end")
    check_refused(compressed(path, zlib.compress(VOXELS[1:].tobytes())), "truncated")
    check_refused(compressed(path, zlib.compress(VOXELS.tobytes() * 2)), "bytes more")
    check_refused(compressed(path, zlib.compress(b"\0" * 10**8)), "bytes more")
    check_refused(write(path, VOXELS.tobytes()[:-1]), "truncated")
    check_refused(write(path, VOXELS.tobytes() * 2), "bytes more")
    assert read_image(write(path, VOXELS.tobytes() + b"\n")).warnings == (
        "1 byte after the last voxel ignored",
    )


def test_one_row_less_than_the_file_has(tmp_path):
    """The other rows would be shifted from slice to slice."""
    check_refused(write(tmp_path / "a.mha", DimSize="5 5 7"), "bytes more")
    check_refused(write(tmp_path / "a.mha", DimSize="4 6 7"), "bytes more")


def test_nothing_is_written_to_the_terminal(tmp_path, capfd):
    check_refused(write(tmp_path / "a.mha", VOXELS.tobytes()[:-1]), "truncated")
    assert capfd.readouterr() == ("", "")


def slices(folder, count=7):
    for index in range(count):
        (folder / f"{index}.raw").write_bytes(VOXELS[index].tobytes())
    return "\n".join(f"{index}.raw" for index in range(count)).encode()


def test_a_list_of_files(tmp_path):
    path = write(tmp_path / "a.mhd", slices(tmp_path) + b"\n", ElementDataFile="LIST")
    check_read(path)
    assert len(source_files(path)) == 8
    (tmp_path / "3.raw").unlink()
    with pytest.raises(LiverSegError, match=r"3\.raw. Received: no such file"):
        read_image(path)


@pytest.mark.parametrize("count", [0, 1, 6])
def test_a_list_of_too_few_files(tmp_path, count):
    """SimpleITK fills the other slices with whatever the memory held."""
    path = write(tmp_path / "a.mhd", slices(tmp_path, count), ElementDataFile="LIST")
    check_refused(path, f"a list of {count} files for 7 slices")


def test_other_lists(tmp_path):
    names = slices(tmp_path)
    check_refused(write(tmp_path / "a.mhd", names, ElementDataFile="LIST 3"), "LIST 3")
    check_refused(write(tmp_path / "a.mhd", names + b"\n8.raw", ElementDataFile="LIST"), "8 files")
    again = names.replace(b"3.raw", b"2.raw")
    check_refused(write(tmp_path / "a.mhd", again, ElementDataFile="LIST"), "twice")
    (tmp_path / "3.raw").write_bytes(VOXELS[3].tobytes()[:-2])
    path = write(tmp_path / "a.mhd", names, ElementDataFile="LIST")
    with pytest.raises(LiverSegError, match=r"3\.raw.*truncated"):
        read_image(path)


@pytest.mark.parametrize(
    "name",
    ["%s%s%s%n", "slice%03d.raw 1 7 1", "../a.raw", "/etc/passwd", "b/../../a.raw", "C:\\a.raw"],
)
def test_files_that_are_not_opened(tmp_path, name):
    (tmp_path.parent / "a.raw").write_bytes(VOXELS.tobytes())
    check_refused(write(tmp_path / "a.mhd", b"", ElementDataFile=name))
    assert source_files(tmp_path / "a.mhd") == [tmp_path / "a.mhd"]


@pytest.mark.parametrize("name", ["pipe", "device", "folder", "x" * 300, "none\0"])
def test_what_is_no_regular_file(tmp_path, name):
    if name == "pipe":
        os.mkfifo(tmp_path / name)
    elif name == "device":
        (tmp_path / name).symlink_to("/dev/zero")
    elif name == "folder":
        (tmp_path / name).mkdir()
    path = write(tmp_path / "a.mhd", b"", ElementDataFile=name)
    with pytest.raises(LiverSegError, match=r"^Expected "):
        read_image(path)
    if name == "pipe":
        os.mkfifo(tmp_path / "b.mha")
        check_refused(tmp_path / "b.mha", "a pipe")


def test_voxels_in_a_subfolder_with_a_windows_name(tmp_path):
    (tmp_path / "data").mkdir()
    (tmp_path / "data/a.raw").write_bytes(b"head" + VOXELS.tobytes())
    fields = {"ElementDataFile": "data\\a.raw"}
    check_read(write(tmp_path / "a.mhd", b"", **fields, HeaderSize="-1"))
    check_read(write(tmp_path / "a.mhd", b"", **fields, HeaderSize="4"))


def test_units(tmp_path):
    for unit, spacing, offset in (
        ("um", "700 800 2000", "10000 20000 30000"),
        ("cm", "0.07 0.08 0.2", "1 2 3"),
        ("mm", "0.7 0.8 2", "10 20 30"),
    ):
        fields = {"DistanceUnits": unit, "ElementSpacing": spacing, "Offset": offset}
        check_read(write(tmp_path / "a.mha", **fields))
    check_refused(write(tmp_path / "a.mha", DistanceUnits="inch"), "inch")


def test_without_directions_the_orientation_is_not_known(tmp_path):
    path = write(tmp_path / "a.mha", TransformMatrix=None, Offset=None)
    assert read_image(path).lacks_orientation


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"ElementSpacing": None}, "without ElementSpacing"),
        ({"ElementSpacing": "0.7 0.8 nan"}, "finite"),
        ({"ElementSpacing": "0.7 0.8 0"}, "above 0"),
        ({"ElementSpacing": "0.7 0.8 -2"}, "above 0"),
        ({"ElementSpacing": "0.7 0.8"}, "3 numbers"),
        ({"ElementSpacing": "0.0007 0.0008 0.002"}, "0.01 to 100 mm"),
        ({"DimSize": "5 6"}, "DimSize"),
        ({"DimSize": "5 6 -7"}, "3D"),
        ({"DimSize": "5 6 7.5"}, "integers"),
        ({"DimSize": "5 6 1e300"}, "integers"),
        ({"DimSize": "9999 9999 9999"}, "voxels"),
        ({"NDims": "2", "DimSize": "5 42"}, "3D"),
        ({"ElementType": "MET_SHORT_ARRAY"}, "colour"),
        ({"ElementNumberOfChannels": "3"}, "colour"),
        ({"ElementType": "MET_STRING"}, "MET_STRING"),
        ({"BinaryData": "maybe"}, "maybe"),
        ({"BinaryData": "False", "CompressedData": "True"}, "BinaryData"),
        ({"ElementByteOrderMSB": "True"}, "contradict"),
        ({"TransformMatrix": "1 0 0 0 1 0 0 1 1"}, "orthonormal"),
        ({"TransformMatrix": "1 0 0 0 1 0 0 0"}, "9 numbers"),
        ({"Position": "1 2 3"}, "both Offset and Position"),
        ({"ElementToIntensityFunctionSlope": "2"}, "ElementToIntensityFunctionSlope"),
        ({"HeaderSize": "3"}, "HeaderSize"),
    ],
)
def test_headers_that_are_refused(tmp_path, fields, words):
    check_refused(write(tmp_path / "a.mha", **fields), words)


def test_any_spacing_can_be_read_for_a_correction(tmp_path):
    path = write(tmp_path / "a.mha", ElementSpacing="0.0007 0.0008 0.002")
    assert read_itk(path, any_spacing=True).spacing_mm == pytest.approx((0.002, 0.0008, 0.0007))


def test_the_memory_for_all_copies_is_counted(tmp_path, monkeypatch):
    path = compressed(
        tmp_path / "a.mha", zlib.compress(VOXELS.astype("<f8").tobytes()), ElementType="MET_DOUBLE"
    )
    size = VOXELS.size * 12
    monkeypatch.setattr(size_limit, "memory_bytes", lambda: 2 * size)
    check_read(path)
    monkeypatch.setattr(size_limit, "memory_bytes", lambda: 2 * size - 1)
    check_refused(path, "half of the memory")
