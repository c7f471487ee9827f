import json

import click
import pytest
from click.testing import CliRunner

from liverseg_tf.cli.main import liverseg
from liverseg_tf.cli.shared.config import load_defaults
from liverseg_tf.tiles.store import TileStore

pytestmark = pytest.mark.usefixtures("in_this_process")


def _run(*arguments):
    return CliRunner().invoke(liverseg, [str(argument) for argument in arguments])


@pytest.fixture
def dataset(tmp_path):
    assert _run("phantom", tmp_path / "set", "--count", 2, "--shape", 6, 48, 48).exit_code == 0
    return tmp_path / "set"


def test_a_file_sets_defaults_and_options_override_it(dataset, tmp_path):
    config = tmp_path / "my.toml"
    config.write_text(
        "[preprocess]\nspacing = 4\ntile = '64'\nwindow = [[40, 400], [60, 160]]\nval = 0.5\n"
        "test = 0\n[train]\nsteps-per-epoch = 3\nbatch_size = 2\n"
    )
    done = _run("--config", config, "preprocess", dataset, tmp_path / "store", "--workers", 1)
    assert done.exit_code == 0, done.output
    store = TileStore.open(tmp_path / "store")
    assert store.spec.spacing_mm == 4
    assert store.spec.tile_shape == (64, 64)
    assert [window.level_hu for window in store.spec.windows] == [40, 60]
    assert len(store.split["val"]) == 1
    done = _run(
        "--config", config, "preprocess", dataset, tmp_path / "other", "--spacing", "native"
    )
    assert done.exit_code == 0, done.output
    resolved = json.loads((tmp_path / "other" / "store.json").read_text())
    assert resolved["spec"]["spacing_mm"] is None


def test_a_single_value_of_a_repeatable_option_needs_no_list(dataset, tmp_path):
    config = tmp_path / "my.toml"
    config.write_text("[preprocess]\nwindow = [60, 160]\nsame-voxels = 'phantom_*'\ntile = 64\n")
    done = _run("--config", config, "preprocess", dataset, tmp_path / "store", "--workers", 1)
    assert done.exit_code == 0, done.output
    store = TileStore.open(tmp_path / "store")
    assert [window.level_hu for window in store.spec.windows] == [60]
    assert store.cases["phantom_000"]["source"]["correction"]["same_voxels"]


def test_the_train_section_applies_to_crossval(tmp_path):
    config = tmp_path / "my.toml"
    config.write_text("[train]\nepochs = 3\nfrom = 'RUN'\nmirror = true\n[crossval]\nepochs = 2\n")
    given = load_defaults(config, liverseg, click.Context(liverseg))
    crossval = liverseg.get_command(click.Context(liverseg), "crossval")
    arguments = [str(tmp_path), str(tmp_path / "CV")]
    values = crossval.make_context("crossval", arguments, default_map=given["crossval"]).params
    assert values["epochs"] == 2
    assert values["mirror"]


@pytest.mark.parametrize(
    ("setting", "says"),
    [
        ("window = [60]", "a list of 2 values for 'window'"),
        ("window = [[60, 160], 5]", "Received 5."),
        ("window = [60]", "Received a list of 1 value."),
        ("percentiles = 5", "a list of 2 values for 'percentiles'"),
        ("tile = [64, 64]", "one value for 'tile'"),
        ("orientation = [['a=LPS']]", "one value for 'orientation'"),
    ],
)
def test_a_list_of_the_wrong_length_is_an_error(tmp_path, setting, says):
    config = tmp_path / "my.toml"
    config.write_text(f"[preprocess]\n{setting}\n")
    done = _run("--config", config, "preprocess", tmp_path, tmp_path / "store")
    assert done.exit_code == 2, done.output
    assert says in " ".join(done.output.split())


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("[trian]\nepochs = 3\n", "did you mean 'train'"),
        ("[train]\nepoch = 3\n", "did you mean 'epochs'"),
        ("[train]\nepochs = {a = 1}\n", "Expected a value for 'epochs'"),
        ("epochs = 3\n", "Expected sections named after commands"),
        ("[train\n", "Expected a TOML file"),
        ("[train]\nepochs = 'many'\n", "'many' is not a valid integer"),
        ("[train]\nepochs = 0\n", "0 is not in the range"),
        ("[train]\nepochs = true\n", "Expected an integer for 'epochs'"),
        ("[train]\nepochs = 1.5\n", "Expected an integer for 'epochs'"),
        ("[train]\nepochs = 2026-01-01\n", "Expected an integer for 'epochs'"),
        ("[train]\nseed = -1\n", "Expected seed from 0 to"),
        ("[train]\nseed = 100000000000000000000\n", "Expected seed from 0 to"),
        ("[train]\nlearning-rate = true\n", "Expected a number for 'learning-rate'"),
        ("[train]\nlearning-rate = nan\n", "Expected learning_rate above 0"),
        ("[train]\nclip-norm = inf\n", "Expected clip_norm above 0"),
        ("[train]\nmirror = 1\n", "Expected true or false for 'mirror'"),
        ("[train]\nloss = 3\n", "Expected text in quotation marks for 'loss'"),
        ("[train]\nfrom = 0\n", "Expected text in quotation marks for 'from'"),
        ("[train]\nregion = [0]\n", "Expected a region as name=label"),
        ("[train]\nencoder = true\n", "Expected text for 'encoder'"),
        ("[evaluate]\nreport = 0\n[train]\n", "Expected true or false for 'report'"),
        ("[preprocess]\nwindow = [[true, 400]]\n", "Expected a number for 'window'"),
    ],
)
def test_errors_in_a_file(tmp_path, text, says):
    config = tmp_path / "my.toml"
    config.write_text(text)
    done = _run("--config", config, "train", tmp_path, tmp_path / "run")
    assert done.exit_code == 2
    assert says in " ".join(done.output.split())
    assert not (tmp_path / "run").exists()


def test_a_missing_file_is_an_error(tmp_path):
    done = _run("--config", tmp_path / "none.toml", "train", tmp_path, tmp_path / "run")
    assert done.exit_code == 2
    assert "Expected a TOML file" in " ".join(done.output.split())


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("[evaluate]\nreport = 0", "Expected true or false for 'report'"),
        ("[evaluate]\nreport = 'no'", "Expected true or false for 'report'"),
        ("[evaluate]\nviewers = []", "Expected one value for 'viewers'"),
        ("[evaluate]\npictures = true", "Expected an integer for 'pictures'"),
        ("[evaluate]\npictures = 2.5", "Expected an integer for 'pictures'"),
        ("[evaluate]\npictures = 1979-05-27", "Expected an integer for 'pictures'"),
        ("[evaluate]\npictures = 99999999999999999999999999", None),
        ("[evaluate]\nout = 3\nprotocol = 1", "Expected text in quotation marks for 'out'"),
        ("[evaluate]\nregion = [['liver', 1]]", "Expected one value for 'region'"),
        ("[evaluate]\ntolerance = 'x'", "'x' is not a valid float"),
        ("[predict]\ninside = [['a', 'b', true]]", "Expected a number for 'inside'"),
        ("[predict]\nthreshold = [['a', nan]]", None),
        ("[evaluate]\na = " + "[" * 5000, "Expected a TOML file"),
        ("evaluate = 3", "Expected sections named after commands"),
        ("[[evaluate]]", "Expected sections named after commands"),
        ("\x00", "Expected a TOML file"),
    ],
)
def test_wrong_types_are_one_line(tmp_path, text, says):
    config = tmp_path / "my.toml"
    config.write_text(text)
    command = "predict" if "predict" in text else "evaluate"
    words = {
        "evaluate": [tmp_path / "none", tmp_path / "none", "--out", tmp_path / "out"],
        "predict": [tmp_path / "none", "--model", tmp_path / "none", "--out", tmp_path / "out"],
    }
    done = _run("--config", config, command, *words[command])
    assert isinstance(done.exception, SystemExit)
    if says is None:
        assert done.exit_code in (1, 2)
    else:
        assert done.exit_code == 2
        assert says in done.stderr
    assert sum("Error" in line for line in done.stderr.splitlines()) == 1
