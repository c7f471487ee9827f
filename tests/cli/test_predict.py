"""`liverseg predict` on the command line: what it writes, keeps and refuses."""

import json
import os
import shutil
import signal
import subprocess
import sys
import time

import keras
import nibabel as nib
import numpy as np
import pytest
from click.testing import CliRunner

from liverseg_tf.cli.main import liverseg
from liverseg_tf.ct.nifti import read_volume, write_volume
from liverseg_tf.ct.regions import LIVER_REGIONS
from liverseg_tf.ct.volume import Volume
from liverseg_tf.model.spec import NetworkSpec
from liverseg_tf.tiles.spec import TileSpec
from liverseg_tf.train.network.unet import UNetSpec, build_unet
from liverseg_tf.train.session.run_folder import RunFolder


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    """A run whose model was never trained."""
    run = RunFolder.create(tmp_path_factory.mktemp("model") / "run")
    network = NetworkSpec(TileSpec(spacing_mm=2.0), LIVER_REGIONS, 1, 4)
    split = {"train": ["case_0"], "val": ["case_1"], "test": ["case_2"]}
    run.write_record(network, store={"split": split}, settings={"mirror": True})
    keras.utils.set_random_seed(0)
    run.save_model(build_unet(UNetSpec(1, network.regions.names, base_filters=2, depth=2)))
    return run.folder


@pytest.fixture
def images(tmp_path, make_dataset):
    return make_dataset(tmp_path / "set", count=5) / "images"


def _predict(*arguments):
    done = CliRunner().invoke(liverseg, ["predict", *map(str, arguments)])
    if done.exception is not None and not isinstance(done.exception, SystemExit):
        raise done.exception
    return done


def _masks(out):
    return sorted(path.name.removesuffix(".nii.gz") for path in out.glob("*.nii.gz"))


def test_existing_masks_are_kept_and_memory_is_estimated(tmp_path, images, model):
    arguments = [images, "--model", model, "--out", tmp_path / "out"]
    done = _predict(*arguments)
    assert done.exit_code == 0, done.output
    assert "5 masks written, 0 failed" in done.output
    assert "Largest of 5 images: 24 x 20 x 6 voxels; about 0.7 GB" in done.output
    (tmp_path / "out" / "case_3.nii.gz").unlink()
    assert "1 mask written, 4 kept, 0 failed" in _predict(*arguments).output
    assert "5 masks written, 0 failed" in _predict(*arguments, "--force").output
    assert "5 masks written, 0 failed" in _predict(*arguments, "--fill-3d", "liver").output


def test_parts_give_the_same_masks_as_a_single_run(tmp_path, images, model):
    _predict(images, "--model", model, "--out", tmp_path / "whole")
    for part in ("1/2", "2/2"):
        done = _predict(images, "--model", model, "--out", tmp_path / "out", "--part", part)
        assert done.exit_code == 0, done.output
        assert f"{3 if part == '1/2' else 2} masks written, 0 failed" in done.output
    assert _masks(tmp_path / "out") == _masks(tmp_path / "whole")
    for path in (tmp_path / "whole").glob("*.nii.gz"):
        assert path.read_bytes() == (tmp_path / "out" / path.name).read_bytes()


def test_a_table_with_several_models_mirroring_and_every_step(tmp_path, images, model):
    table = tmp_path / "list.csv"
    table.write_text("image,name\nset/images/case_0.nii.gz,one\nset/images/case_1.nii.gz,two\n")
    done = _predict(
        table, "--model", model, "--model", model, "--out", tmp_path / "out", "--mirror",
        "--inside", "tumour", "liver", 5, "--smooth-z", "liver",
        "--min-mean-probability", "liver", 0.5,
        "--min-volume", "tumour", 0.01, "--largest", "liver", "--fill-2d", "liver",
        "--fill-3d", "liver", "--no-postprocessing", "--probabilities", "--no-crop",
    )  # fmt: skip
    assert done.exit_code == 0, done.output
    assert _masks(tmp_path / "out") == ["one", "two"]
    assert _masks(tmp_path / "out" / "probabilities" / "tumour") == ["one", "two"]


@pytest.mark.slow
def test_workers_write_the_same_masks_as_one_process(tmp_path, images, model):
    broken = images / "case_2.nii.gz"
    broken.write_bytes(broken.read_bytes()[:-40])
    for workers in (1, 2):
        out = tmp_path / f"out{workers}"
        done = _predict(images, "--model", model, "--out", out, "--workers", workers)
        assert done.exit_code == 1
        assert "4 masks written, 1 failed" in done.output
        (error,) = [line for line in done.output.splitlines() if line.startswith("Error:")]
        assert error.endswith("(case case_2)")
    assert (
        "4 kept, 1 failed"
        in _predict(images, "--model", model, "--out", out, "--workers", 2).output
    )
    assert _masks(tmp_path / "out1") == _masks(tmp_path / "out2")
    for path in (tmp_path / "out1").glob("*.nii.gz"):
        one, two = (read_volume(tmp_path / out / path.name).array for out in ("out1", "out2"))
        assert (one != two).mean() < 0.001  # rounding depends on the number of threads


def test_other_formats_and_measurements(tmp_path, make_volumes, write_series, model):
    ct, _ = make_volumes(shape=(6, 20, 24))
    write_series(tmp_path / "tree" / "p1", ct)
    write_series(tmp_path / "tree" / "p2", ct)
    (tmp_path / "tree" / "p2" / "0003.dcm").unlink()
    formats = [f"--format={name}" for name in ("nifti", "rtstruct", "sc", "stl")]
    arguments = [tmp_path / "tree", "--model", model, "--out", tmp_path / "out", *formats]
    done = _predict(*arguments, "--measure", "--mirror")
    assert done.exit_code == 1, done.output
    assert "1 mask written, 1 failed" in done.output
    names = {path.name for path in (tmp_path / "out").iterdir() if path.is_file()}
    surfaces = {"p1_liver.stl", "p1_tumour.stl"}
    assert names == {"p1.nii.gz", "p1.rtstruct.dcm", "p1.json", "measurements.csv", *surfaces}
    measured = json.loads((tmp_path / "out" / "p1.json").read_text())
    labels = read_volume(tmp_path / "out" / "p1.nii.gz")
    volume = (labels.array > 0).sum() * labels.voxel_volume_ml
    assert measured["regions"]["liver"]["volume_ml"] == pytest.approx(volume)
    assert "agreement" in measured["regions"]["liver"]
    assert measured["model"]["name"] == "run"
    (line,) = [line for line in done.output.splitlines() if line.startswith("p1: liver ")]
    assert ", tumour " in line
    again = _predict(*arguments, "--measure", "--mirror")
    assert "0 masks written, 1 kept, 1 failed" in again.output
    assert line in again.output
    for file in ("p1_liver.stl", "p1.sc/0002.dcm"):
        (tmp_path / "out" / file).unlink()
        assert "1 mask written" in _predict(*arguments, "--measure", "--mirror").output
        assert (tmp_path / "out" / file).exists()


def test_dicom_formats_of_nifti_images_are_refused(tmp_path, images, model):
    done = _predict(images, "--model", model, "--out", tmp_path / "o", "--format", "rtstruct")
    assert done.exit_code == 1
    assert done.output.count("Expected a DICOM series as input for --format rtstruct") == 5


def test_headers_without_geometry_are_refused_or_give_a_warning(tmp_path, model):
    array = np.random.default_rng(0).normal(40, 20, (4, 32, 32)).astype(np.int16)
    array[:, :4] = -1000
    write_volume(tmp_path / "volume-28.nii", Volume(array, np.eye(4)))
    arguments = [tmp_path / "volume-28.nii", "--model", model, "--out", tmp_path / "out"]
    done = _predict(*arguments)
    assert done.exit_code == 1
    assert "header without geometry" in done.output
    for outcome in ("1 mask written", "1 kept"):
        done = _predict(*arguments, "--accept", "geometry")
        assert done.exit_code == 0, done.output
        assert outcome in done.output
        warnings = [line for line in done.output.splitlines() if line.startswith("Warning: ")]
        assert any("geometry" in line and "(case volume-28)" in line for line in warnings)


def test_mirroring_needs_a_run_trained_with_it(tmp_path, images, model):
    run = shutil.copytree(model, tmp_path / "run")
    record = json.loads((run / "run.json").read_text())
    (run / "run.json").write_text(json.dumps(record | {"settings": {"mirror": False}}))
    done = _predict(images, "--model", run, "--out", tmp_path / "out", "--mirror")
    assert done.exit_code == 2
    assert "Expected a run that was trained with --mirror" in done.output


def test_masks_of_another_precision_are_predicted_again(tmp_path, images, model):
    arguments = [images / "case_0.nii.gz", "--model", model, "--out", tmp_path / "out"]
    for options, says in (
        ([], "1 mask written"),
        (["--precision", "float32"], "1 mask written"),
        (["--precision", "float32"], "1 kept"),
        (["--precision", "bfloat16"], "1 mask written"),
    ):
        assert says in _predict(*arguments, *options).output
    served = _predict(
        images, "--model", "grpc://localhost/m", "-o", tmp_path / "x", "--precision", "float32"
    )
    assert served.exit_code == 2
    assert "Expected runs together with --precision. Received a model on a server" in served.output


def test_the_tuned_postprocessing_is_applied_unless_it_is_disabled(tmp_path, images, model):
    chosen = shutil.copytree(model, tmp_path / "run")
    record = json.loads((chosen / "run.json").read_text())
    # no component is that large, so every mask is empty
    steps = {"postprocessing": {"min_volume_ml": [["liver", 1e6], ["tumour", 1e6]]}}
    (chosen / "run.json").write_text(json.dumps(record | steps))

    def labelled(*arguments):
        assert _predict(images, "--model", chosen, "--out", out, *arguments).exit_code == 0
        return sum(read_volume(path).array.any() for path in out.glob("*.nii.gz"))

    out = tmp_path / "out"
    assert labelled() == 0
    plain = labelled("--no-postprocessing")
    assert plain > 0
    options = ["--min-volume", "liver", "0", "--min-volume", "tumour", "0"]
    assert labelled(*options) == plain


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["--part", "3/2"], "2 Expected a part"),
        (["--part", "half"], "2 Expected a part as I/N"),
        (["--largest", "lung"], "2 Expected a region of liver, tumour"),
        (["--inside", "tumour", "lung", "3"], "2 Received 'lung'"),
        (["--min-mean-probability", "liver", "2"], "2 Expected a probability of 0 to 1"),
        (["--model", "{other}"], "2 Expected models with the same tiles"),
        (["--model", "{broken}"], "1 Expected a Keras model at"),
        (["--model", "{none}"], "1 Expected a run"),
        (["--out", "/proc/none"], "1 cannot be created"),
    ],
)
def test_errors_are_one_line(tmp_path, images, model, arguments, says):
    other, broken = (shutil.copytree(model, tmp_path / name) for name in ("other", "broken"))
    record = json.loads((other / "run.json").read_text())
    record["network"]["tiles"]["spacing_mm"] = 4.0
    (other / "run.json").write_text(json.dumps(record))
    whole = (broken / "model.keras").read_bytes()
    (broken / "model.keras").write_bytes(whole[: len(whole) // 2])
    names = {"other": other, "broken": broken, "none": tmp_path / "none"}
    done = _predict(
        images, "--model", model, "--out", tmp_path / "out", *(a.format(**names) for a in arguments)
    )
    code, says = says.split(" ", 1)
    assert done.exit_code == int(code), done.output
    errors = [line for line in done.output.splitlines() if line.startswith("Error:")]
    assert len(errors) == 1
    assert says in errors[0]
    assert not (tmp_path / "out").exists()


def test_masks_and_air_do_not_stop_the_other_images(tmp_path, images, model):
    shutil.copy(images.parent / "masks" / "case_0.nii.gz", images / "mask.nii.gz")
    ct = read_volume(images / "case_1.nii.gz")
    write_volume(images / "air.nii.gz", ct.with_array(np.full_like(ct.array, -1000)))
    done = _predict(images, "--model", model, "--out", tmp_path / "out")
    assert done.exit_code == 1
    errors = [line for line in done.output.splitlines() if line.startswith("Error:")]
    assert len(errors) == 2
    assert "all voxels have the same value, -1000" in errors[0]
    assert "(case air)" in errors[0]
    assert "looks like a mask" in errors[1]
    assert "5 masks written, 2 failed" in done.output


@pytest.mark.slow
def test_an_interrupted_run_keeps_complete_masks_and_is_resumed(tmp_path, images, model):
    for number in range(5, 120):
        shutil.copy(images / "case_0.nii.gz", images / f"case_{number}.nii.gz")
    out = tmp_path / "out"
    arguments = ["predict", images, "--model", model, "--out", out]
    command = [sys.executable, "-m", "liverseg_tf", *map(str, arguments)]
    process = subprocess.Popen(
        command,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        # the background job of a script ignores SIGINT, and so do its child processes
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    )
    limit = time.monotonic() + 120
    while len(_masks(out)) < 3 and time.monotonic() < limit:
        time.sleep(0.01)
    os.kill(process.pid, signal.SIGINT)
    output, _ = process.communicate(timeout=60)
    assert process.returncode == 1, output
    assert "Traceback" not in output
    masks = _masks(out)
    assert 3 <= len(masks) < 120
    assert not list(out.glob(".partial*"))
    for name in masks:
        assert nib.load(out / f"{name}.nii.gz").get_fdata().shape == (24, 20, 6)
    done = _predict(*arguments[1:])
    assert f" {len(masks)} kept, 0 failed" in done.output
    assert len(_masks(out)) == 120
