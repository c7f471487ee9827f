import json
import os
from itertools import count, permutations

import nibabel as nib
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from liverseg_tf.ct.dicom.series import find_series
from liverseg_tf.ct.intensity import PercentileRange
from liverseg_tf.ct.nifti import read_labels, write_labels, write_volume
from liverseg_tf.ct.orientation import to_canonical
from liverseg_tf.ct.volume import Volume
from liverseg_tf.dataset.cases import Case, find_cases
from liverseg_tf.errors import LiverSegError
from liverseg_tf.tiles import case_tiles
from liverseg_tf.tiles.case_tiles import (
    checksum,
    cut_case,
    cut_tiles,
    restore_labels,
    source_fingerprint,
)
from liverseg_tf.tiles.spec import TileSpec

NATIVE = TileSpec(spacing_mm=None, tile_shape=None)
SMALL = TileSpec(spacing_mm=1.5, tile_shape=(32, 32))


def dice(one, other):
    return 2 * (one & other).sum(dtype=int) / (one.sum(dtype=int) + other.sum(dtype=int))


def check_refused(case, *words, spec=SMALL):
    with pytest.raises(LiverSegError) as caught:
        cut_case(case, spec)
    message = str(caught.value)
    assert "\n" not in message
    assert message.startswith("Expected ")
    assert message.count(f"(case {case.name})") == 1
    for word in ("Received", *words):
        assert word in message


@pytest.mark.parametrize("order", list(permutations(range(3))))
@pytest.mark.parametrize("signs", [(1, 1, 1), (-1, -1, 1), (1, -1, -1)])
def test_native_tiles_restore_any_axis_order(make_volumes, order, signs):
    affine = np.eye(4)
    affine[:3, :3] = np.eye(3)[:, list(order)] * signs * np.array([0.8, 0.9, 5.0])
    image, mask = make_volumes(1, (7, 20, 24), affine)
    tiles = cut_tiles(image, mask, NATIVE)
    back = restore_labels(tiles.mask, json.loads(json.dumps(tiles.record)))
    np.testing.assert_array_equal(back.array, mask.array)
    np.testing.assert_array_equal(back.affine, mask.affine)
    np.testing.assert_array_equal(tiles.mask, to_canonical(mask).array)
    assert back.array.flags.c_contiguous


def test_the_record(make_volumes):
    image, mask = make_volumes()
    record = json.loads(json.dumps(cut_tiles(image, mask, SMALL).record))
    assert record["shape"] == [6, 20, 24]
    assert record["spacing_mm"] == pytest.approx([5, 0.8, 0.8])
    assert record["slices"] == 6
    assert record["labels"] == {str(n): int((mask.array == n).sum()) for n in (1, 2)}
    assert record["slices_with"] == {"1": [1, 2, 3, 4], "2": [3]}
    np.testing.assert_array_equal(record["affine"], image.affine)


def test_slices_are_numbered_from_inferior(make_volumes):
    """slices_with contains indices of tiles, whatever the direction of the file's z axis."""
    image, mask = make_volumes(0, (6, 20, 24), np.diag([-0.8, -0.8, -5.0, 1]))
    assert cut_tiles(image, mask, SMALL).record["slices_with"]["2"] == [2]


def test_a_mask_without_labels(make_volumes):
    image, mask = make_volumes()
    tiles = cut_tiles(image, mask.with_array(np.zeros_like(mask.array)), SMALL)
    assert tiles.record["labels"] == tiles.record["slices_with"] == {}
    assert not tiles.restore_labels().array.any()


def test_checksums_depend_on_pixels_and_shapes():
    image, mask = np.zeros((2, 4, 4, 1), np.uint8), np.zeros((2, 4, 4), np.uint8)
    first = checksum(image, mask)
    assert checksum(image.copy(), mask.copy()) == first
    assert checksum(np.asfortranarray(image), mask) == first
    assert checksum(image.reshape(2, 2, 8, 1), mask) != first
    changed = mask.copy()
    changed[1, 3, 3] = 1
    assert checksum(image, changed) != first


def test_a_case_from_files(tmp_path, make_dataset):
    (case, *_) = find_cases(make_dataset(tmp_path, "msd"))
    tiles = cut_case(case, NATIVE)
    assert tiles.record["source"] == source_fingerprint(case)
    np.testing.assert_array_equal(tiles.restore_labels().array, read_labels(case.mask).array)


def test_missing_files_are_named(tmp_path, make_dataset):
    image, mask = tmp_path / "images/case_0.nii.gz", tmp_path / "masks/case_0.nii.gz"
    make_dataset(tmp_path)
    check_refused(Case("a", image), "a mask", str(image))
    check_refused(Case("a", tmp_path / "no.nii", mask), "no.nii", "No such file")
    check_refused(Case("a", image, tmp_path / "no.nii"), "no.nii", "No such file")
    check_refused(Case("a", image, image), "an image instead of a mask?")


def test_a_mask_on_another_grid(tmp_path, make_dataset):
    (case, *_) = find_cases(make_dataset(tmp_path, "folder", 1))
    mask = read_labels(case.mask)
    write_labels(case.mask, Volume(mask.array[:-1], mask.affine))
    check_refused(case, "one grid", "(24, 20, 6)", "(24, 20, 5)")
    moved = mask.affine.copy()
    moved[2, 3] += 5
    write_labels(case.mask, Volume(mask.array, moved))
    check_refused(case, "one grid", "5 mm apart")


def test_a_mask_in_another_axis_order(tmp_path, make_dataset):
    """Its voxels have the same positions, so the tiles are the same."""
    (case, *_) = find_cases(make_dataset(tmp_path, "folder", 1))
    before = cut_case(case, SMALL)
    mask = read_labels(case.mask)
    flipped = mask.affine @ np.diag([-1.0, 1, 1, 1])
    flipped[:3, 3] += mask.affine[:3, 0] * (mask.array.shape[2] - 1)
    write_labels(case.mask, Volume(mask.array[:, :, ::-1], flipped))
    after = cut_case(case, SMALL)
    assert after.record["checksum"] == before.record["checksum"]
    np.testing.assert_array_equal(after.mask, before.mask)


def test_a_sheared_image(tmp_path, make_dataset):
    (case, *_) = find_cases(make_dataset(tmp_path, "folder", 1))
    image = nib.load(case.image)
    sheared = image.affine.copy()
    sheared[1, 2] = 1.0
    nib.save(nib.Nifti1Image(np.asanyarray(image.dataobj), sheared), case.image)
    check_refused(case, "orthonormal", "case_0.nii.gz")


def test_an_mr_without_contrast(tmp_path, make_volumes):
    image, mask = make_volumes()
    write_volume(tmp_path / "i.nii", image.with_array(np.full_like(image.array, 7)))
    write_labels(tmp_path / "m.nii", mask)
    mr = TileSpec(percentiles=PercentileRange())
    check_refused(Case("mr", tmp_path / "i.nii", tmp_path / "m.nii"), "contrast", spec=mr)


def test_tiles_are_one_line_in_a_notebook(make_volumes):
    image, mask = make_volumes()
    assert repr(cut_tiles(image, mask, SMALL)) == (
        "CaseTiles(slices: 6; tile: 32 x 32 pixels; channels: 1; labels: 1, 2)"
    )
    empty = mask.with_array(np.zeros_like(mask.array))
    assert repr(cut_tiles(image, empty, NATIVE)) == (
        "CaseTiles(slices: 6; tile: 20 x 24 pixels; channels: 1; labels: none)"
    )


@pytest.mark.parametrize(
    ("function", "needed"), [("cut_tiles", r" \(needs about 0\.0 GB\)"), ("read_case", "")]
)
def test_too_little_memory_is_reported(tmp_path, make_dataset, monkeypatch, function, needed):
    (case, *_) = find_cases(make_dataset(tmp_path))

    def fail(*arguments):
        raise MemoryError

    monkeypatch.setattr(case_tiles, function, fail)
    message = rf"^Not enough memory to cut the tiles{needed}: use fewer workers\. \(case case_0\)$"
    with pytest.raises(LiverSegError, match=message):
        cut_case(case, SMALL)


def test_tiles_that_need_more_memory_than_there_is(tmp_path, make_dataset, monkeypatch):
    """The limit of the control group counts; without it, the system would kill the process."""
    (case, *_) = find_cases(make_dataset(tmp_path))
    fine = TileSpec(spacing_mm=0.05, tile_shape=None)
    cut_case(case, SMALL)
    monkeypatch.setattr(case_tiles, "memory_bytes", lambda: 2e6)
    cut_case(case, SMALL)
    check_refused(case, "at most 0.0 GB", "larger --spacing", spec=fine)


def real_case(shared_data, dataset):
    if dataset == "Task03_Liver":
        return find_cases(shared_data / dataset)[0]
    folder = shared_data / dataset
    return Case("example", folder / "ct.nii.gz", folder / "liver_auto.nii.gz")


@pytest.mark.parametrize("dataset", ["Task03_Liver", "totalsegmentator_example"])
def test_real_masks_through_tiles_and_back(tmp_path, shared_data, dataset):
    case = real_case(shared_data, dataset)
    truth = read_labels(case.mask)
    native = cut_case(case, NATIVE)
    np.testing.assert_array_equal(native.restore_labels().array, truth.array)
    restored = cut_case(case, TileSpec()).restore_labels()
    assert dice(restored.array >= 1, truth.array >= 1) >= 0.97
    assert set(np.unique(restored.array)) <= set(np.unique(truth.array))
    target = tmp_path / "mask.nii.gz"
    write_labels(target, truth.with_array(restored.array))
    written, source = nib.load(target), nib.load(case.mask)
    for field in ("dim", "pixdim", "qform_code", "sform_code", "srow_x", "srow_z", "quatern_b"):
        assert written.header[field].tobytes() == source.header[field].tobytes()
    np.testing.assert_array_equal(np.asanyarray(written.dataobj).T, restored.array)


@pytest.mark.parametrize(("tile", "outside"), [(None, 0.0), ((16, 16), 0.75), ((32, 16), 0.5)])
def test_labels_outside_the_tile_are_measured(tile, outside):
    mask = np.ones((3, 32, 32), np.uint8)
    image = np.full(mask.shape, 50, np.int16)
    affine = np.diag([-1.0, -1.0, 2.0, 1.0])
    spec = TileSpec(spacing_mm=None, tile_shape=tile)
    tiles = cut_tiles(Volume(image, affine), Volume(mask, affine), spec)
    assert tiles.record["labelled_outside"] == outside
    empty = cut_tiles(Volume(image, affine), Volume(mask * 0, affine), spec)
    assert empty.record["labelled_outside"] == 0


def test_a_dicom_series_is_cut_like_its_nifti(tmp_path, make_volumes, write_series):
    image, mask = make_volumes()
    write_series(tmp_path / "tree" / "a", image)
    write_volume(tmp_path / "a.nii", image)
    write_labels(tmp_path / "mask.nii.gz", mask)
    (series,) = find_series(tmp_path / "tree")
    sources = (series, tmp_path / "tree" / "a", tmp_path / "a.nii")
    cases = [Case("a", source, tmp_path / "mask.nii.gz") for source in sources]
    records = [cut_case(case, TileSpec()).record for case in cases]
    assert len({record["checksum"] for record in records}) == 1
    before = [source_fingerprint(case) for case in cases]
    assert before == [record["source"] for record in records]
    assert before[0] == before[1]
    assert before[0]["image"]["files"] == len(image.array)
    assert before[0]["image"]["bytes"] == sum(file.stat().st_size for file in series.files)
    for modified_ns in (2**62, 10**9):  # newer, and older than every other slice
        os.utime(series.files[3], ns=(0, modified_ns))
        assert source_fingerprint(cases[0]) != before[0]
    series.files[2].unlink()
    assert source_fingerprint(cases[1])["image"]["files"] == len(image.array) - 1
    with pytest.raises(LiverSegError, match="No such file"):
        source_fingerprint(cases[0])


@pytest.mark.parametrize("file", ["images/case_0.nii.gz", "masks/case_0.nii.gz"])
def test_files_that_change_while_they_are_read_are_refused(
    tmp_path, make_dataset, monkeypatch, file
):
    (case, *_) = find_cases(make_dataset(tmp_path, "folder", 1))
    read = case_tiles.read_case

    def replace_while_reading(case, channel):
        volumes = read(case, channel)
        content = (tmp_path / file).read_bytes()
        (tmp_path / file).unlink()
        (tmp_path / file).write_bytes(content)
        os.utime(tmp_path / file, ns=(0, 10**9))  # of the same size, and older
        return volumes

    monkeypatch.setattr(case_tiles, "read_case", replace_while_reading)
    check_refused(case, "unchanged while they were read", file)


numbers = count()
FIELDS = {  # of a NIfTI header, with values that no scanner writes
    "dim": st.lists(st.integers(-3, 70), min_size=8, max_size=8),
    "pixdim": st.lists(st.floats(width=32), min_size=8, max_size=8),
    "vox_offset": st.floats(width=32),
    "datatype": st.sampled_from([0, 1, 2, 4, 8, 16, 64, 128, 256, 512, 768, 1024, 2304, 77]),
    "scl_slope": st.floats(width=32),
    "scl_inter": st.floats(width=32),
    "qform_code": st.integers(-2, 6),
    "sform_code": st.integers(-2, 6),
    "quatern_b": st.floats(width=32),
    "quatern_c": st.floats(width=32),
    "srow_x": st.lists(st.floats(width=32), min_size=4, max_size=4),
    "srow_z": st.lists(st.floats(width=32), min_size=4, max_size=4),
}


@given(st.fixed_dictionaries({}, optional=FIELDS), st.integers(-9, 9))
@settings(max_examples=200, deadline=None, suppress_health_check=list(HealthCheck))
def test_any_header_is_cut_or_refused(tmp_path, fields, power):
    """Headers with spacings of 10^-9 to 10^9 mm must not lead to slices that fill the memory."""
    scale = 10.0**power
    image = nib.Nifti1Image(np.zeros((9, 8, 7), np.int16), np.diag([scale, scale, 2, 1]))
    image.header["vox_offset"] = 352
    for field, value in fields.items():
        image.header[field] = value
    content = image.header.binaryblock + b"\0" * (4 + 9 * 8 * 7 * 16)
    path = tmp_path / f"{next(numbers)}.nii"
    path.write_bytes(content)
    message = None
    try:
        assert cut_case(Case("c", path, path), SMALL).image.dtype == np.uint8
    except LiverSegError as error:
        message = str(error)
    assert message is None or (message.endswith("(case c)") and "\n" not in message)
