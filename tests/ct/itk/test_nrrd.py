"""NRRD files, written by hand and compared with pynrrd."""

import bz2
import gzip
import os

import numpy as np
import pytest
from reading import check_refused

from liverseg_tf.ct.images import read_image, source_files
from liverseg_tf.errors import LiverSegError

SHAPE = (5, 6, 7)
VOXELS = np.random.default_rng(0).integers(-1000, 1000, SHAPE[::-1]).astype("<i2")
RAW = VOXELS.tobytes()
AFFINE = np.array([[-0.7, 0, 0, -10], [0, -0.8, 0, -20], [0, 0, 2, 30], [0, 0, 0, 1]])
FIELDS = {
    "type": "short",
    "dimension": "3",
    "space": "left-posterior-superior",
    "sizes": "5 6 7",
    "space directions": "(0.7,0,0) (0,0.8,0) (0,0,2)",
    "space origin": "(10,20,30)",
    "endian": "little",
    "encoding": "raw",
}


def write(path, content=RAW, **fields):
    """Write a file; a field of None is left out."""
    fields = FIELDS | {key.replace("_", " "): value for key, value in fields.items()}
    lines = [f"{key}: {value}\n" for key, value in fields.items() if value is not None]
    path.write_bytes(("NRRD0005\n# a comment\n" + "".join(lines)).encode() + b"\n" + content)
    return path


def check_read(path, affine=AFFINE, array=VOXELS):
    volume = read_image(path)
    np.testing.assert_array_equal(volume.array, array)
    np.testing.assert_allclose(volume.affine, affine, rtol=1e-9)
    return volume


def test_the_reference_file(tmp_path):
    volume = check_read(write(tmp_path / "a.nrrd"))
    assert (volume.modality, volume.lacks_orientation, volume.warnings) == ("", False, ())


@pytest.mark.parametrize("kind", ["i1", "u1", "i2", "u2", "i4", "u4", "i8", "u8", "f4", "f8"])
@pytest.mark.parametrize("encoding", ["raw", "gzip", "bzip2", "text"])
def test_files_that_pynrrd_wrote(tmp_path, kind, encoding):
    nrrd = pytest.importorskip("nrrd")
    array = (np.arange(210).reshape(SHAPE[::-1]) % 100).astype(kind)
    header = {
        "space": "right-anterior-superior",
        "space directions": np.diag([0.7, 0.8, 2]),
        "space origin": [10, 20, 30],
        "encoding": encoding,
    }
    path = tmp_path / "a.nrrd"
    nrrd.write(str(path), array, header, index_order="C")
    affine = np.array([[0.7, 0, 0, 10], [0, 0.8, 0, 20], [0, 0, 2, 30], [0, 0, 0, 1]])
    check_read(path, affine, array)


def test_encodings(tmp_path):
    raw = VOXELS.tobytes()
    for encoding, content in (
        ("gz", gzip.compress(raw)),
        ("GZIP", gzip.compress(raw[:200]) + gzip.compress(raw[200:])),
        ("bz2", bz2.compress(raw)),
        ("ascii", " ".join(map(str, VOXELS.ravel())).encode()),
        ("raw", raw),
    ):
        check_read(write(tmp_path / "a.nrrd", content, encoding=encoding))
    check_read(
        write(tmp_path / "a.nrrd", gzip.compress(b"x" * 9 + raw), encoding="gz", byte_skip=9)
    )
    check_refused(write(tmp_path / "a.nrrd", encoding="hex"), "hex")


@pytest.mark.parametrize("encoding", ["gzip", "bzip2"])
def test_damaged_compressed_data(tmp_path, encoding):
    pack = gzip.compress if encoding == "gzip" else bz2.compress
    content = pack(VOXELS.tobytes())
    path = tmp_path / "a.nrrd"
    for at in (0, 40, len(content) // 2, -6, -1):
        flipped = bytearray(content)
        flipped[at] ^= 0xFF
        check_refused(write(path, bytes(flipped), encoding=encoding))
    check_refused(write(path, content[:-1], encoding=encoding), "truncated")
    check_refused(write(path, content + b"more", encoding=encoding), "after the end")
    check_refused(write(path, pack(VOXELS[1:].tobytes()), encoding=encoding), "truncated")
    check_refused(write(path, pack(b"\0" * 10**8), encoding=encoding), "bytes more")


@pytest.mark.parametrize(
    ("space", "signs"),
    [
        ("left-posterior-superior", (-1, -1, 1)),
        ("LPS", (-1, -1, 1)),
        ("right-anterior-superior", (1, 1, 1)),
        ("RAS", (1, 1, 1)),
        ("left-anterior-superior", (-1, 1, 1)),
        ("Left-Anterior-Superior", (-1, 1, 1)),
        ("LAS", (-1, 1, 1)),
        ("right-posterior-superior", (1, -1, 1)),
        ("left-posterior-inferior", (-1, -1, -1)),
        ("left-anterior-superior-time", (-1, 1, 1)),
    ],
)
def test_spaces(tmp_path, space, signs):
    """Some versions of ITK mirror left-handed spaces."""
    volume = read_image(write(tmp_path / "a.nrrd", space=space))
    np.testing.assert_allclose(
        volume.affine[:3], np.diag(signs) @ [[0.7, 0, 0, 10], [0, 0.8, 0, 20], [0, 0, 2, 30]]
    )
    assert not volume.lacks_orientation


@pytest.mark.parametrize(
    "fields",
    [
        {"space": "3D-left-handed"},
        {"space": "scanner-xyz"},
        {"space": None, "space_dimension": "3"},
        {"space": None, "space_directions": None, "space_origin": None, "spacings": "0.7 0.8 2"},
        {"space_directions": None, "spacings": "0.7 0.8 2"},
    ],
)
def test_spaces_that_do_not_name_directions(tmp_path, fields):
    volume = read_image(write(tmp_path / "a.nrrd", **fields))
    assert volume.lacks_orientation
    assert volume.spacing_mm == pytest.approx((2, 0.8, 0.7))


@pytest.mark.parametrize(
    ("unit", "factor"), [("cm", 10), ("microns", 1e-3), ("\u00b5m", 1e-3), ("m", 1e3), ("", 1)]
)
def test_units(tmp_path, unit, factor):
    scaled = (np.diag([0.7, 0.8, 2]) / factor).tolist()
    directions = " ".join(f"({a!r},{b!r},{c!r})" for a, b, c in scaled)
    origin = ",".join(repr(value / factor) for value in (10, 20, 30))
    units = " ".join([f'"{unit}"'] * 3)
    fields = {"space_directions": directions, "space_origin": f"({origin})"}
    check_read(write(tmp_path / "a.nrrd", **fields, space_units=units))
    if unit:
        check_refused(write(tmp_path / "a.nrrd", **fields, units=units), "no space units")
    spacings = " ".join(repr(scaled[axis][axis]) for axis in range(3))
    fields = {"space_directions": None, "space_origin": None, "space": None}
    path = write(tmp_path / "a.nrrd", **fields, spacings=spacings, units=units)
    assert read_image(path).spacing_mm == pytest.approx((2, 0.8, 0.7))


def test_a_fourth_axis_of_one_element(tmp_path):
    path = tmp_path / "a.nrrd"
    for sizes, directions in (
        ("5 6 7 1", "(0.7,0,0) (0,0.8,0) (0,0,2) none"),
        ("1 5 6 7", "none (0.7,0,0) (0,0.8,0) (0,0,2)"),
    ):
        check_read(write(path, dimension="4", sizes=sizes, space_directions=directions))
    directions = "none (0.7,0,0) (0,0.8,0) (0,0,2)"
    check_refused(write(path, dimension="4", sizes="3 5 6 7", space_directions=directions), "3D")


def test_voxels_in_other_files(tmp_path):
    (tmp_path / "a.raw").write_bytes(b"1234" + VOXELS.tobytes())
    for skip in (4, -1):
        check_read(write(tmp_path / "a.nhdr", b"", byte_skip=skip, data_file="a.raw"))
    assert len(source_files(tmp_path / "a.nhdr")) == 2
    for index in range(7):
        (tmp_path / f"{index}.raw").write_bytes(VOXELS[index].tobytes())
    names = [f"{index}.raw" for index in range(7)]

    def listed(names):
        header = write(tmp_path / "b.nhdr", b"", data_file="LIST").read_bytes().rstrip(b"\n")
        (tmp_path / "b.nhdr").write_bytes(header + b"\n" + "\n".join(names).encode())
        return tmp_path / "b.nhdr"

    check_read(listed(names))
    check_refused(listed(names[:6]), "6 files for 7 slices")
    for name in ("../a.raw", "/etc/passwd", "%03d.raw 0 6 1", "%n"):
        check_refused(write(tmp_path / "c.nhdr", b"", data_file=name))
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(LiverSegError, match="a pipe"):
        read_image(write(tmp_path / "c.nhdr", b"", data_file="pipe"))


def test_the_modality(tmp_path):
    path = write(tmp_path / "a.nrrd")
    content = path.read_bytes()
    for value, modality in (("CT", "CT"), ("MR", "MR"), ("DWMRI", "MR"), ("x", "")):
        path.write_bytes(content.replace(b"# a comment", b"modality:=" + value.encode()))
        assert read_image(path).modality == modality


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"space_directions": "(0.7,0,0) (0,0.8,0) none"}, "without spacing or direction"),
        ({"space_directions": None}, "without spacings"),
        ({"space_directions": None, "spacings": "0.7 0.8 nan"}, "without spacing or direction"),
        ({"space_directions": None, "spacings": "0.7 0.8 0"}, "above 0"),
        ({"space_directions": None, "spacings": "0.7 0.8"}, "3 numbers"),
        ({"space_directions": "(0.7,0,0) (0,nan,0) (0,0,2)"}, "finite"),
        ({"space_directions": "(0.7,0,0) (0,0,0) (0,0,2)"}, "above 0"),
        ({"space_directions": "(0.7,0,0) (0,0.8,0)"}, "2 instead of 3"),
        ({"space_directions": "(0.7,0) (0,0.8) (0,2)"}, "3 dimensions"),
        ({"space_directions": "(0.7,0,0) (0,0.8,0) (0,2)"}, "3 dimensions"),
        ({"space_origin": "(1,2)"}, "space origin"),
        ({"space_units": '"inch" "inch" "inch"'}, "inch"),
        ({"space_units": "mm mm mm"}, "quoted"),
        ({"space": "up-down-left"}, "up-down-left"),
        ({"sizes": "5 6"}, "3 numbers"),
        ({"sizes": "5 6 0"}, "shape"),
        ({"sizes": "99999 99999 99999"}, "voxels"),
        ({"dimension": "2", "sizes": "5 42", "space_directions": "(1,0,0) (0,1,0)"}, "3D"),
        ({"dimension": None}, "dimension"),
        ({"type": "block"}, "block"),
        ({"endian": None}, "byte order"),
        ({"line_skip": "2"}, "line skip"),
        ({"Sizes": "5 6 7"}, "twice"),
    ],
)
def test_headers_that_are_refused(tmp_path, fields, words):
    check_refused(write(tmp_path / "a.nrrd", **fields), words)


def test_other_files(tmp_path):
    path = tmp_path / "a.nrrd"
    for content in (b"", b"NRRD", b"\xff" * 100, b"NRRD0005\nno field\n", b"NRRD0004\n" * 3):
        path.write_bytes(content)
        check_refused(path)
    path.write_bytes(b"NRRD0005\n" + b"# \n" * 10**6)
    check_refused(path, "a header of more than")
