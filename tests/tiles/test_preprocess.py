import os
import shutil
import signal
import subprocess
import sys
import time
from contextlib import suppress
from dataclasses import replace

import numpy as np
import pytest

from liverseg_tf.ct.intensity import PercentileRange, Window
from liverseg_tf.ct.nifti import read_labels, read_volume, write_labels
from liverseg_tf.ct.regions import Regions
from liverseg_tf.dataset.case_annotations import CaseAnnotations
from liverseg_tf.dataset.case_corrections import CaseCorrections
from liverseg_tf.dataset.cases import find_cases
from liverseg_tf.dataset.dataset_part import DatasetPart
from liverseg_tf.dataset.split import SplitRule
from liverseg_tf.errors import LiverSegError, SettingsError
from liverseg_tf.partials import PARTIAL
from liverseg_tf.tiles import case_tiles
from liverseg_tf.tiles.case_tiles import checksum
from liverseg_tf.tiles.preprocess import PreprocessJob, preprocess
from liverseg_tf.tiles.spec import LIVER_WINDOW, TileSpec
from liverseg_tf.tiles.store import TileStore
from liverseg_tf.workers import Processes

SPEC = TileSpec(tile_shape=(32, 32))
RULE = SplitRule(validation=0.3, test=0.3)


class DeadlyStore(TileStore):
    """Kills the process that unpickles it."""

    def __reduce__(self):
        return os._exit, (9,)


def run(folder, store, spec=SPEC, storage="hdf5", **options):
    return preprocess(
        PreprocessJob(find_cases(folder), RULE), TileStore(store, spec, storage), **options
    )


def check_complete(store, names):
    """Every case is complete and has its checksum, and there are no other files."""
    store = TileStore.open(store.folder)
    assert sorted(store.cases) == sorted(names)
    assert sorted(name for side in store.split.values() for name in side) == sorted(names)
    for name, record in store.cases.items():
        tiles = store.read(name)
        assert checksum(np.asarray(tiles.image), np.asarray(tiles.mask)) == record["checksum"]
        assert record == tiles.record
    found = {path.name for path in (store.folder / "cases").iterdir()}
    assert found == {store.path(name).name for name in names}
    assert not list(store.folder.glob(f"**/{PARTIAL}*"))


def test_worker_processes_cut_every_case(tmp_path, make_dataset):
    make_dataset(tmp_path / "data", "msd", 3)
    broken = tmp_path / "data/imagesTr/case_1.nii.gz"
    broken.write_bytes(broken.read_bytes()[:-50])
    seen = {}
    result = run(
        tmp_path / "data", tmp_path / "store", workers=Processes(2), on_case=seen.__setitem__
    )
    assert sorted(result.cut) == ["case_0", "case_2"]
    assert result.kept == []
    assert list(result.failures) == ["case_1"]
    assert seen == {"case_0": None, "case_1": result.failures["case_1"], "case_2": None}
    for word in ("case_1.nii.gz", "truncated", "(case case_1)"):
        assert word in result.failures["case_1"]
    assert "\n" not in result.failures["case_1"]
    check_complete(result.store, ["case_0", "case_2"])
    assert result.store.split_rule == {"validation": 0.3, "test": 0.3, "seed": 0, "patient": None}


@pytest.mark.usefixtures("in_this_process")
@pytest.mark.parametrize("storage", ["hdf5", "hdf5-gzip", "png"])
def test_a_second_run_keeps_what_is_unchanged(tmp_path, make_dataset, storage):
    data = make_dataset(tmp_path / "data", "folder", 3)
    first = run(data, tmp_path / "store", storage=storage)
    assert first.cut == ["case_0", "case_1", "case_2"]
    written = {name: first.store.path(name).stat().st_mtime_ns for name in first.cut}
    modified = {file: file.stat().st_mtime_ns for file in data.rglob("*.nii.gz")}
    second = run(data, tmp_path / "store", storage=storage)
    assert (second.cut, second.kept) == ([], first.cut)
    assert second.store == TileStore.open(tmp_path / "store")
    assert second.store.split == first.store.split

    mask = read_labels(data / "masks/case_1.nii.gz")
    write_labels(data / "masks/case_1.nii.gz", mask.with_array(np.minimum(mask.array, 1)))
    make_dataset(data, "folder", 4)  # writes 0 to 3 again; the times of 0 and 2 are restored
    for name in ("case_0", "case_2"):
        for folder in ("images", "masks"):
            file = data / folder / f"{name}.nii.gz"
            os.utime(file, ns=(0, modified[file]))
    write_labels(data / "masks/case_1.nii.gz", mask.with_array(np.minimum(mask.array, 1)))
    third = run(data, tmp_path / "store", storage=storage)
    assert (third.cut, third.kept) == (["case_1", "case_3"], ["case_0", "case_2"])
    assert list(third.store.cases["case_1"]["labels"]) == ["1"]
    for name in third.kept:
        assert third.store.path(name).stat().st_mtime_ns == written[name]
    check_complete(third.store, [f"case_{n}" for n in range(4)])


@pytest.mark.usefixtures("in_this_process")
def test_a_case_is_cut_again_when_its_correction_changes(tmp_path, make_dataset):
    make_dataset(tmp_path / "data")
    cases = find_cases(tmp_path / "data")
    known = CaseCorrections(["case_1=RAS"], ["case_1=0.8,0.8,4"]).apply(cases)
    other = CaseCorrections(["case_1=RAS"], ["case_1=0.8,0.8,3"]).apply(cases)
    store = TileStore(tmp_path / "store", SPEC)
    assert len(preprocess(PreprocessJob(cases, RULE), store).cut) == 3
    for changed in (known, other, cases):
        result = preprocess(PreprocessJob(changed, RULE), store)
        assert (result.cut, result.kept) == (["case_1"], ["case_0", "case_2"])
        correction = result.store.cases["case_1"]["source"].get("correction")
        assert (correction is None) == (changed is cases)
        assert preprocess(PreprocessJob(changed, RULE), store).cut == []
    preprocess(PreprocessJob(known, RULE), store)
    record = store.read_record("case_1")
    assert record["spacing_mm"] == [4, 0.8, 0.8]
    assert record["orientation"]["flips"] == [False, True, True]
    assert not record["guessed_geometry"]


@pytest.mark.usefixtures("in_this_process")
def test_a_case_is_cut_again_when_what_it_labels_changes(tmp_path, make_dataset):
    """The record says it, and so do the checksums that a run compares."""
    cases = find_cases(make_dataset(tmp_path / "data", shape=(3, 20, 24)))
    store = TileStore(tmp_path / "store", SPEC)
    regions = Regions({"all": (1, 2), "one": (1,)})

    def cut(*texts):
        annotations = CaseAnnotations.parse(texts, regions)
        check = replace(SPEC.check_settings(), regions=regions, annotations=annotations)
        return preprocess(PreprocessJob(cases, RULE, check=check), store)

    plain = cut()
    assert "annotation" not in plain.store.cases["case_1"]
    assert cut().cut == []
    partial = cut("case_1=2,3")
    assert partial.failures.keys() == {"case_1"}
    assert "label 1 (all, one) occurs, but --labelled" in partial.failures["case_1"]
    partial = cut("case_1=all,one")
    assert (partial.cut, partial.kept) == (["case_1"], ["case_0", "case_2"])
    assert cut("case_1=all,one").cut == []
    expected = {"labelled": {"all": [1, 2], "one": [1]}, "ignored": None}
    assert TileStore.open(store.folder).cases["case_1"]["annotation"] == expected
    checksums = [result.store.checksums for result in (plain, partial)]
    assert [name for name in checksums[0] if checksums[0][name] != checksums[1][name]] == ["case_1"]
    with pytest.raises(LiverSegError, match="other tiles of case case_1"):
        partial.store.check_unchanged(checksums[0])
    assert cut().store.checksums == checksums[0]


@pytest.mark.usefixtures("in_this_process")
def test_a_damaged_case_in_the_store_is_cut_again(tmp_path, make_dataset):
    data = make_dataset(tmp_path / "data")
    store = run(data, tmp_path / "store").store
    store.path("case_1").write_bytes(b"")
    result = run(data, tmp_path / "store")
    assert (result.cut, result.kept) == (["case_1"], ["case_0", "case_2"])
    check_complete(result.store, ["case_0", "case_1", "case_2"])


@pytest.mark.usefixtures("in_this_process")
def test_cases_without_image_or_mask_do_not_stop_the_others(tmp_path, make_dataset):
    data = make_dataset(tmp_path / "data", "folder", 4)
    (data / "images/case_1.nii.gz").unlink()
    (data / "masks/case_2.nii.gz").unlink()
    result = run(data, tmp_path / "store")
    assert sorted(result.failures) == ["case_1", "case_2"]
    assert "No such file" in result.failures["case_1"]
    assert "Expected a mask" in result.failures["case_2"]
    check_complete(result.store, ["case_0", "case_3"])


@pytest.mark.usefixtures("in_this_process")
def test_a_case_whose_image_is_damaged_later_is_removed_from_the_list(tmp_path, make_dataset):
    data = make_dataset(tmp_path / "data")
    run(data, tmp_path / "store")
    (data / "images/case_1.nii.gz").write_bytes(b"no image")
    result = run(data, tmp_path / "store")
    assert (result.kept, list(result.failures)) == (["case_0", "case_2"], ["case_1"])
    assert sorted(TileStore.open(tmp_path / "store").cases) == ["case_0", "case_2"]


@pytest.mark.usefixtures("in_this_process")
def test_a_store_in_which_every_case_failed(tmp_path, make_dataset):
    data = make_dataset(tmp_path / "data", "folder", 1)
    (data / "images/case_0.nii.gz").write_bytes(b"")
    result = run(data, tmp_path / "store")
    assert "an empty file" in result.failures["case_0"]
    with pytest.raises(LiverSegError, match="Expected cases in the store"):
        TileStore.open(tmp_path / "store")


@pytest.mark.usefixtures("in_this_process")
def test_several_windows_and_mr(tmp_path, make_dataset):
    data = make_dataset(tmp_path / "data", "lits", 2)
    both = TileSpec(windows=(LIVER_WINDOW, Window(50, 2000)), tile_shape=(32, 32))
    store = run(data, tmp_path / "two", both).store
    assert store.read("volume-0").image.shape == (6, 32, 32, 2)
    mr = TileSpec(percentiles=PercentileRange(1, 99), tile_shape=(32, 32))
    store = run(data, tmp_path / "mr", mr).store
    for number in (0, 1):
        array = read_volume(data / f"volume_pt1/volume-{number}.nii").array
        low, high = np.percentile(array[array > array.min()], (1, 99))
        (window,) = store.read(f"volume-{number}").transform.windows
        assert (window.lower_hu, window.upper_hu) == pytest.approx((low, high))


@pytest.mark.usefixtures("in_this_process")
def test_an_interrupt_keeps_what_is_cut(tmp_path, make_dataset):
    data = make_dataset(tmp_path / "data")

    def stop(name, failure):
        if name == "case_1":
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run(data, tmp_path / "store", on_case=stop)
    assert sorted(TileStore.open(tmp_path / "store").cases) == ["case_0", "case_1"]
    result = run(data, tmp_path / "store")
    assert (result.cut, result.kept) == (["case_2"], ["case_0", "case_1"])
    check_complete(result.store, ["case_0", "case_1", "case_2"])


def test_an_interrupt_waits_for_the_workers_and_records_their_cases(tmp_path, make_dataset):
    data = make_dataset(tmp_path / "data", count=6)

    def stop(name, failure):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run(data, tmp_path / "store", workers=Processes(2), on_case=stop)
    written = sorted(path.stem for path in (tmp_path / "store/cases").iterdir())
    assert len(written) > 1, "those that had begun"
    check_complete(TileStore.open(tmp_path / "store"), written)


def test_settings_are_checked_before_the_work(tmp_path, make_dataset, monkeypatch):
    data = make_dataset(tmp_path / "data")
    cases = find_cases(data)
    TileStore(tmp_path / "store", SPEC).create()
    with pytest.raises(SettingsError, match="spacing_mm"):
        run(data, tmp_path / "store", TileSpec(tile_shape=(32, 32), spacing_mm=2))
    two = TileSpec(windows=(LIVER_WINDOW, Window(50, 2000)))
    with pytest.raises(SettingsError, match="1 or 3 windows"):
        run(data, tmp_path / "png", two, "png")
    with pytest.raises(SettingsError, match="patient expression"):
        preprocess(
            PreprocessJob(cases, SplitRule(patient="liver")), TileStore(tmp_path / "new", SPEC)
        )
    assert not (tmp_path / "new").exists()


HOLD = """
import sys
from pathlib import Path
from liverseg_tf.locks import part_lock

index, count = map(int, sys.argv[2].split("/"))
with part_lock(Path(sys.argv[1]) / ".lock", index, count, "the store"):
    print("held", flush=True)
    sys.stdin.read()
"""


@pytest.mark.usefixtures("in_this_process")
@pytest.mark.parametrize(
    ("theirs", "ours", "fits"),
    [("1/1", "1/1", False), ("1/1", "2/3", False), ("2/3", "1/1", False), ("2/3", "2/3", False)]
    + [("2/3", "1/3", True), ("2/3", "3/3", True), ("1/2", "3/4", False), ("1/2", "2/4", True)],
)
def test_another_run_holds_the_store(tmp_path, make_dataset, theirs, ours, fits):
    job = PreprocessJob(find_cases(make_dataset(tmp_path / "data")), RULE, DatasetPart.parse(ours))
    store = TileStore(tmp_path / "store", SPEC)
    command = [sys.executable, "-c", HOLD, str(store.folder), theirs]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdout.readline() == b"held\n"
        if fits:
            assert not preprocess(job, store).failures
        else:
            with pytest.raises(LiverSegError, match=r"another run is writing") as caught:
                preprocess(job, store)
            assert "\n" not in str(caught.value)
        process.communicate()
    assert not preprocess(job, store).failures  # free again


@pytest.mark.usefixtures("in_this_process")
def test_parts_make_the_store_of_one_run(tmp_path, make_dataset):
    cases = find_cases(make_dataset(tmp_path / "data", count=5))
    whole = preprocess(PreprocessJob(cases, RULE), TileStore(tmp_path / "whole", SPEC))
    for part, names in (("2/2", ["case_1", "case_3"]), ("1/2", ["case_0", "case_2", "case_4"])):
        result = preprocess(
            PreprocessJob(cases, RULE, DatasetPart.parse(part)), TileStore(tmp_path / "parts", SPEC)
        )
        assert result.cut == names
    check_complete(result.store, whole.cut)
    stores = [TileStore.open(tmp_path / name) for name in ("whole", "parts")]
    assert stores[0].cases == stores[1].cases
    assert stores[0].split == stores[1].split


@pytest.mark.usefixtures("in_this_process")
def test_a_store_with_other_settings_is_overwritten_on_request(tmp_path, make_dataset):
    data = make_dataset(tmp_path / "data")
    run(data, tmp_path / "store")
    other = TileStore(tmp_path / "store", TileSpec(tile_shape=(16, 16)), "png")
    cases = find_cases(data)
    with pytest.raises(SettingsError, match="with --overwrite"):
        preprocess(PreprocessJob(cases, RULE), other)
    result = preprocess(PreprocessJob(cases, RULE, overwrite=True), other)
    assert len(result.cut) == 3
    check_complete(result.store, result.cut)
    again = preprocess(PreprocessJob(cases, RULE, overwrite=True), other)
    assert len(again.kept) == 3
    with pytest.raises(SettingsError, match="in one run"):
        PreprocessJob(cases, RULE, DatasetPart(1, 2), overwrite=True)


@pytest.mark.usefixtures("in_this_process")
def test_temporary_files_of_a_crash_are_removed(tmp_path, make_dataset):
    cases = find_cases(make_dataset(tmp_path / "data", count=2))
    store = TileStore(tmp_path / "store", SPEC)
    leftovers = [
        store.folder / f"cases/{PARTIAL}12345678-case_0.h5",
        store.folder / f"cases/{PARTIAL}12345678-case_1.h5",
        store.folder / f"{PARTIAL}12345678-store.json",
    ]
    for leftover in leftovers:
        leftover.parent.mkdir(parents=True, exist_ok=True)
        leftover.touch()
    (store.folder / f"cases/{PARTIAL}12345678-gone/image").mkdir(parents=True)
    preprocess(PreprocessJob(cases, RULE, DatasetPart(1, 2)), store)
    assert [leftover.exists() for leftover in leftovers] == [False, True, False]
    preprocess(PreprocessJob(cases, RULE), store)
    check_complete(store, ["case_0", "case_1"])


@pytest.mark.usefixtures("in_this_process")
@pytest.mark.parametrize("storage", ["hdf5", "png"])
def test_tiles_of_other_settings_are_never_kept(tmp_path, make_dataset, storage):
    """Neither if the list of the store is lost, nor if its list has other settings."""
    data = make_dataset(tmp_path / "data", count=2)
    first = run(data, tmp_path / "store", storage=storage)
    (tmp_path / "store/store.json").unlink()
    other = TileSpec(tile_shape=(32, 32), spacing_mm=3)
    second = run(data, tmp_path / "store", other, storage)
    assert (second.cut, second.kept) == (["case_0", "case_1"], [])
    check_complete(second.store, second.cut)
    first.store.save()
    with pytest.raises(LiverSegError, match=r"^Expected tiles of .* Received tiles of .*mm: 3;"):
        TileStore.open(tmp_path / "store").read("case_0")
    third = run(data, tmp_path / "store", storage=storage)
    assert third.kept == []


@pytest.mark.usefixtures("in_this_process")
def test_tiles_of_another_version_are_cut_again(tmp_path, make_dataset, monkeypatch):
    data = make_dataset(tmp_path / "data", count=2)
    with monkeypatch.context() as patch:
        patch.setattr(case_tiles, "CUTTER_VERSION", 0)
        assert len(run(data, tmp_path / "store").failures) == 2  # at the end, they are not current
    assert len(run(data, tmp_path / "store").cut) == 2


@pytest.mark.usefixtures("in_this_process")
def test_a_png_store_that_was_removed_halfway_is_cut_again(tmp_path, make_dataset):
    data = make_dataset(tmp_path / "data", count=2)
    store = run(data, tmp_path / "store", storage="png").store
    for z in range(4):
        (store.path("case_0") / f"image/{z:04}.png").unlink()
    (store.path("case_1") / "mask/0002.png").write_bytes(b"")
    result = run(data, tmp_path / "store", storage="png")
    assert (result.cut, result.kept) == (["case_0", "case_1"], [])
    check_complete(result.store, result.cut)


@pytest.mark.usefixtures("in_this_process")
@pytest.mark.parametrize("storage", ["hdf5", "hdf5-gzip", "png"])
def test_a_damaged_pixel_is_found_and_cut_again(tmp_path, make_dataset, storage):
    data = make_dataset(tmp_path / "data", count=2)
    store = run(data, tmp_path / "store", storage=storage).store
    tiles = store.read("case_1")
    image = np.array(tiles.image)
    image[3, 5, 5] ^= 1
    store.write("case_1", replace(tiles, image=image))
    with pytest.raises(LiverSegError, match=r"case_1.* another checksum: .* preprocess .* again"):
        store.read("case_1")
    result = run(data, tmp_path / "store", storage=storage)
    assert (result.cut, result.kept) == (["case_1"], ["case_0"])
    check_complete(result.store, ["case_0", "case_1"])


@pytest.mark.usefixtures("in_this_process")
def test_tiles_that_disappear_during_the_run_are_told(tmp_path, make_dataset):
    data = make_dataset(tmp_path / "data", count=3)
    run(data, tmp_path / "store")
    (data / "images/case_2.nii.gz").touch()

    def remove(name, failure):
        (tmp_path / "store/cases/case_0.h5").unlink()
        (tmp_path / f"store/cases/{name}.h5").write_bytes(b"")

    result = run(data, tmp_path / "store", on_case=remove)
    assert (result.cut, result.kept) == ([], ["case_1"])
    assert sorted(result.failures) == ["case_0", "case_2"]
    for name, message in result.failures.items():
        assert message.startswith(
            f"Expected the tiles of case {name} to be in {tmp_path / 'store'}"
        )
    assert sorted(TileStore.open(tmp_path / "store").cases) == ["case_1"]


@pytest.mark.usefixtures("in_this_process")
def test_earlier_tiles_that_cannot_be_removed_are_told(tmp_path, make_dataset, monkeypatch):
    data = make_dataset(tmp_path / "data", count=2)
    run(data, tmp_path / "store")

    def fail(path):
        raise PermissionError(1, "Operation not permitted", str(path))

    job = PreprocessJob(find_cases(data), RULE, overwrite=True)
    other = TileStore(tmp_path / "store", TileSpec(tile_shape=(16, 16)))
    with monkeypatch.context() as patch:
        patch.setattr(shutil, "rmtree", fail)
        with pytest.raises(
            LiverSegError, match=r"^Expected to remove .*cases\. Received: Operation"
        ):
            preprocess(job, other)
    result = preprocess(job, other)
    assert (len(result.cut), result.kept) == (2, [])
    check_complete(result.store, result.cut)


def test_a_store_that_cannot_be_written(tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(LiverSegError, match=r"^Expected to write the store .*Received"):
        preprocess(PreprocessJob([]), TileStore(tmp_path / "file", SPEC))


@pytest.mark.slow
def test_a_worker_that_dies_is_reported(tmp_path, make_dataset):
    cases = find_cases(make_dataset(tmp_path / "data", "folder", 2))
    result = preprocess(PreprocessJob(cases), DeadlyStore(tmp_path / "store", SPEC))
    assert sorted(result.failures) == ["case_0", "case_1"]
    for name, message in result.failures.items():
        assert "died (killed, or out of memory)" in message
        assert message.endswith(f"(case {name})")


def is_complete(store, name):
    try:
        return store.read(name) is not None
    except LiverSegError:
        return False


RUN = """
import sys
from pathlib import Path
from liverseg_tf.dataset.cases import find_cases
from liverseg_tf.tiles.preprocess import PreprocessJob, preprocess
from liverseg_tf.tiles.spec import TileSpec
from liverseg_tf.tiles.store import TileStore

if __name__ == "__main__":
    data, store, storage = sys.argv[1:]
    store = TileStore(Path(store), TileSpec(spacing_mm=0.5, tile_shape=(512, 512)), storage)
    job = PreprocessJob(find_cases(Path(data)))
    preprocess(job, store, on_case=lambda *case: print(*case, flush=True))
"""


@pytest.mark.slow
@pytest.mark.skipif(not hasattr(signal, "SIGKILL"), reason="needs SIGKILL")
@pytest.mark.parametrize("storage", ["hdf5", "png"])
def test_a_run_that_is_killed(tmp_path, make_dataset, storage):
    data = make_dataset(tmp_path / "data", "folder", 4, (40, 20, 24))
    script = tmp_path / "run.py"
    script.write_text(RUN)
    command = [sys.executable, str(script), str(data), str(tmp_path / "store"), storage]
    process = subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, start_new_session=True
    )
    try:
        assert process.stdout.readline() == b"case_0 None\n"
        time.sleep(0.05)
        process.kill()
        # the worker holds the pipe as well: it closes when the worker has followed its parent
        process.communicate(timeout=20)
    finally:
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
    assert process.returncode == -signal.SIGKILL
    spec = TileSpec(spacing_mm=0.5, tile_shape=(512, 512))
    found = {path.name for path in (tmp_path / "store/cases").iterdir()}
    store = TileStore(tmp_path / "store", spec, storage)
    whole = [case.name for case in find_cases(data) if is_complete(store, case.name)]
    assert "case_0" in whole
    assert len(whole) < 4
    assert {name for name in found if not name.startswith(PARTIAL)} == {
        store.path(name).name for name in whole
    }
    result = run(data, tmp_path / "store", spec, storage)
    assert sorted(result.kept) == whole
    assert result.failures == {}
    check_complete(result.store, [f"case_{n}" for n in range(4)])


def _sides(store):
    return {name: side for side, names in store.split.items() for name in names}


@pytest.mark.usefixtures("in_this_process")
def test_patients_keep_their_side_when_cases_are_added(tmp_path, make_dataset):
    data = make_dataset(tmp_path / "data", count=4)
    before = run(data, tmp_path / "store").store
    assert set(_sides(before).values()) == {"train", "val", "test"}
    result = run(make_dataset(data, count=9), tmp_path / "store")
    assert not result.redrawn
    after = _sides(result.store)
    assert _sides(before).items() <= after.items()
    assert [len(result.store.split[side]) for side in ("train", "val", "test")] == [3, 3, 3]
    # also when a case is missing for a while, or the tiles are made anew
    (data / "images/case_0.nii.gz").rename(tmp_path / "away")
    run(data, tmp_path / "store")
    (tmp_path / "away").rename(data / "images/case_0.nii.gz")
    other = TileStore(tmp_path / "store", TileSpec(tile_shape=(16, 16)))
    again = preprocess(PreprocessJob(find_cases(data), RULE, overwrite=True), other)
    assert _sides(again.store) == after
    redrawn = preprocess(PreprocessJob(find_cases(data), SplitRule(0.1, 0.1, seed=5)), other)
    assert redrawn.redrawn
    assert [len(redrawn.store.split[side]) for side in ("train", "val", "test")] == [7, 1, 1]


@pytest.mark.usefixtures("in_this_process")
@pytest.mark.parametrize("parts", [["1/1"], ["1/2", "2/2"], ["3/3", "1/3", "2/3"]])
def test_all_cases_of_a_patient_are_on_one_side(tmp_path, make_dataset, parts):
    cases = find_cases(make_dataset(tmp_path / "data", count=6))
    cases = [replace(case, patient=f"P{n // 2}") for n, case in enumerate(cases)]
    store = TileStore(tmp_path / "store", SPEC)
    for part in parts:
        result = preprocess(PreprocessJob(cases, RULE, DatasetPart.parse(part)), store)
    opened = TileStore.open(store.folder)
    assert opened.split == result.store.split == {
        "train": ["case_2", "case_3"], "val": ["case_0", "case_1"], "test": ["case_4", "case_5"],
    }  # fmt: skip
    assert opened.cases["case_3"]["patient"] == "P1"
    assert opened.sides == {"P0": "val", "P1": "train", "P2": "test"}
    for fold in ("1/2", "2/2"):
        sides = _sides(opened.in_fold(fold))
        assert all(sides[f"case_{n}"] == sides[f"case_{n + 1}"] for n in (0, 2, 4))
    # a case that the files now ascribe to another patient is cut again
    moved = [replace(case, patient="P0") for case in cases[:3]] + cases[3:]
    again = preprocess(PreprocessJob(moved, RULE), store)
    assert again.cut == ["case_2"]
    assert {_sides(again.store)[name] for name in ("case_0", "case_1", "case_2")} == {"train"}


@pytest.mark.usefixtures("in_this_process")
def test_one_image_under_two_names_is_cut_only_if_it_is_accepted(tmp_path, make_dataset):
    data = make_dataset(tmp_path / "data", count=8)
    for folder in ("images", "masks"):
        content = (data / folder / "case_2.nii.gz").read_bytes()
        (data / folder / "case_7.nii.gz").write_bytes(content)
    for _ in range(2):
        result = run(data, tmp_path / "store")
        assert list(result.failures) == ["case_7"]
        assert "same voxels as in case case_2" in result.failures["case_7"]
        assert "case_7" not in result.store.cases
    check = replace(SPEC.check_settings(), accepted=("duplicate",))
    job = PreprocessJob(find_cases(data), RULE, check=check)
    result = preprocess(job, TileStore(tmp_path / "store", SPEC))
    assert (result.failures, result.kept[-1]) == ({}, "case_7")
    sides = _sides(result.store)
    assert sides["case_2"] == sides["case_7"]
    for fold in ("1/3", "2/3", "3/3"):
        sides = _sides(result.store.in_fold(fold))
        assert sides["case_2"] == sides["case_7"]
