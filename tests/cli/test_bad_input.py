"""A data set with many broken or malicious files: each fails alone, with one clear line."""

import gzip
import os
import re
import shutil
import subprocess
import sys

import nibabel as nib
import numpy as np
import pytest
from click.testing import CliRunner

from liverseg_tf.cli.main import liverseg
from liverseg_tf.ct.nifti import write_volume
from liverseg_tf.ct.volume import Volume
from liverseg_tf.partials import PARTIAL
from liverseg_tf.tiles.case_tiles import checksum
from liverseg_tf.tiles.store import TileStore

GOOD = ("good_1", "good 2 with spaces", "Fälle-肝臓", "z.last")
MEMORY_BYTES = 400e6  # peak of the largest process, imports included
SHAPE = (24, 20, 6)  # (i, j, k)
AFFINE = np.diag([-0.8, -0.8, 5.0, 1.0])


class Files:
    """The image and mask files of a case, which tests damage."""

    def __init__(self, folder, name, volumes):
        self.image = folder / f"images/{name}.nii.gz"
        self.mask = folder / f"masks/{name}.nii.gz"
        for path, volume in zip((self.image, self.mask), volumes, strict=True):
            write_volume(path, volume)
        self.write_series = None

    def save(self, path, array, affine=AFFINE, **fields):
        image = nib.Nifti1Image(array, affine)
        for field, value in {"vox_offset": 352, **fields}.items():
            image.header[field] = value
        if path.exists():
            path.unlink()
        path.write_bytes(gzip.compress(_raw(image), 1))


def _raw(image):
    """The bytes of an uncompressed file, with its header unchanged: nibabel would correct it."""
    content = image.header.binaryblock + b"\0" * 4
    return content + np.asarray(image.dataobj).tobytes(order="F")


def voxels(dtype=np.int16, shape=SHAPE):
    return np.random.default_rng(0).integers(0, 100, shape).astype(dtype)


def replaced(path, make):
    path.unlink()
    make(path)


def series(files, edit, count=6):
    """Replace the image by a folder of DICOM files."""
    files.image.unlink()
    folder = files.image.with_name(files.image.name.removesuffix(".nii.gz"))
    array = voxels(shape=(count, 20, 24))
    files.write_series(folder, Volume(array, AFFINE), edit)


def no_pixels(dataset, z):
    if z == 2:
        del dataset.PixelData


def two_patients(dataset, z):
    dataset.PatientID = "A" if z < 3 else "B"


def gap(dataset, z):
    if z > 3:
        place = [float(mm) for mm in dataset.ImagePositionPatient]
        dataset.ImagePositionPatient = [*place[:2], place[2] + 5.0]


def claims(*dim):
    return lambda f: f.save(f.image, voxels(), dim=[len(dim), *dim, *[1] * (7 - len(dim))])


def affine_of(fill):
    affine = AFFINE.copy()
    affine[0, 0] = fill
    return affine


def with_srow(rows):
    def breaks(f):
        image = nib.Nifti1Image(voxels(), AFFINE)
        image.set_sform(AFFINE, code=1)
        image.header["vox_offset"] = 352
        for row, values in rows.items():
            image.header[row] = values
        f.image.write_bytes(gzip.compress(_raw(image), 1))

    return breaks


def spoiled(value):
    array = voxels(np.float32)
    array[3, 3, 3] = value
    return lambda f: f.save(f.image, array)


def truncated(path, size):
    path.write_bytes(path.read_bytes()[:size])


def flipped(path):
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 0x10
    path.write_bytes(content)


BAD = {  # name of the case: how its files are damaged, and a pattern of its error message
    "truncated gz": (lambda f: truncated(f.image, -40), "truncated"),
    "only a gz header": (lambda f: truncated(f.image, 10), "truncated|Received"),
    "corrupt gz": (lambda f: flipped(f.image), "Received"),
    "zero bytes": (lambda f: truncated(f.image, 0), "empty file|truncated"),
    "no gz at all": (lambda f: f.image.write_bytes(b"no image" * 500), "Received"),
    "gz of something else": (lambda f: f.image.write_bytes(gzip.compress(b"x" * 999)), "no NIfTI"),
    "a picture": (lambda f: f.image.write_bytes(b"\x89PNG\r\n\x1a\n" + b"0" * 900), "Received"),
    "10^12 voxels": (claims(10000, 10000, 10000), "at most 4294967296 voxels"),
    "more than the file has": (claims(2000, 2000, 500), "truncated"),
    "a bomb": (lambda f: bomb(f.image), "half of the memory|truncated"),
    "dim 0": (claims(24, 0, 6), "Received"),
    "dim below 0": (claims(24, -20, 6), "Received"),
    "2D": (lambda f: f.save(f.image, voxels(shape=(24, 20))), "3D"),
    "4D": (lambda f: f.save(f.image, voxels(shape=(24, 20, 6, 2))), "3D|volumes|channel"),
    "colour": (
        lambda f: f.save(f.image, np.zeros(SHAPE, [("R", "u1"), ("G", "u1"), ("B", "u1")])),
        "colour",
    ),
    "complex": (lambda f: f.save(f.image, voxels(np.complex64)), "complex"),
    "unknown type": (lambda f: f.save(f.image, voxels(), datatype=77), "data type|header"),
    "voxels nowhere": (lambda f: f.save(f.image, voxels(), vox_offset=-7), "header"),
    "NaN voxels": (spoiled(np.nan), "finite"),
    "infinite voxels": (spoiled(np.inf), "finite"),
    "spacing 0": (
        lambda f: f.save(
            f.image, voxels(), pixdim=[1, 0, 1, 1, 1, 1, 1, 1], sform_code=0, qform_code=1
        ),
        "spacing",
    ),
    "singular affine": (with_srow({"srow_x": [0, 0, 0, 0]}), "affine|spacing"),
    "NaN affine": (with_srow({"srow_y": [0, np.nan, 0, 0]}), "affine"),
    "sheared affine": (with_srow({"srow_x": [-0.8, 0.3, 0, 0]}), "orthonormal"),
    "a folder": (lambda f: replaced(f.image, lambda path: path.mkdir()), "Received"),
    "a link loop": (lambda f: replaced(f.image, lambda path: path.symlink_to(path)), "Received"),
    "a dangling link": (
        lambda f: replaced(f.image, lambda path: path.symlink_to("nowhere")),
        "No such file",
    ),
    "a pipe": (lambda f: replaced(f.image, os.mkfifo), "regular file"),
    "no mask": (lambda f: f.mask.unlink(), "mask"),
    "no image": (lambda f: f.image.unlink(), "No such file"),
    "mask of another shape": (lambda f: f.save(f.mask, voxels(np.uint8, (24, 20, 5))), "one grid"),
    "mask of another place": (
        lambda f: f.save(f.mask, np.zeros(SHAPE, np.uint8), affine_of(-0.9)),
        "one grid",
    ),
    "labels as fractions": (lambda f: f.save(f.mask, voxels(np.float32) / 3), "whole numbers"),
    "labels as text": (lambda f: f.mask.write_text("0 1 2\n" * 99), "Received"),
    "labels below 0": (lambda f: f.save(f.mask, voxels() - 50), "0 to 255"),
    "labels above 255": (lambda f: f.save(f.mask, voxels() * 9), "0 to 255"),
    "NaN labels": (lambda f: f.save(f.mask, voxels(np.float32) * np.nan), "whole numbers"),
    "DICOM without pixels": (lambda f: series(f, no_pixels), "pixel data"),
    "DICOM of two patients": (lambda f: series(f, two_patients), "patient"),
    "DICOM with a gap": (lambda f: series(f, gap), "equal distances"),
}


def bomb(path):
    """Write a few kilobytes that decompress to zeros: 32 GB of them according to the header."""
    header = nib.Nifti1Header()
    header.set_data_shape((2000, 2000, 1000))
    header.set_data_dtype(np.float64)
    header["vox_offset"] = 352
    header["magic"] = b"n+1"
    zeros = gzip.compress(b"\0" * 2**20)
    path.write_bytes(gzip.compress(header.binaryblock + b"\0" * 4) + zeros * 40)


@pytest.fixture(scope="module")
def done(tmp_path_factory, make_volumes, write_series):
    """One run of `liverseg preprocess` over all cases."""
    folder = tmp_path_factory.mktemp("bad")
    for seed, name in enumerate((*GOOD, *BAD)):
        files = Files(folder / "data", name, make_volumes(seed))
        files.write_series = write_series
        if name in BAD:
            BAD[name][0](files)
    command = [sys.executable, "-c", "from liverseg_tf.cli.main import liverseg; liverseg()"]
    command += ["preprocess", folder / "data", folder / "store", "--tile", 32, "--workers", 2]
    # run by a small process: on Linux, a child inherits the peak of the process that forked it
    between = (
        "import resource, subprocess, sys; code = subprocess.run(sys.argv[1:]).returncode\n"
        "print(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss); sys.exit(code)"
    )
    result = subprocess.run(
        [sys.executable, "-c", between, *map(str, command)],
        capture_output=True, text=True, timeout=300, check=False,
    )  # fmt: skip
    result.store = folder / "store"
    result.peak_bytes = int(result.stdout.splitlines()[-1]) * 1024
    yield result
    shutil.rmtree(folder)


@pytest.mark.parametrize("name", BAD)
def test_a_bad_case_gives_one_clear_line(done, name):
    lines = [line for line in done.stderr.splitlines() if f"(case {name})" in line]
    assert len(lines) == 1, (name, lines)
    assert lines[0].startswith("Error: ")
    assert "Expected" in lines[0]
    assert "Unexpected" not in lines[0]
    assert re.search(BAD[name][1], lines[0]), lines[0]


def test_the_other_cases_are_written_and_no_partial_files_remain(done):
    assert done.returncode == 1
    assert "Traceback" not in done.stderr
    errors = [line for line in done.stderr.splitlines() if line.startswith("Error:")]
    assert len(errors) == len(BAD) >= 30
    assert f"{len(GOOD)} cases cut, 0 kept, {len(BAD)} failed" in done.stdout
    store = TileStore.open(done.store)
    assert sorted(store.cases) == sorted(GOOD)
    for name in GOOD:
        tiles = store.read(name)
        assert checksum(np.asarray(tiles.image), np.asarray(tiles.mask)) == tiles.record["checksum"]
    written = {path.name for path in (done.store / "cases").iterdir()}
    assert written == {f"{name}.h5" for name in GOOD}
    assert not list(done.store.rglob(f"{PARTIAL}*"))


def test_memory_is_bounded(done):
    assert done.peak_bytes < MEMORY_BYTES


def test_two_cases_with_the_same_name(tmp_path, make_dataset):
    data, store = make_dataset(tmp_path / "data"), tmp_path / "store"

    def run(*arguments):
        done = CliRunner().invoke(liverseg, [*map(str, arguments)])
        return done, [line for line in done.output.splitlines() if "one file per case" in line]

    assert run("preprocess", data, store)[0].exit_code == 0
    shutil.copy(data / "images/case_1.nii.gz", data / "images/case_1.nii")
    done, (line,) = run("preprocess", data, store)
    assert done.exit_code == 1
    assert line.startswith("Error:")
    assert "case_1.nii.gz" in line
    assert "0 cases cut, 2 kept, 1 failed" in done.output
    assert len(TileStore.open(store).cases) == 2
    done, (line,) = run("check", data)
    assert done.exit_code == 1
    assert line.startswith("error: case_1: ")


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() == 0, reason="root reads it all")
def test_a_file_without_read_permission(tmp_path, make_dataset):
    data = make_dataset(tmp_path / "data")
    (data / "images/case_1.nii.gz").chmod(0)
    done = CliRunner().invoke(liverseg, ["preprocess", str(data), str(tmp_path / "store")])
    assert done.exit_code == 1
    assert "Permission denied" in done.output
    assert len(TileStore.open(tmp_path / "store").cases) == 2


def test_a_full_disk(tmp_path, small_disk, make_dataset):
    data = make_dataset(tmp_path / "data", count=6)  # 0.8 MB each as tiles
    done = CliRunner().invoke(liverseg, ["preprocess", str(data), str(small_disk / "store")])
    assert done.exit_code == 1, done.output
    errors = [line for line in done.output.splitlines() if line.startswith("Error:")]
    assert errors
    for line in errors:
        assert "No space left on device" in line
    store = TileStore.open(small_disk / "store")
    assert len(store.cases) == 6 - len(errors) > 0
    for name in store.cases:
        store.read(name)
    assert not list(small_disk.rglob(f"{PARTIAL}*"))
