"""Each preset on a data set with the layout of its task in the Decathlon."""

import json
from pathlib import Path

import click
import nibabel as nib
import numpy as np
import pytest
from click.testing import CliRunner
from commands import run_liverseg

import liverseg_tf
from liverseg_tf.choices import ORGAN_PRESETS, TRAINING_PRESETS
from liverseg_tf.cli.main import liverseg
from liverseg_tf.cli.shared.config import load_preset
from liverseg_tf.tiles.store import TileStore

pytestmark = pytest.mark.usefixtures("in_this_process")

REGIONS = {
    "liver": {"liver": [1, 2], "tumour": [2]},
    "spleen": {"spleen": [1]},
    "pancreas": {"pancreas": [1, 2], "tumour": [2]},
    "prostate": {"peripheral": [1], "transition": [2]},
}


def _run(*arguments):
    done = run_liverseg(*arguments)
    assert done.exit_code == 0, done.output
    return done


def test_every_preset_is_a_file_of_the_package():
    folder = Path(liverseg_tf.__file__).parent / "presets"
    assert sorted(path.stem for path in folder.iterdir()) == sorted(
        ORGAN_PRESETS + TRAINING_PRESETS
    )


@pytest.mark.parametrize("preset", ORGAN_PRESETS + TRAINING_PRESETS)
def test_the_train_section_of_a_preset_applies_to_crossval(preset):
    ctx = click.Context(liverseg)
    given = load_preset(preset, liverseg, ctx)
    assert given["crossval"] == given["train"] != {}
    options = {option.name for option in liverseg.get_command(ctx, "crossval").params}
    assert given["train"].keys() <= options


@pytest.mark.parametrize("preset", ORGAN_PRESETS)
def test_check_and_preprocess_accept_a_task(tmp_path, make_task, preset):
    data = make_task(tmp_path / "task", preset, 2)
    done = _run("--preset", preset, "check", data, "--workers", 1)
    assert "2 cases: 0 errors, 0 warnings" in done.stdout, done.stdout
    for region in REGIONS[preset]:
        assert f"\n {region}, ml" in done.stdout
    _run("--preset", preset, "preprocess", data, tmp_path / "store", "--workers", 1)
    store = TileStore.open(tmp_path / "store")
    assert len(store.cases) == 2
    for name, case in store.cases.items():
        assert case["labelled_outside"] == 0
        assert set(case["labels"]) == {
            str(label) for of in REGIONS[preset].values() for label in of
        }
        tiles = store.read(name)
        inside = tiles.image[..., 0][tiles.mask == 1]
        assert 0 < np.median(inside) < 255, "the window holds the organ"


@pytest.mark.parametrize("channel", [0, 1])
def test_the_channel_selects_a_modality(tmp_path, make_task, channel):
    data = make_task(tmp_path / "task", "prostate", 1)
    native = ["--spacing", "native", "--tile", "whole", "--workers", 1, "--channel", channel]
    _run("--preset", "prostate", "preprocess", data, tmp_path / "store", *native)
    store = TileStore.open(tmp_path / "store")
    assert store.spec.channel == channel
    values = nib.load(data / "imagesTr/prostate_00.nii.gz").get_fdata()[..., channel]
    (window,) = store.read("prostate_00").transform.windows
    low, high = np.percentile(values[values > values.min()], (0.5, 99.5))
    assert (window.lower_hu, window.upper_hu) == pytest.approx((low, high), abs=1)


def test_a_file_overrides_a_preset_and_options_override_both(tmp_path, make_task):
    data = make_task(tmp_path / "task", "spleen", 1)
    config = tmp_path / "my.toml"
    config.write_text("[preprocess]\ntile = 64\nspacing = 5\n")
    orders = [
        ["--preset", "spleen", "--config", config],
        ["--config", config, "--preset", "spleen"],
    ]
    for number, order in enumerate(orders):
        store = tmp_path / str(number)
        _run(*order, "preprocess", data, store, "--spacing", 4, "--workers", 1)
        spec = TileStore.open(store).spec
        assert (spec.tile_shape, spec.spacing_mm) == ((64, 64), 4)
        assert [(window.level_hu, window.width_hu) for window in spec.windows] == [(40, 400)]


def test_an_unknown_preset():
    done = CliRunner().invoke(liverseg, ["--preset", "heart", "train", "a", "b"])
    assert done.exit_code == 2
    assert "'heart' is not one of" in done.output


@pytest.mark.slow
@pytest.mark.usefixtures("untraced_training")
@pytest.mark.parametrize("preset", ["spleen", "prostate"])
def test_every_stage_accepts_a_preset(tmp_path, make_task, preset):
    data = make_task(tmp_path / "task", preset)
    config = tmp_path / "short.toml"
    config.write_text(
        "[preprocess]\nspacing = 4\ntile = 48\nval = 0.34\ntest = 0\n[train]\nepochs = 1\n"
        "steps-per-epoch = 2\nbase-filters = 4\ndepth = 2\nbatch-size = 2\n"
    )
    preset_of = ["--preset", preset, "--config", config]
    store, run, masks, scores = (tmp_path / name for name in ("store", "run", "masks", "scores"))
    _run(*preset_of, "preprocess", data, store, "--workers", 1)
    _run(*preset_of, "train", store, run)
    assert json.loads((run / "run.json").read_text())["network"]["regions"] == REGIONS[preset]
    _run(*preset_of, "predict", data, "--model", run, "--out", masks)
    assert len(list(masks.glob("*.nii.gz"))) == 3
    for path in masks.glob("*.nii.gz"):
        image, mask = nib.load(data / "imagesTr" / path.name), nib.load(path)
        assert mask.shape == image.shape[:3]
        np.testing.assert_array_equal(mask.affine, image.affine)
    _run(*preset_of, "evaluate", data, masks, "--out", scores, "--workers", 1)
    assert {row["region"] for row in json.loads((scores / "scores.json").read_text())["rows"]} == (
        REGIONS[preset].keys()
    )
    page = tmp_path / "page.html"
    image = next(path for path in data.glob("imagesTr/*") if not path.name.startswith("."))
    _run(*preset_of, "view", image, data / "labelsTr" / image.name, "--out", page)
