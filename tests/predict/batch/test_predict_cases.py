import dataclasses
import gzip
import json
import os
import resource
import shutil
import threading
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest

from liverseg_tf.ct.dicom.series import DicomSeries, find_volume_series
from liverseg_tf.ct.fingerprint import fingerprint_source
from liverseg_tf.ct.nifti import read_volume, write_volume
from liverseg_tf.ct.volume import Volume
from liverseg_tf.dataset.provenance import MaskRecords
from liverseg_tf.errors import LiverSegError, SettingsError
from liverseg_tf.model.postprocessing import PostProcessing
from liverseg_tf.partials import partial_path
from liverseg_tf.predict.batch.memory import estimate_memory
from liverseg_tf.predict.batch.predict_cases import predict_cases
from liverseg_tf.predict.batch.prediction_job import PredictionJob
from liverseg_tf.predict.outputs.case_outputs import OutputFormats
from liverseg_tf.predict.segment_volume import Inference


def _write(path, bright=100):
    array = np.full((4, 20, 20), -500, np.int16)
    array[1:3, 3:14, 3:14] = -100
    array[1:3, 5:12, 5:12] = bright
    array[1, 17, 17] = bright
    write_volume(path, Volume(array, np.diag([-1.0, -1.0, 3.0, 1.0])))
    return path


def _masks(out):
    return sorted(path.name for path in out.glob("*.nii.gz"))


@pytest.fixture
def images(tmp_path):
    return {name: _write(tmp_path / f"{name}.nii.gz") for name in ("a", "b", "c")}


def test_masks_are_on_the_grid_of_their_images_and_failures_do_not_stop_the_run(
    tmp_path, bright_is_liver
):
    images = {name: _write(tmp_path / f"{name}.nii.gz") for name in ("a", "broken", "z")}
    images["missing"] = tmp_path / "missing.nii.gz"
    images["broken"].write_bytes(images["broken"].read_bytes()[:100])
    ended = []
    result = predict_cases(
        images, bright_is_liver(), PredictionJob(tmp_path / "out"), lambda *case: ended.append(case)
    )
    assert [name for name, _ in ended] == ["a", "broken", "z", "missing"]
    assert result.written == ["a", "z"]
    assert result.failures.keys() == {"broken", "missing"}
    assert all("\n" not in line and name in line for name, line in result.failures.items())
    assert _masks(tmp_path / "out") == ["a.nii.gz", "z.nii.gz"]
    image, mask = nib.load(images["a"]), nib.load(tmp_path / "out" / "a.nii.gz")
    np.testing.assert_array_equal(image.affine, mask.affine)
    np.testing.assert_array_equal(np.asanyarray(mask.dataobj), np.asanyarray(image.dataobj) == 100)


def test_a_second_run_keeps_masks_that_are_up_to_date(tmp_path, images, bright_is_liver):
    out, model = tmp_path / "out", bright_is_liver()

    def run(predictor=model, **settings):
        result = predict_cases(images, predictor, PredictionJob(out, **settings))
        assert not result.failures
        return result.written, result.kept

    assert run() == (["a", "b", "c"], [])
    assert run() == ([], ["a", "b", "c"])
    # the batch size does not change the masks
    assert run(inference=Inference(2)) == ([], ["a", "b", "c"])
    assert run(force=True) == (["a", "b", "c"], [])
    (out / "a.nii.gz").unlink()
    assert run() == (["a"], ["b", "c"])
    _write(images["b"], bright=240)
    assert run() == (["b"], ["a", "c"])
    assert np.asanyarray(nib.load(out / "b.nii.gz").dataobj).max() == 2
    other = bright_is_liver()
    other.fingerprint = "another"
    assert run(other) == (["a", "b", "c"], [])
    steps = PostProcessing(largest=("liver",), min_volume_ml=(("tumour", 0.1),))
    assert run(other, postprocessing=steps) == (["a", "b", "c"], [])
    assert run(other, postprocessing=steps) == ([], ["a", "b", "c"])
    assert run(other, postprocessing=steps, probabilities=True) == (["a", "b", "c"], [])
    shutil.rmtree(out / ".predictions")  # without records, the origin of the masks is unknown
    assert run(other, postprocessing=steps) == (["a", "b", "c"], [])


def test_forms_that_disagree_are_chosen_and_recorded(tmp_path, images, bright_is_liver):
    """The mask keeps both forms, and is made again if the other one is chosen."""
    image = nib.load(images["a"])
    image = nib.Nifti1Image(np.asanyarray(image.dataobj), image.affine)
    image.set_qform(image.affine @ np.diag([1, 1, 0.5, 1]), 1)
    nib.save(image, images["a"])
    out, model = tmp_path / "out", bright_is_liver()
    refused = predict_cases(images, model, PredictionJob(out))
    assert refused.written == ["b", "c"]
    assert "--use-sform or --use-qform" in refused.failures["a"]
    for form in ("sform", "qform"):
        job = PredictionJob(out, form=form)
        assert "a" in predict_cases(images, model, job).written, form
        assert "a" in predict_cases(images, model, job).kept, form
    mask = nib.load(out / "a.nii.gz").header
    np.testing.assert_array_equal(mask.get_sform(), image.header.get_sform())
    np.testing.assert_allclose(mask.get_qform(), image.header.get_qform())


def test_units_of_the_image_are_those_of_the_mask(tmp_path, bright_is_liver):
    """In metres, all pixels were far too small, and the mask was empty."""
    images = {"a": _write(tmp_path / "a.nii.gz"), "b": tmp_path / "b.nii.gz"}
    source = nib.load(images["a"])
    affine = np.diag([1e-3] * 3 + [1]) @ source.affine
    metres = nib.Nifti1Image(np.asanyarray(source.dataobj), affine)
    metres.header.set_xyzt_units("meter")
    nib.save(metres, images["b"])
    assert not predict_cases(images, bright_is_liver(), PredictionJob(tmp_path / "out")).failures
    a, b = (nib.load(tmp_path / f"out/{name}.nii.gz") for name in images)
    assert np.asanyarray(a.dataobj).any()
    np.testing.assert_array_equal(np.asanyarray(a.dataobj), np.asanyarray(b.dataobj))
    assert b.header.get_xyzt_units()[0] == "meter"
    np.testing.assert_array_equal(b.affine, nib.load(images["b"]).affine)


def test_files_of_other_settings_are_outdated(tmp_path, images, bright_is_liver):
    """Files that the first run wrote and the second run did not are outdated."""
    del images["b"], images["c"]
    out, extras = tmp_path / "out", OutputFormats(("nifti", "stl"), measure=True)

    def run(bright, **settings):
        model = bright_is_liver()
        model.fingerprint = bright
        result = predict_cases(images, model, PredictionJob(out, **settings))
        return result.written

    assert run("old", outputs=extras, probabilities=True) == ["a"]
    assert run("new") == ["a"]
    assert run("new", outputs=OutputFormats(measure=True)) == ["a"]
    assert run("new", outputs=OutputFormats(("stl",))) == ["a"]
    assert run("new", outputs=extras) == []  # all files have been written by the new model
    assert run("new", probabilities=True) == ["a"]
    assert run("new", outputs=extras, probabilities=True) == []


def test_temporary_files_of_a_killed_run_are_removed(tmp_path, images, bright_is_liver):
    out = tmp_path / "out"
    live = partial_path(out / "of_another_part.nii.gz")
    killed = live.name.replace(f"{os.getpid():08x}", f"{2**31 - 1:08x}")
    left = [out / killed, out / "probabilities" / "liver" / killed]
    for file in (*left, live):
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text("half")
    predict_cases(images, bright_is_liver(), PredictionJob(out, probabilities=True))
    assert not any(file.exists() for file in left)
    assert live.exists()


def test_postprocessing_of_the_model_is_the_default(tmp_path, images, bright_is_liver):
    model = bright_is_liver()
    model.postprocessing = PostProcessing(largest=("liver",))
    for steps, voxels in ((None, 2 * 7 * 7), (PostProcessing(), 2 * 7 * 7 + 1)):
        predict_cases(images, model, PredictionJob(tmp_path / "out", steps))
        assert np.asanyarray(nib.load(tmp_path / "out" / "a.nii.gz").dataobj).sum() == voxels


def test_steps_for_unknown_regions_are_refused_before_any_prediction(
    tmp_path, images, bright_is_liver
):
    with pytest.raises(SettingsError, match="Received 'lung'"):
        predict_cases(
            images,
            bright_is_liver(),
            PredictionJob(tmp_path / "o", PostProcessing(largest=("lung",))),
        )


def test_probabilities_are_written_as_volumes_from_0_to_1(tmp_path, images, bright_is_liver):
    result = predict_cases(
        images, bright_is_liver(), PredictionJob(tmp_path / "out", probabilities=True)
    )
    assert not result.failures
    image = nib.load(images["b"])
    for region in ("liver", "tumour"):
        found = nib.load(tmp_path / "out" / "probabilities" / region / "b.nii.gz")
        expected = np.asanyarray(image.dataobj) >= (100 if region == "liver" else 150)
        np.testing.assert_allclose(found.get_fdata(), expected, atol=1e-6)
        np.testing.assert_array_equal(found.affine, image.affine)
        assert found.get_data_dtype() == np.uint8
    assert not list((tmp_path / "out").glob(".partial*"))


def test_components_with_low_probability_are_removed(tmp_path, images, bright_is_liver):
    model = bright_is_liver()
    sharp = model.probabilities
    model.probabilities = lambda tiles: 0.7 * sharp(tiles)
    for p, voxels in ((0.69, 2 * 7 * 7 + 1), (0.75, 0)):
        steps = PostProcessing(min_mean_probability=(("liver", p),))
        predict_cases(images, model, PredictionJob(tmp_path / "out", steps))
        assert np.asanyarray(nib.load(tmp_path / "out" / "a.nii.gz").dataobj).sum() == voxels
    assert not (tmp_path / "out" / "probabilities").exists()


@pytest.mark.parametrize(
    ("values", "message"),
    [
        (
            np.arange(4).repeat(1000),
            "what looks like a mask: it contains only the values 0, 1, 2, 3",
        ),
        (np.arange(3.0).repeat(1000), "only the values 0, 1, 2"),
        (np.array([0, 255], np.uint8).repeat(1000), "only the values 0, 255"),
        (np.array([0, 0.99999, 1.99998]).repeat(1000), "only the values 0, 1, 2"),
        (np.zeros(2000, np.uint8), "only the value 0"),
        (np.arange(100).repeat(20), "values 0, 1, 2, 3, ..."),  # a label map of a hundred organs
        (np.full(2000, -1000), "all voxels have the same value"),
        (np.full(2000, np.nan), "finite values"),
    ],
)
def test_masks_and_empty_images_are_refused(tmp_path, values, message, bright_is_liver):
    kind = {"i": np.int16, "f": np.float32, "u": np.uint8}[values.dtype.kind]
    volume = Volume(values.astype(kind).reshape(-1, 10, 10), np.diag([-1.0, -1.0, 1.0, 1.0]))
    write_volume(tmp_path / "x.nii.gz", volume)
    result = predict_cases(
        {"x": tmp_path / "x.nii.gz"}, bright_is_liver(), PredictionJob(tmp_path / "out")
    )
    assert message in result.failures["x"]
    assert _masks(tmp_path / "out") == []


@pytest.mark.parametrize(("most", "shape"), [(40, (3, 20, 20)), (255, (3, 3, 2))])
def test_images_with_few_integer_values_are_accepted(tmp_path, most, shape, bright_is_liver):
    values = np.random.default_rng(0).integers(0, most, shape).astype(np.uint8)
    write_volume(tmp_path / "mr.nii.gz", Volume(values, np.diag([-1.0, -1.0, 1.0, 1.0])))
    job = PredictionJob(tmp_path / "out", accepted=("geometry", "values"))
    assert predict_cases({"mr": tmp_path / "mr.nii.gz"}, bright_is_liver(), job).written == ["mr"]


def _no_hu(array):
    return np.maximum(array, -1024) + 1024


def test_images_that_break_a_rule_get_no_mask_unless_it_is_accepted(
    tmp_path, images, bright_is_liver
):
    volume = read_volume(images["a"])
    write_volume(tmp_path / "bad.nii.gz", volume.with_array(_no_hu(volume.array)))
    images = {"bad": tmp_path / "bad.nii.gz", "a": images["a"]}
    refuse = PredictionJob(tmp_path / "out", outputs=OutputFormats(measure=True))
    accept = dataclasses.replace(refuse, accepted=("values",))
    result = predict_cases(images, bright_is_liver(), refuse)
    assert result.written == ["a"]
    assert result.failures["bad"].endswith("(to use it all the same: --accept values). (case bad)")
    assert _masks(tmp_path / "out") == ["a.nii.gz"]
    result = predict_cases(images, bright_is_liver(), accept)
    assert (result.written, result.kept) == (["bad"], ["a"])
    (warning,) = result.warnings["bad"]
    assert warning.endswith("[values]")
    assert json.loads((tmp_path / "out/bad.json").read_text())["warnings"] == [warning]
    record = MaskRecords(tmp_path / "out").read("bad")
    assert (record.warnings, record.accepted) == ((warning,), ("values",))
    assert predict_cases(images, bright_is_liver(), accept).kept == ["bad", "a"]
    assert "--accept values" in predict_cases(images, bright_is_liver(), refuse).failures["bad"]


def test_an_unwritable_folder_is_refused_before_any_prediction(tmp_path, images, bright_is_liver):
    (tmp_path / "out").write_text("a file")
    model = bright_is_liver()
    with pytest.raises(LiverSegError, match="out cannot be created: File exists"):
        predict_cases(images, model, PredictionJob(tmp_path / "out"))
    assert not model.shapes


def test_masks_never_overwrite_images(tmp_path, images, bright_is_liver):
    before = images["a"].read_bytes()
    (tmp_path / "links").mkdir()
    (tmp_path / "links" / "a.nii.gz").symlink_to(images["a"])
    for given, out in (
        (images, tmp_path),
        ({"a": images["b"], "b": images["c"]}, tmp_path / "links" / ".."),
        ({"a": tmp_path / "links" / "a.nii.gz"}, tmp_path),
        ({"a": tmp_path / "links" / "a.nii.gz"}, tmp_path / "links"),
    ):
        with pytest.raises(LiverSegError, match="Expected a folder for the masks that"):
            predict_cases(given, bright_is_liver(), PredictionJob(out, force=True))
    assert images["a"].read_bytes() == before
    assert not predict_cases(
        {"d": images["a"]}, bright_is_liver(), PredictionJob(tmp_path)
    ).failures


def test_unexpected_errors_affect_only_one_case(tmp_path, images, bright_is_liver):
    model, sharp = bright_is_liver(), bright_is_liver().probabilities
    calls = iter([ValueError("graph"), MemoryError(), None])

    def fail(tiles):
        error = next(calls)
        if error is not None:
            raise error
        return sharp(tiles)

    model.probabilities = fail
    result = predict_cases(images, model, PredictionJob(tmp_path / "out"))
    assert result.failures["a"] == "Unexpected ValueError: graph (case a)"
    assert result.failures["b"].startswith(
        "Not enough memory to segment case b (needs about 0.7 GB)."
    )
    assert result.written == ["c"]


def test_a_full_disk_leaves_no_partial_masks(tmp_path, images, bright_is_liver):
    """A limit on the size of files simulates a full disk."""
    noise = np.random.default_rng(0).integers(-300, 300, (40, 60, 60)).astype(np.int16)
    write_volume(tmp_path / "b.nii.gz", Volume(noise, np.diag([-1.0, -1.0, 3.0, 1.0])))
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (2000, limits[1]))
    try:
        result = predict_cases(images, bright_is_liver(), PredictionJob(tmp_path / "out"))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert result.written == ["a", "c"]
    assert "Expected to write" in result.failures["b"]
    assert _masks(tmp_path / "out") == ["a.nii.gz", "c.nii.gz"]
    assert not list((tmp_path / "out").glob(".partial*"))


def test_finished_masks_are_kept_after_an_interrupt(tmp_path, images, bright_is_liver):
    model, sharp, calls = bright_is_liver(), bright_is_liver().probabilities, []

    def interrupted(tiles):
        calls.append(1)
        if len(calls) == 3:
            raise KeyboardInterrupt
        return sharp(tiles)

    model.probabilities = interrupted
    with pytest.raises(KeyboardInterrupt):
        predict_cases(images, model, PredictionJob(tmp_path / "out"))
    assert _masks(tmp_path / "out") == ["a.nii.gz", "b.nii.gz"]
    assert not list((tmp_path / "out").glob(".partial*"))
    result = predict_cases(images, bright_is_liver(), PredictionJob(tmp_path / "out"))
    assert (result.written, result.kept) == (["c"], ["a", "b"])


def test_at_most_two_volumes_are_in_memory(tmp_path, bright_is_liver, monkeypatch):
    images = {f"{n}": _write(tmp_path / f"{n}.nii.gz") for n in range(6)}
    alive, most, lock = set(), [], threading.Lock()
    import weakref

    def counted(path, *settings):
        volume = read_volume(path)
        with lock:
            alive.add(id(volume))
            most.append(len(alive))
        weakref.finalize(volume, alive.discard, id(volume))
        return volume

    monkeypatch.setattr("liverseg_tf.predict.input_image.read_image", counted)
    result = predict_cases(images, bright_is_liver(), PredictionJob(tmp_path / "out"))
    assert len(result.written) == 6
    assert max(most) <= 2


@pytest.mark.parametrize("count", [1, 2, 3])
def test_volumes_of_few_slices_are_predicted(tmp_path, count, bright_is_liver):
    values = np.random.default_rng(0).integers(60, 140, (count, 20, 20)).astype(np.int16)
    values[:, 0] = -1000
    write_volume(tmp_path / "few.nii.gz", Volume(values, np.diag([-1.0, -1.0, 5.0, 1.0])))
    steps = PostProcessing(
        smooth_z=("liver",), largest=("liver",), fill_3d=("liver",), fill_2d=("liver",)
    )
    result = predict_cases(
        {"few": tmp_path / "few.nii.gz"},
        bright_is_liver(context=5),
        PredictionJob(tmp_path / "out", steps),
    )
    assert not result.failures
    assert read_volume(tmp_path / "out" / "few.nii.gz").array.sum() == count * 19 * 20


def _damaged(folder):
    """Images that cannot be read, each for another reason."""
    whole = _write(folder / "whole.nii").read_bytes()
    contents = {
        "empty.nii.gz": b"",
        "text.nii": b"no image",
        "no_gzip.nii.gz": b"\x1f\x8b\x08\x00" + bytes(range(200)),
        "truncated.nii.gz": gzip.compress(whole)[:-20],
        "type.nii": whole[:70] + b"\xff\x7f" + whole[72:],  # an unknown data type
        "shape.nii": whole[:42] + b"\xff\x7f" * 3 + whole[48:],
        "negative.nii": whole[:42] + b"\x00\x80" * 3 + whole[48:],
        "spacing.nii": whole[:80] + b"\x00\x00\xc0\x7f" * 3 + whole[92:],
        "offset.nii": whole[:108] + b"\x00\x00\x80\x7f" + whole[112:],  # infinite
        "x.mha": b"ObjectType = Image\nNDims = 3\nDimSize = 1 1\n",
        "x.nrrd": b"NRRD0004\ntype: int16\n",
    }
    images = {}
    for name, content in contents.items():
        images[name] = folder / name
        images[name].write_bytes(content)
    (folder / "folder.nii.gz").mkdir()
    os.mkfifo(folder / "pipe.nii.gz")
    return images | {
        "folder": folder / "folder.nii.gz",
        "pipe": folder / "pipe.nii.gz",
        "device": Path("/dev/zero"),
        "long": folder / ("x" * 300 + ".nii.gz"),
        "null": folder / "a\0b.nii.gz",
        "series": DicomSeries("1.2", (folder / "missing.dcm",), 5),
        "z": _write(folder / "z.nii.gz"),
    }


def test_damaged_images_do_not_stop_the_run(tmp_path, bright_is_liver):
    images, model = _damaged(tmp_path), bright_is_liver()
    estimate_memory(images.values(), model.network, 8)
    result = predict_cases(images, model, PredictionJob(tmp_path / "out"))
    assert result.written == ["z"]
    assert result.failures.keys() == images.keys() - {"z"}
    for line in result.failures.values():
        assert "\n" not in line
        assert not line.startswith("Unexpected"), line


def test_masks_of_another_size_than_written_are_not_kept(tmp_path, images, bright_is_liver):
    job = PredictionJob(tmp_path / "out")
    predict_cases(images, bright_is_liver(), job)
    (tmp_path / "out" / "a.nii.gz").write_bytes(b"")
    record = tmp_path / "out" / ".predictions" / "b.json"
    for text in ("", "[" * 100_000, '{"provenance": 1}', "NaN", '{"files": {"a": 1e999}}', "\xff"):
        record.write_text(text, encoding="latin-1")
        result = predict_cases(images, bright_is_liver(), job)
        assert (result.written, result.kept) in ((["a", "b"], ["c"]), (["b"], ["a", "c"]))
    assert (tmp_path / "out" / "a.nii.gz").stat().st_size > 0


def test_an_image_that_changes_is_predicted_again(tmp_path, make_volumes, write_series):
    ct, _ = make_volumes(shape=(4, 20, 20))
    write_series(tmp_path / "s", ct)
    (series,) = find_volume_series(tmp_path / "s")
    before = fingerprint_source(series)
    os.utime(series.files[0], (1, 1))  # older than the others
    assert fingerprint_source(series) != before


def test_an_image_that_changes_while_it_is_read_is_refused(
    tmp_path, images, bright_is_liver, monkeypatch
):
    def replaced(path, *settings):
        volume = read_volume(path)
        if path == images["b"]:
            _write(path, bright=240)
        return volume

    monkeypatch.setattr("liverseg_tf.predict.input_image.read_image", replaced)
    result = predict_cases(images, bright_is_liver(), PredictionJob(tmp_path / "out"))
    assert result.written == ["a", "c"]
    assert "a file that has just changed" in result.failures["b"]


def test_masks_that_vanish_during_the_run_are_failures(tmp_path, images, bright_is_liver):
    def on_case(name, failure):
        if name == "b":
            shutil.rmtree(tmp_path / "out")

    result = predict_cases(images, bright_is_liver(), PredictionJob(tmp_path / "out"), on_case)
    assert "a" in result.failures
    assert "b" in result.failures
    assert result.written == [name for name in "c" if name not in result.failures]
    assert _masks(tmp_path / "out") == [f"{name}.nii.gz" for name in result.written]


def test_two_runs_into_one_folder_leave_masks_with_their_own_records(
    tmp_path, images, bright_is_liver
):
    """Two models write the same cases at the same time; each mask belongs to its record."""
    models = [bright_is_liver(), bright_is_liver()]
    models[1].fingerprint = "dark"
    models[1].probabilities = lambda tiles: 1 - bright_is_liver().probabilities(tiles)
    results = {}

    def run(model):
        job = PredictionJob(tmp_path / "out", force=True)
        results[model.fingerprint] = predict_cases(images, model, job)

    threads = [threading.Thread(target=run, args=[model]) for model in models]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    records = MaskRecords(tmp_path / "out")
    for name in images:
        owner = records.read(name).provenance["model"]
        mask = np.asanyarray(nib.load(tmp_path / "out" / f"{name}.nii.gz").dataobj)
        assert mask[17, 17, 1] == (1 if owner == "bright" else 2)
        assert name in results[owner].written
        assert records.find_damage(name) is None


@pytest.mark.parametrize(
    "name",
    ["[bold]", "$x^{$", "a#b?c%d'e\"f<g>&", b"caf\xe9\x1b[31m".decode(errors="surrogateescape")],
)
def test_any_file_name_is_a_case_name(tmp_path, bright_is_liver, name):
    images = {name: _write(tmp_path / f"{name}.nii.gz")}
    job = PredictionJob(tmp_path / "out", outputs=OutputFormats(("nifti", "stl"), measure=True))
    assert predict_cases(images, bright_is_liver(), job).written == [name]
    assert predict_cases(images, bright_is_liver(), job).kept == [name]
    assert (tmp_path / "out" / f"{name}.nii.gz").is_file()


def test_warnings_are_written_with_the_masks_and_shown_again(tmp_path, bright_is_liver):
    path = tmp_path / "a.nii.gz"
    array = np.full((4, 20, 20), -500, np.int16)
    array[1:3, 5:12, 5:12] = 100
    write_volume(path, Volume(array, np.diag([-1.0, -1.0, 1.0, 1.0])))
    job = PredictionJob(
        tmp_path / "out", outputs=OutputFormats(measure=True), accepted=("geometry", "values")
    )
    for _ in range(2):  # written, then kept
        result = predict_cases({"a": path}, bright_is_liver(), job)
        assert any("[geometry]" in warning for warning in result.warnings["a"])
    assert json.loads((tmp_path / "out" / "a.json").read_text())["warnings"]
    assert MaskRecords(tmp_path / "out").read("a").warnings == result.warnings["a"]


def test_a_mask_of_an_earlier_run_is_told_if_its_case_fails(tmp_path, images, bright_is_liver):
    job = PredictionJob(tmp_path / "out")
    predict_cases(images, bright_is_liver(), job)
    images["b"].write_bytes(b"broken")
    result = predict_cases(images, bright_is_liver(), job)
    assert result.kept == ["a", "c"]
    assert result.failures["b"].endswith(f"; {tmp_path / 'out' / 'b.nii.gz'} is of an earlier run")


def test_only_some_regions_are_written_and_another_choice_is_written_again(
    images, bright_is_liver, tmp_path
):
    images = {"a": images["a"]}
    outputs = OutputFormats(("nifti", "stl"), measure=True)
    job = PredictionJob(tmp_path / "out", probabilities=True, outputs=outputs, only=("tumour",))
    assert predict_cases(images, bright_is_liver(), job).written == ["a"]
    names = {path.relative_to(job.folder).as_posix() for path in job.folder.rglob("*.*")}
    assert {name for name in names if not name.startswith(".")} == {
        *("a.nii.gz", "a.json", "a_tumour.stl", "probabilities/tumour/a.nii.gz")
    }
    assert json.loads((job.folder / "a.json").read_text())["regions"].keys() == {"tumour"}
    assert predict_cases(images, bright_is_liver(), job).kept == ["a"]
    job = dataclasses.replace(job, only=("liver",))
    assert predict_cases(images, bright_is_liver(), job).written == ["a"]
    assert np.unique(nib.load(job.folder / "a.nii.gz").dataobj).tolist() == [0, 1]
