import json
import os
import shutil
from dataclasses import replace

import h5py
import numpy as np
import pytest
from PIL import Image

from liverseg_tf.choices import STORAGES
from liverseg_tf.ct.intensity import Window
from liverseg_tf.ct.regions import LIVER_REGIONS
from liverseg_tf.errors import LiverSegError, SettingsError
from liverseg_tf.tiles import hdf5, png
from liverseg_tf.tiles.case_record import format_record
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


def test_regions_are_kept_and_checked(tmp_path, make_tiles):
    store = TileStore(tmp_path, ONE, regions=LIVER_REGIONS).create()
    store.write("a", tiles := make_tiles())
    replace(store, cases={"a": tiles.record}).save()
    assert TileStore.open(tmp_path).regions == LIVER_REGIONS
    path = tmp_path / "store.json"
    for wrong in ({"liver": [300]}, {"liver": "1"}, ["liver"], {}):
        content = json.loads(path.read_text()) | {"regions": wrong}
        path.write_text(json.dumps(content))
        with pytest.raises(LiverSegError, match=r"store\.json"):
            TileStore.open(tmp_path)


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
            patch.setattr(png, "format_record", fail)  # after the PNG files, before the record
        else:
            patch.setattr(type(tmp_path), "write_bytes", write_half)
        with pytest.raises(LiverSegError, match=r"^Expected to write .*No space left on device\.$"):
            store.write("a", make_tiles(seed=1))
    left = [path.name for path in (tmp_path / "cases").iterdir()]
    assert left == ([store.path("a").name] if earlier else [])
    if earlier:
        assert store.read("a").record["checksum"] == make_tiles().record["checksum"]


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
    for read in (store.read, store.read_record):
        with pytest.raises(
            LiverSegError, match=r"^Expected .*a.* Received.*[Nn]o such file"
        ) as caught:
            read("a")
        assert "\n" not in str(caught.value)


@pytest.mark.parametrize("cut", [0, 10, 500, -1])
def test_truncated_hdf5(tmp_path, make_tiles, cut):
    store = TileStore(tmp_path, ONE).create()
    store.write("a", make_tiles())
    path = store.path("a")
    path.write_bytes(path.read_bytes()[:cut])
    for read in (store.read, store.read_record):
        with pytest.raises(LiverSegError, match=r"a\.h5\. Received a truncated or other file\.$"):
            read("a")


def test_another_hdf5_file(tmp_path):
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file["image"] = np.zeros(3)
    with pytest.raises(LiverSegError, match=r"Expected the data set record in .*a\.h5"):
        hdf5.read_tiles(tmp_path / "a.h5")


def test_broken_pngs(tmp_path, make_tiles):
    png.write_tiles(tmp_path / "a", make_tiles())
    case = png.read_tiles(tmp_path / "a")
    (tmp_path / "a/image/0000.png").unlink()
    (tmp_path / "a/image/0001.png").write_bytes(b"")
    Image.new("L", (24, 32)).save(tmp_path / "a/image/0002.png")  # rows and columns exchanged
    content = (tmp_path / "a/image/0003.png").read_bytes()
    (tmp_path / "a/image/0003.png").write_bytes(content[: len(content) // 2])
    Image.new("P", (32, 24)).save(tmp_path / "a/image/0004.png")  # numbers of colours
    Image.new("L", (32, 24)).save(tmp_path / "a/image/0005.png", "TIFF")
    for z in range(6):
        with pytest.raises(LiverSegError, match=rf"^Expected a tile .*000{z}\.png") as caught:
            case.image[z]
        assert "\n" not in str(caught.value)


@pytest.mark.parametrize("change", ["missing", "one more", "link", "no record", "linked folder"])
def test_a_png_case_has_exactly_its_files(tmp_path, make_tiles, change):
    png.write_tiles(tmp_path / "a", make_tiles())
    picture = tmp_path / "a/image/0005.png"
    if change == "missing":
        picture.unlink()
    elif change == "one more":
        shutil.copy(picture, tmp_path / "a/image/0006.png")
    elif change == "link":
        picture.rename(tmp_path / "elsewhere.png")
        picture.symlink_to(tmp_path / "elsewhere.png")
    elif change == "no record":
        (tmp_path / "a/record.json").unlink()
    else:
        (tmp_path / "a").rename(tmp_path / "elsewhere")
        (tmp_path / "a").symlink_to(tmp_path / "elsewhere")
    for read in (png.read_tiles, png.read_record):
        with pytest.raises(LiverSegError, match=r"^Expected .* Received"):
            read(tmp_path / "a")


def write_hdf5(path, tiles, **datasets):
    """A case as it is written, with some data sets replaced by values or by functions."""
    with h5py.File(path, "w") as file:
        arrays = {"image": tiles.image, "mask": tiles.mask, "record": format_record(tiles.record)}
        for name, value in (arrays | datasets).items():
            if callable(value):
                value(file, name)
            else:
                file[name] = value


def hostile_datasets(folder, tiles):
    """Name and function for each kind of data set that must not be read."""
    shape, size = tiles.image.shape, tiles.image.size
    secret = folder / "secret.h5"
    with h5py.File(secret, "w") as file:
        file["image"] = tiles.image
    layout = h5py.VirtualLayout(shape, np.uint8)
    layout[...] = h5py.VirtualSource(secret, "image", shape)

    def compressed(**options):
        return lambda file, name: file.create_dataset(name, shape, np.uint8, **options)

    def unfilled(shape):
        return lambda file, name: file.create_dataset(
            name, shape, np.uint8, chunks=(1, *shape[1:]), compression="gzip"
        )

    def soft(file, name):
        file["other"] = tiles.image
        file[name] = h5py.SoftLink("/other")

    return {
        "strings": np.array(["a"] * 20, dtype=h5py.string_dtype()),
        "references": lambda file, name: file.create_dataset(name, shape, h5py.ref_dtype),
        "external link": h5py.ExternalLink(secret, "image"),
        "soft link": soft,
        "external storage": lambda file, name: file.create_dataset(
            name, shape, np.uint8, external=[(str(folder / "secret.bin"), 0, size)]
        ),
        "virtual": lambda file, name: file.create_virtual_dataset(name, layout),
        "group": lambda file, name: file.create_group(name),
        "float": np.zeros(shape, np.float32),
        "signed": np.zeros(shape, np.int8),
        "big": np.zeros(shape, ">u2"),
        "boolean": np.zeros(shape, bool),
        "other shape": tiles.image[:-1],
        "scalar": np.uint8(3),
        "empty": h5py.Empty(np.uint8),
        "unfilled": unfilled(shape),
        "other filter": compressed(chunks=(1, *shape[1:]), compression="lzf"),
        "checksum filter": compressed(chunks=(1, *shape[1:]), fletcher32=True),
    }


KINDS = ["strings", "references", "external link", "soft link", "external storage", "virtual"]
KINDS += ["group", "float", "signed", "big", "boolean", "other shape", "scalar", "empty"]
KINDS += ["unfilled", "other filter", "checksum filter"]


@pytest.mark.parametrize("kind", KINDS)
def test_only_arrays_as_we_write_them_are_mapped(tmp_path, make_tiles, kind):
    tiles = make_tiles()
    (tmp_path / "secret.bin").write_bytes(bytes(tiles.image.size))
    path = tmp_path / "a.h5"
    write_hdf5(path, tiles, image=hostile_datasets(tmp_path, tiles)[kind])
    for read in (hdf5.read_tiles, hdf5.read_record):
        with pytest.raises(LiverSegError, match=r"^Expected .*a\.h5\. Received") as caught:
            read(path)
        assert "\n" not in str(caught.value)


def test_every_hostile_kind_is_tried(tmp_path, make_tiles):
    (tmp_path / "secret.bin").touch()
    assert list(hostile_datasets(tmp_path, make_tiles())) == KINDS


@pytest.mark.parametrize("record", [3, np.zeros(5), ["{}", "{}"], b"{}", "{", "[" * 9999, "", "{}"])
def test_hdf5_records_of_another_kind(tmp_path, make_tiles, record):
    write_hdf5(tmp_path / "a.h5", make_tiles(), record=record)
    with pytest.raises(LiverSegError, match=r"a\.h5") as caught:
        hdf5.read_tiles(tmp_path / "a.h5")
    assert "\n" not in str(caught.value)


def test_an_address_beyond_the_end_of_the_file(tmp_path, make_tiles):
    """Mapping it would end the process (SIGBUS) when a tile is read."""
    path = tmp_path / "a.h5"
    hdf5.write_tiles(path, make_tiles())
    with h5py.File(path) as file:
        address = file["image"].id.get_offset().to_bytes(8, "little")
    content = path.read_bytes()
    assert content.count(address) == 1
    beyond = (len(content) - 100).to_bytes(8, "little")
    path.write_bytes(content.replace(address, beyond))
    with pytest.raises(LiverSegError, match=r"Received a (truncated or other|file that is too)"):
        hdf5.read_tiles(path)


def test_a_file_that_is_cut_short_after_it_was_opened(tmp_path, make_tiles):
    path = tmp_path / "a.h5"
    hdf5.write_tiles(path, make_tiles())
    tiles = hdf5.read_tiles(path)
    hdf5.check_mapped(tiles.image)
    hdf5.check_mapped(make_tiles().image)  # in memory
    with open(path, "r+b") as file:
        file.truncate(4096)
    with pytest.raises(
        LiverSegError, match=r"a\.h5 .* Received a file of 4096 bytes, .* too short"
    ):
        hdf5.check_mapped(tiles.image)
    path.unlink()
    with pytest.raises(LiverSegError, match=r"a\.h5 was removed during training"):
        hdf5.check_mapped(tiles.image)


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="needs pipes")
def test_a_case_that_is_a_link_or_a_pipe(tmp_path, make_tiles):
    store = TileStore(tmp_path, ONE).create()
    store.write("a", make_tiles())
    store.path("a").rename(tmp_path / "elsewhere.h5")
    store.path("a").symlink_to(tmp_path / "elsewhere.h5")
    os.mkfifo(store.path("b"))
    for name in ("a", "b"):
        with pytest.raises(LiverSegError, match="Received a link or something else"):
            store.read(name)
    (tmp_path / "cases").rename(tmp_path / "moved")
    (tmp_path / "cases").symlink_to(tmp_path / "moved")
    with pytest.raises(LiverSegError, match="Received a link"):
        store.read("a")


NAMES = ["../a", "/etc/passwd", "a/b", "a\\b", "", ".", "..", "a\0b", ".partial-1-a"]


@pytest.mark.parametrize("name", NAMES)
def test_names_of_cases_never_lead_out_of_the_store(tmp_path, make_tiles, name):
    tiles = make_tiles()
    store = TileStore(tmp_path / "s", ONE, cases={name: tiles.record})
    for use in (store.path, store.read, store.read_record, lambda name: store.write(name, tiles)):
        with pytest.raises(LiverSegError, match="Expected plain names of cases") as caught:
            use(name)
        assert str(caught.value).isprintable()
    store.save()
    with pytest.raises(LiverSegError, match="Expected plain names of cases"):
        TileStore.open(tmp_path / "s")


def saved_store(folder, make_tiles):
    record = json.loads(json.dumps(make_tiles().record))
    split = {"train": ["a"], "val": [], "test": ["b"]}
    rule = {"validation": 0.2, "test": 0.1, "seed": 3, "patient": None}
    store = TileStore(folder, ONE, "hdf5", {"a": record, "b": record}, split, rule)
    store.save()
    return json.loads((folder / "store.json").read_text())


CHANGES = {
    ("cases",): [None, 3, [], {"a": 3}, {"a": {}}],
    ("cases", "a", "slices"): [None, "6", -1, 0, 7, 1e300, 10**12],
    ("cases", "a", "shape"): [[6, 20], [6, 20, 25], [6, 0, 24], "abc", [6, 20, 24.5]],
    ("cases", "a", "spacing_mm"): [[5, 0.8], [5, -1, 1], [0, 1, 1], ["a", 1, 1]],
    ("cases", "a", "affine"): [[], [[1, 2, 3]] * 4, None],
    ("cases", "a", "labels"): [{"a": 1}, {"0": 1}, {"256": 1}, {"1": -1}, []],
    ("cases", "a", "slices_with"): [{"1": [6]}, {"1": [-1]}, {"1": 3}, {"x": []}],
    ("cases", "a", "labelled_outside"): [2, -0.1, "0", None],
    ("cases", "a", "orientation"): [{}, {"axes": [0, 0, 1], "flips": [False] * 3}, 3],
    ("cases", "a", "transform", "shape"): [[0, 24], [24, 10**6], [24], [32, 24]],
    ("cases", "a", "transform", "windows"): [[], 3, [{"level_hu": 1, "width_hu": 0}]],
    ("cases", "a", "transform", "spacing_mm"): [[0, 1], [1e-9, 1e-9], [1]],
    ("cases", "a", "transform", "native_shape"): [[20, 25], [10**9, 10**9]],
    ("cases", "a", "spec"): [{}, None, {"windows": []}],
    ("cases", "a", "checksum"): [None, 3],
    ("split",): [{}, {"train": []}, [], {"train": ["c"], "val": [], "test": []}],
    ("split", "val"): [["a"], "a", [3], None],
    ("split_rule",): [3, {"validation": 2}, {"seed": "x"}, {"patient": "("}],
    ("spec",): [{}, None, 3, {"windows": 1}],
    ("spec", "spacing_mm"): ["1", 0, 1e300],
    ("spec", "tile_shape"): [[24, 10**9], [1, 1], 24],
    ("storage",): ["zarr", 3, None, []],
    ("format",): [2, "3", None, {}],
}


@pytest.mark.parametrize("keys", CHANGES, ids=" ".join)
def test_a_damaged_store_record_is_told_in_one_line(tmp_path, make_tiles, keys):
    content = saved_store(tmp_path, make_tiles)
    assert TileStore.open(tmp_path).split["test"] == ["b"]
    for value in CHANGES[keys]:
        changed = json.loads(json.dumps(content))
        *above, last = keys
        entry = changed
        for key in above:
            entry = entry[key]
        entry[last] = value
        (tmp_path / "store.json").write_text(json.dumps(changed))
        with pytest.raises(LiverSegError) as caught:
            TileStore.open(tmp_path)
        assert type(caught.value) is LiverSegError, "exit code 1: no option of the user is wrong"
        assert "\n" not in str(caught.value)
        assert str(tmp_path) in str(caught.value), value


@pytest.mark.parametrize("number", ["NaN", "Infinity", "-Infinity", "1e999", "[" * 5000])
def test_numbers_that_are_none_are_refused(tmp_path, make_tiles, number):
    saved_store(tmp_path, make_tiles)
    path = tmp_path / "store.json"
    text = path.read_text()
    path.write_text(text.replace('"labelled_outside": 0.0', f'"labelled_outside": {number}'))
    assert path.read_text() != text
    with pytest.raises(LiverSegError, match=r"store\.json") as caught:
        TileStore.open(tmp_path)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("storage", STORAGES)
def test_tiles_that_are_not_those_of_the_list(tmp_path, make_tiles, storage):
    store = TileStore(tmp_path, ONE, storage, cases={"a": make_tiles().record})
    store.write("a", make_tiles(seed=1))
    with pytest.raises(LiverSegError, match=r"case a .* a record that differs from that in store"):
        store.read("a")


@pytest.mark.parametrize("storage", STORAGES)
def test_a_digit_of_a_record_that_changes_is_found(tmp_path, make_tiles, storage):
    store = TileStore(tmp_path, ONE, storage)
    store.write("a", make_tiles())
    path = store.path("a") / ("record.json" if storage == "png" else "")
    content = path.read_bytes()
    assert content.count(b'"slices_with": {"1": [1, 2') == 1
    path.write_bytes(content.replace(b'"slices_with": {"1": [1, 2', b'"slices_with": {"1": [1, 3'))
    for read in (store.read, store.read_record):
        with pytest.raises(LiverSegError, match=r"record of a case .* has changed: it is damaged"):
            read("a")


def test_stores_survive_saving(tmp_path, make_tiles):
    tiles = make_tiles()
    store = TileStore(
        tmp_path / "s",
        THREE,
        "png",
        cases={"a": json.loads(json.dumps(tiles.record))},
        split={"train": ["a"], "val": [], "test": []},
        split_rule={"validation": 0.2, "test": 0.1, "seed": 3, "patient": None},
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
        refused(tmp_path, "format 3")
    path.write_text(json.dumps({k: v for k, v in content.items() if k != "split"}))
    refused(tmp_path, "missing required field split")
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
    store = TileStore(tmp_path / "old", ONE, cases={"a": make_tiles().record}).create()
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
