import json
import shutil

import h5py
import numpy as np
import pytest
from PIL import Image

from liverseg_tf.choices import STORAGES
from liverseg_tf.ct.intensity import Window
from liverseg_tf.errors import LiverSegError, SettingsError
from liverseg_tf.tiles import hdf5, png
from liverseg_tf.tiles.case_tiles import checksum, cut_tiles
from liverseg_tf.tiles.spec import LIVER_WINDOW, TileSpec
from liverseg_tf.tiles.store import _FILE_FORMATS, TileStore

ONE = TileSpec(tile_shape=(24, 32))
THREE = TileSpec(windows=(LIVER_WINDOW, Window(50, 2000), Window(-500, 1000)), tile_shape=(24, 32))


@pytest.fixture
def make_tiles(make_volumes):
    return lambda spec=ONE, seed=0: cut_tiles(*make_volumes(seed), spec)


@pytest.mark.parametrize("spec", [ONE, THREE], ids=["grey", "rgb"])
def test_every_storage_holds_the_same_pixels(tmp_path, make_tiles, spec):
    tiles = make_tiles(spec)
    for storage in STORAGES:
        store = TileStore(tmp_path / storage, spec, storage).create()
        store.write("a.b", tiles)
        again = store.read("a.b")
        assert again.image.shape == tiles.image.shape == (6, 24, 32, spec.channels)
        assert again.mask.shape == tiles.mask.shape
        assert again.image.dtype == again.mask.dtype == np.uint8
        np.testing.assert_array_equal(np.asarray(again.image), tiles.image)
        np.testing.assert_array_equal(np.asarray(again.mask), tiles.mask)
        assert len(again.image) == len(again.mask) == 6
        for z in (0, 3, 5):
            np.testing.assert_array_equal(again.image[z], tiles.image[z])
            np.testing.assert_array_equal(again.mask[z], tiles.mask[z])
        assert checksum(np.asarray(again.image), np.asarray(again.mask)) == tiles.record["checksum"]
        assert again.record == store.read_record("a.b") == json.loads(json.dumps(tiles.record))
        assert again.transform == tiles.transform
        restored = again.restore_labels()
        np.testing.assert_array_equal(restored.array, tiles.restore_labels().array)


def test_every_storage_is_implemented():
    assert tuple(_FILE_FORMATS) == STORAGES


def test_hdf5_is_memory_mapped(tmp_path, make_tiles):
    path = tmp_path / "a.h5"
    hdf5.write_tiles(path, make_tiles())
    again = hdf5.read_tiles(path)
    assert isinstance(again.image, np.memmap)
    assert isinstance(again.mask, np.memmap)
    assert not again.image.flags.writeable
    with h5py.File(path) as file:
        assert file["image"].chunks is None
        np.testing.assert_array_equal(file["image"][()], again.image)


def test_compressed_hdf5_has_one_chunk_per_tile(tmp_path, make_tiles):
    path = tmp_path / "a.h5"
    hdf5.write_compressed_tiles(path, make_tiles(THREE))
    with h5py.File(path) as file:
        image, mask = file["image"], file["mask"]
        assert (image.chunks, mask.chunks) == ((1, 24, 32, 3), (1, 24, 32))
        assert (image.compression, image.compression_opts, image.shuffle) == ("gzip", 1, True)


def test_pngs_open_with_any_tool(tmp_path, make_tiles):
    tiles = make_tiles(THREE)
    png.write_tiles(tmp_path / "a", tiles)
    names = sorted(path.name for path in (tmp_path / "a/image").iterdir())
    assert names == [f"{z:04d}.png" for z in range(6)]
    with Image.open(tmp_path / "a/image/0003.png") as picture:
        assert picture.mode == "RGB"
        np.testing.assert_array_equal(np.asarray(picture), tiles.image[3])
    with Image.open(tmp_path / "a/mask/0003.png") as picture:
        assert picture.mode == "L"
        np.testing.assert_array_equal(np.asarray(picture), tiles.mask[3])


def test_png_slices_behave_like_an_array(tmp_path, make_tiles):
    tiles = make_tiles()
    png.write_tiles(tmp_path / "a", tiles)
    image = png.read_tiles(tmp_path / "a").image
    np.testing.assert_array_equal(image[-1], tiles.image[-1])
    np.testing.assert_array_equal(np.stack(list(image)), tiles.image)
    with pytest.raises(IndexError):
        image[6]


def fail(*args, **kwargs):
    raise OSError(28, "No space left on device")


def write_half(path, content):
    with open(path, "wb") as stream:
        stream.write(bytes(content)[: len(content) // 2])
    fail()


@pytest.mark.parametrize("storage", STORAGES)
@pytest.mark.parametrize("earlier", [False, True])
def test_interrupted_writing_leaves_complete_cases(tmp_path, make_tiles, storage, earlier):
    store = TileStore(tmp_path, ONE, storage).create()
    if earlier:
        store.write("a", make_tiles())
    with pytest.MonkeyPatch.context() as patch:
        if storage == "png":
            patch.setattr(json, "dumps", fail)  # after the PNG files, before the record
        else:
            patch.setattr(type(tmp_path), "write_bytes", write_half)
        with pytest.raises(LiverSegError, match=r"^Expected to write .*No space left on device\.$"):
            store.write("a", make_tiles(seed=1))
    left = [path.name for path in (tmp_path / "cases").iterdir()]
    assert left == ([store.path("a").name] if earlier else [])
    record = store.read_record("a")
    assert (record is not None) == earlier
    assert not earlier or record["checksum"] == make_tiles().record["checksum"]


@pytest.mark.parametrize("storage", STORAGES)
def test_a_full_disk_is_reported(tmp_path, make_tiles, storage):
    """h5py aborts the process if a file cannot grow, so files are created in memory first."""
    resource = pytest.importorskip("resource")
    store = TileStore(tmp_path, ONE, storage).create()
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (50, limits[1]))
    try:
        with pytest.raises(LiverSegError, match="File too large"):
            store.write("a", make_tiles())
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert list((tmp_path / "cases").iterdir()) == []


@pytest.mark.parametrize("storage", STORAGES)
def test_a_missing_case(tmp_path, storage):
    store = TileStore(tmp_path, ONE, storage)
    assert store.read_record("a") is None
    with pytest.raises(LiverSegError, match=r"^Expected .*a.* Received.*[Nn]o such file") as caught:
        store.read("a")
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("cut", [0, 10, 500, -1])
def test_truncated_hdf5(tmp_path, make_tiles, cut):
    store = TileStore(tmp_path, ONE).create()
    store.write("a", make_tiles())
    path = store.path("a")
    path.write_bytes(path.read_bytes()[:cut])
    with pytest.raises(LiverSegError, match=r"a\.h5\. Received a truncated or other file\.$"):
        store.read("a")
    assert store.read_record("a") is None


def test_another_hdf5_file(tmp_path):
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file["image"] = np.zeros(3)
    with pytest.raises(LiverSegError, match="Expected image, mask and record"):
        hdf5.read_tiles(tmp_path / "a.h5")


def test_broken_pngs(tmp_path, make_tiles):
    png.write_tiles(tmp_path / "a", make_tiles())
    case = png.read_tiles(tmp_path / "a")
    (tmp_path / "a/image/0001.png").write_bytes(b"")
    (tmp_path / "a/image/0002.png").unlink()
    content = (tmp_path / "a/image/0003.png").read_bytes()
    (tmp_path / "a/image/0003.png").write_bytes(content[: len(content) // 2])
    Image.new("L", (5, 5)).save(tmp_path / "a/image/0004.png")
    for z in (1, 2, 3, 4):
        with pytest.raises(LiverSegError, match=rf"^Expected a tile .*000{z}\.png"):
            case.image[z]


def test_stores_survive_saving(tmp_path, make_tiles):
    tiles = make_tiles()
    store = TileStore(
        tmp_path / "s",
        THREE,
        "png",
        cases={"a": json.loads(json.dumps(tiles.record))},
        split={"train": ["a"], "val": [], "test": []},
        split_rule={"seed": 3},
    )
    store.save()
    assert TileStore.open(tmp_path / "s") == store


def test_folders_that_are_not_stores(tmp_path, make_tiles):
    def refused(folder, words):
        with pytest.raises(LiverSegError, match=words) as caught:
            TileStore.open(folder)
        assert "\n" not in str(caught.value)

    refused(tmp_path / "no", "no such folder")
    refused(tmp_path, "a folder without one")
    TileStore(tmp_path, ONE).create()
    refused(tmp_path, r"Expected cases in the store .* Received an empty store")
    path = tmp_path / "store.json"
    content = json.loads(path.read_text())
    for change in ({"format": 99}, {"format": None}, {"storage": "zarr"}):
        path.write_text(json.dumps(content | change))
        refused(tmp_path, "format 2")
    path.write_text(json.dumps({k: v for k, v in content.items() if k != "split"}))
    refused(tmp_path, "'split'")
    path.write_text("{")
    refused(tmp_path, "JSON")


@pytest.mark.parametrize(
    ("other", "key"),
    [
        (TileStore("", TileSpec(tile_shape=(32, 32))), "tile_shape"),
        (TileStore("", TileSpec(tile_shape=(24, 32), spacing_mm=2)), "spacing_mm"),
        (TileStore("", THREE), "windows"),
        (TileStore("", ONE, "png"), "storage"),
    ],
)
def test_a_store_with_another_spec(tmp_path, other, key):
    store = TileStore(tmp_path, ONE).create()
    assert store.create() == store
    with pytest.raises(SettingsError, match=f"^Expected a store with {key} .* another folder"):
        TileStore(tmp_path, other.spec, other.storage).create()


def test_the_tiles_of_a_network_are_checked(tmp_path):
    store = TileStore(tmp_path, ONE)
    store.check_spec(TileSpec(tile_shape=(24, 32)))
    with pytest.raises(LiverSegError) as caught:
        store.check_spec(TileSpec(spacing_mm=None, tile_shape=(24, 24)))
    assert str(caught.value) == (
        f"Expected a store of the network's tiles at {tmp_path}. Received tiles with "
        "spacing_mm 1.5 instead of native, tile_shape 24 x 32 instead of 24 x 24."
    )


def test_two_windows_do_not_fit_into_png(tmp_path):
    spec = TileSpec(windows=(LIVER_WINDOW, Window(50, 2000)))
    with pytest.raises(SettingsError, match=r"1 or 3 windows .* Received 2"):
        TileStore(tmp_path / "s", spec, "png").create()
    assert not (tmp_path / "s").exists()
    TileStore(tmp_path / "s", spec).create()


def test_a_moved_store_still_opens(tmp_path, make_tiles):
    store = TileStore(tmp_path / "old", ONE, cases={"a": {}}).create()
    store.write("a", make_tiles())
    shutil.move(tmp_path / "old", tmp_path / "new")
    np.testing.assert_array_equal(
        TileStore.open(tmp_path / "new").read("a").mask, make_tiles().mask
    )


def test_a_store_is_one_line_in_a_notebook(tmp_path):
    store = TileStore(tmp_path, ONE)
    assert repr(store) == f"TileStore(folder: {tmp_path}; storage: hdf5; cases: 0; split: none)"
    full = TileStore(
        tmp_path,
        ONE,
        "png",
        cases={"a": {}, "b": {}, "c": {}},
        split={"train": ["a", "b"], "val": [], "test": ["c"]},
    )
    assert repr(full) == (
        f"TileStore(folder: {tmp_path}; storage: png; cases: 3; split: 2 train, 0 val, 1 test)"
    )
