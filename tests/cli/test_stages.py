"""The commands of all stages, one after another, on phantoms and on broken data."""

import json
import os
import subprocess
import sys
from pathlib import Path

import keras
import nibabel as nib
import numpy as np
import pytest
from commands import run_liverseg

SCRIPTS = Path(__file__).parents[2] / "scripts"
pytestmark = pytest.mark.usefixtures("in_this_process")


@pytest.fixture(scope="module")
def work(tmp_path_factory, untraced_module):
    """A folder with a data set, a store and a run, each written by its command."""
    folder = tmp_path_factory.mktemp("work")
    small = ["--shape", 8, 64, 64, "--spacing", 25, 6.5, 6.5]
    assert run_liverseg("phantom", folder / "set", "--count", 4, *small).exit_code == 0
    done = run_liverseg(
        "preprocess", folder / "set", folder / "store", "--spacing", "native", "--tile", 64,
        "--val", 0.25, "--test", 0.25, "--workers", 2,
    )  # fmt: skip
    assert done.exit_code == 0, done.output
    assert "4 cases cut, 0 kept, 0 failed; 2 train, 1 val, 1 test" in done.output
    done = run_liverseg(
        "train", folder / "store", folder / "run", "--epochs", 1, "--steps-per-epoch", 2,
        "--base-filters", 4, "--depth", 2, "--batch-size", 2, "--context", 3, "--augment", 0,
    )  # fmt: skip
    assert done.exit_code == 0, done.output
    assert "2 steps in" in done.output
    return folder


@pytest.mark.slow
def test_predict_and_evaluate(work, tmp_path):
    done = run_liverseg(
        "predict", work / "set", "--model", work / "run", "--out", tmp_path / "masks",
        "--side", "test", "--largest", "liver",
    )  # fmt: skip
    assert done.exit_code == 0, done.output
    (mask,) = (tmp_path / "masks").glob("*.nii.gz")
    split = json.loads((work / "store" / "store.json").read_text())["split"]
    assert mask.name == f"{split['test'][0]}.nii.gz"
    image = nib.load(work / "set" / "imagesTr" / mask.name)
    assert nib.load(mask).shape == image.shape
    np.testing.assert_array_equal(nib.load(mask).affine, image.affine)

    scores = ["evaluate", work / "set", tmp_path / "masks", "--out", tmp_path / "scores"]
    done = run_liverseg(*scores, "--predicted-only", "--viewers")
    assert done.exit_code == 0, done.output
    assert "Only 1 of 4 cases was scored: 3 without a prediction" in done.output
    table = [line for line in done.output.splitlines() if line.startswith(" ")]
    assert max(map(len, table)) <= 80
    names = {path.name for path in (tmp_path / "scores").iterdir()}
    assert names == {"scores.csv", "scores.json", "report.html", "viewer"}

    done = run_liverseg(*scores)
    assert done.exit_code == 1
    assert done.output.count("No prediction found for") == 3

    for source in ("store", "run"):
        done = run_liverseg(*scores, "--side", "test", "--split", work / source, "--no-report")
        assert done.exit_code == 0, done.output
        subject = json.loads((tmp_path / "scores" / "scores.json").read_text())["subject"]
        assert [name.split()[0] for name in subject["models"]] == ["run"]
    record = json.loads((tmp_path / "masks/.predictions" / f"{split['test'][0]}.json").read_text())
    assert record["side"] == "test"


@pytest.mark.slow
def test_a_second_run_of_preprocess_keeps_cases_and_refuses_other_settings(work):
    same = ["--spacing", "native", "--tile", 64, "--val", 0.25, "--test", 0.25]
    done = run_liverseg("preprocess", work / "set", work / "store", *same)
    assert "0 cases cut, 4 kept" in done.output
    done = run_liverseg("preprocess", work / "set", work / "store", "--spacing", 2)
    assert done.exit_code == 2
    assert "Expected a store with" in done.output


@pytest.mark.slow
def test_labels_outside_the_tiles_are_noted_and_native_tiles_are_whole(work, tmp_path):
    done = run_liverseg(
        "preprocess", work / "set", tmp_path / "small", "--spacing", 6, "--tile", 16
    )
    assert done.exit_code == 0
    assert "Note: labelled voxels of 4 cases lie outside the tiles" in done.output
    done = run_liverseg("preprocess", work / "set", tmp_path / "native", "--spacing", "native")
    assert "outside the tiles" not in done.output
    assert (
        json.loads((tmp_path / "native" / "store.json").read_text())["spec"]["tile_shape"] is None
    )


@pytest.mark.slow
def test_a_broken_case_has_exit_code_1_and_does_not_stop_the_others(work, tmp_path):
    images = tmp_path / "images"
    images.mkdir()
    for path in sorted((work / "set" / "imagesTr").iterdir())[:2]:
        (images / path.name).write_bytes(path.read_bytes())
    (images / "phantom_000.nii.gz").write_bytes(b"")
    done = run_liverseg("predict", images, "--model", work / "run", "--out", tmp_path / "masks")
    assert done.exit_code == 1
    errors = [line for line in done.output.splitlines() if line.startswith("Error:")]
    assert len(errors) == 1
    assert "phantom_000" in errors[0]
    assert [mask.name for mask in (tmp_path / "masks").glob("*.nii*")] == ["phantom_001.nii.gz"]


@pytest.mark.parametrize(
    ("arguments", "code", "says"),
    [
        (["preprocess", "{}/none", "{}/s"], 1, "Expected a data set folder"),
        (["preprocess", "{}/empty", "{}/s"], 1, "Expected a data set in"),
        (["preprocess", "{}/empty", "{}/s", "--spacing", "wide"], 2, "Expected --spacing"),
        (["preprocess", "{}/empty", "{}/s", "--tile", "axb"], 2, "Expected --tile"),
        (["preprocess", "{}/empty", "{}/s", "--window", "40", "0"], 2, "width above 0"),
        (["preprocess", "{}/empty", "{}/s", "--val", "1"], 2, "Expected fractions"),
        (["preprocess", "{}/empty", "{}/s", "--storage", "zip"], 2, "--storage"),
        (["train", "{}/empty", "{}/r"], 1, "Expected a tile store"),
        (["train", "{}/empty", "{}/r", "--context", "2"], 2, "odd number of slices"),
        (["train", "{}/empty", "{}/r", "--region", "liver=x"], 2, "Expected a region as"),
        (["predict", "{}/empty", "--model", "{}/none", "--out", "{}/o"], 1, "Expected a run"),
        (["evaluate", "{}/none", "{}/empty", "--out", "{}/o"], 1, "Received no such file"),
    ],
)
def test_errors_are_one_line_with_an_exit_code(tmp_path, arguments, code, says):
    (tmp_path / "empty").mkdir()
    done = run_liverseg(*[argument.format(tmp_path) for argument in arguments])
    assert done.exit_code == code, done.output
    assert says in " ".join(done.output.split())
    assert "Traceback" not in done.output
    for made in ("s", "r", "o"):
        assert not (tmp_path / made).exists()


@pytest.mark.slow
def test_tensorflow_is_silent_onednn_is_on_and_matplotlib_is_imported_only_when_used():
    code = (
        "from liverseg_tf.cli.shared.tensorflow import import_tensorflow; import_tensorflow();"
        "import os, sys, keras;"
        "print(os.environ['TF_ENABLE_ONEDNN_OPTS'], keras.backend.backend());"
        "print('matplotlib' in sys.modules); print('imported', file=sys.stderr, flush=True);"
        "from matplotlib.figure import Figure; Figure().subplots()"
    )
    environment = {k: v for k, v in os.environ.items() if not k.startswith(("TF_", "KERAS_"))}
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, env=environment
    )
    assert done.stdout.split() == ["1", "tensorflow", "False"]
    assert done.stderr.startswith("imported\n")


@pytest.mark.slow
def test_the_same_seed_gives_the_same_weights_at_full_width(tmp_path):
    """Trained in separate processes, with tiles that are large enough for several threads."""
    threads = "TF_NUM_INTRAOP_THREADS"  # the tests set it to 1
    environment = {name: value for name, value in os.environ.items() if name != threads}
    few = ["--shape", 16, 160, 160, "--spacing", 12, 2, 2]
    assert run_liverseg("phantom", tmp_path / "set", "--count", 2, *few).exit_code == 0
    tiles = ["--spacing", 3, "--tile", 128, "--val", 0.5, "--test", 0]
    assert run_liverseg("preprocess", tmp_path / "set", tmp_path / "store", *tiles).exit_code == 0
    weights = []
    for name in "ab":
        run = tmp_path / name
        arguments = ["train", tmp_path / "store", run, "--epochs", 1, "--steps-per-epoch", 3]
        command = [sys.executable, "-m", "liverseg_tf", *map(str, arguments)]
        subprocess.run([*command, "--dropout", "0.1", "--no-tune"], check=True, env=environment)
        model = keras.saving.load_model(run / "model.keras", compile=False)
        weights.append(model.get_weights())
    for left, right in zip(*weights, strict=True):
        np.testing.assert_array_equal(left, right)


@pytest.mark.parametrize("stage", ["preprocess", "train", "predict", "evaluate"])
def test_each_stage_is_also_a_script(stage):
    done = subprocess.run(
        [sys.executable, SCRIPTS / f"{stage}.py", "--help"],
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout.startswith(f"Usage: {stage}.py")


@pytest.mark.slow
@pytest.mark.usefixtures("untraced_training")
def test_a_spleen_is_not_called_liver(make_dataset, tmp_path):
    data = make_dataset(tmp_path / "set", "msd")
    for path in (data / "labelsTr").iterdir():
        mask = nib.load(path)
        spleen = np.minimum(np.asarray(mask.dataobj), 1)
        nib.save(nib.Nifti1Image(spleen.astype(np.uint8), mask.affine), path)
    content = json.loads((data / "dataset.json").read_text())
    content["labels"] = {"0": "background", "1": "spleen"}
    (data / "dataset.json").write_text(json.dumps(content))
    done = run_liverseg("preprocess", data, tmp_path / "store", "--tile", 32)
    assert done.exit_code == 0, done.output
    said = "Note: the regions are those of dataset.json: spleen=1 (--region chooses others)."
    train = ["train", tmp_path / "store", tmp_path / "run", "--dry-run"]
    assert said in run_liverseg(*train).output
    assert said not in run_liverseg(*train, "--region", "milt=1").output
    done = run_liverseg("evaluate", data, data / "labelsTr", "--out", tmp_path / "s", "--no-report")
    assert done.exit_code == 0, done.output
    assert said in done.output
    scores = json.loads((tmp_path / "s/scores.json").read_text())
    assert scores["regions"] == {"spleen": [1]}
