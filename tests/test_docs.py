"""Every command that the documentation shows is run, and every link and picture is there."""

import json
import re
import shutil
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner
from lessons import blocks_of, commands_of

from liverseg_tf.cli.main import liverseg
from liverseg_tf.ct.nifti import read_labels, write_labels, write_volume
from liverseg_tf.ct.orientation import to_canonical

pytestmark = pytest.mark.usefixtures("untraced_module", "in_this_process")
ROOT = Path(__file__).parents[1]
PAGES = sorted([*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md"), ROOT / "data_cache" / "README.md"])
# what makes them short: one epoch of a few batches without augmentation, small tiles and phantoms,
# and one network for validation and file in place of two
SHORT = """
[phantom]
shape = [8, 64, 64]
spacing = [25, 6.5, 6.5]
[train]
epochs = 1
steps-per-epoch = 2
base-filters = 4
depth = 2
batch-size = 2
augment = 0
precision = "float32"
[preprocess]
spacing = 6
tile = 64
"""


def _blocks(page: Path, language: str) -> list[str]:
    return [block.text for block in blocks_of(page.read_text()) if block.language == language]


def _commands(page: Path) -> list[list[str]]:
    blocks = (block for block in blocks_of(page.read_text()) if block.language == "bash")
    return [words for block in blocks for words, _ in commands_of(block)]


@pytest.fixture(scope="module")
def trained(tmp_path_factory, small_phantoms, untraced_module):
    """A folder with the data set SET, its STORE and a RUN of two steps."""
    folder = tmp_path_factory.mktemp("trained")
    (folder / "short.toml").write_text(SHORT)
    small_phantoms(folder / "SET", 4)
    for line in ("preprocess SET STORE --val 0.25", "train STORE RUN --augment 0.5 --mirror"):
        words = [str(folder / word) if word.isupper() else word for word in line.split()]
        _invoke(["--config", str(folder / "short.toml"), *words])
    return folder


@pytest.fixture
def beside_a_run(trained, tmp_path, monkeypatch):
    """Work in a copy of that folder."""
    shutil.copytree(trained, tmp_path, dirs_exist_ok=True)
    monkeypatch.chdir(tmp_path)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_links_and_pictures_exist(page):
    for target in re.findall(r"\]\(([^)#]+)", page.read_text()):
        if not target.startswith(("http://", "https://")):
            assert (page.parent / target).exists(), target


def test_every_block_of_python_is_run_by_a_test():
    """Of lessons by test_course.py, of serving by serve/client/test_cli.py, others by `runs`."""
    pages = {str(page.relative_to(ROOT)) for page in PAGES if _blocks(page, "python")}
    lessons = {page for page in pages if page.startswith("docs/course/")}
    runs = {"docs/coming-from-keras.md", "docs/own-code.md"}  # tests/test_library_pages.py
    assert pages - lessons == {"docs/predict.md", "docs/serving.md"} | runs


@pytest.mark.slow
def test_the_commands_of_the_readme_run_in_their_order(tmp_path, monkeypatch, small_phantoms):
    monkeypatch.chdir(tmp_path)
    Path("short.toml").write_text(SHORT)
    small_phantoms("data_cache/raw/Task03_Liver", 7)
    for kind, name in (("images", "imagesTr"), ("masks", "labelsTr")):
        shutil.copytree(f"data_cache/raw/Task03_Liver/{name}", f"my_data/{kind}")
    image = next(Path("data_cache/raw/Task03_Liver/imagesTr").iterdir())
    Path("new_ct.nii.gz").write_bytes(image.read_bytes())
    (settings,) = _blocks(ROOT / "README.md", "toml")
    Path("liver.toml").write_text(settings + "epochs = 1\nsteps-per-epoch = 1\nbatch-size = 1\n")
    ran = 0
    for program, *arguments in _commands(ROOT / "README.md"):
        if program == "liverseg":
            if "--minutes" in arguments:
                arguments[arguments.index("--minutes") + 1] = "0.01"
            _invoke(
                arguments if "--config" in arguments else ["--config", "short.toml", *arguments]
            )
            ran += 1
        elif program == "bash":
            assert (ROOT / arguments[0]).exists()
        else:
            assert [program, *arguments] == ["source", ".venv/bin/activate"]
    assert ran >= 8


@pytest.mark.slow
def test_the_commands_of_scores_run(tmp_path, monkeypatch, small_phantoms):
    monkeypatch.chdir(tmp_path)
    small_phantoms("TRUTH", 3)
    shutil.copytree("TRUTH/labelsTr", "PRED")
    shutil.copytree("TRUTH/labelsTr", "PRED2")
    _invoke(["preprocess", "TRUTH", "RUN"])  # a store, which --split takes as well
    page = ROOT / "docs" / "scores.md"
    for program, *arguments in _commands(page):
        assert program == "liverseg"
        _invoke(arguments)
    columns = Path("SCORES/scores.csv").read_text().splitlines()[0].split(",")
    table = page.read_text().partition("| column |")[2].partition("\n\n")[0]
    assert set(re.findall(r"`([a-z][a-z_0-9]+)`", table)) <= set(columns)
    assert Path("COMPARED/versus").is_dir()


@pytest.mark.slow
def test_the_commands_of_report_and_viewer_run(tmp_path, monkeypatch, small_phantoms):
    monkeypatch.chdir(tmp_path)
    small_phantoms("TRUTH", 2)
    shutil.copytree("TRUTH/labelsTr", "PRED")
    for name, folder in [
        ("ct", "imagesTr"),
        ("t1", "imagesTr"),
        ("truth", "labelsTr"),
        ("mask", "labelsTr"),
    ]:
        shutil.copy(f"TRUTH/{folder}/phantom_000.nii.gz", f"{name}.nii.gz")
    commands = _commands(ROOT / "docs" / "report-and-viewer.md")
    assert len(commands) == 6
    for program, *arguments in commands:
        assert program == "liverseg"
        _invoke(arguments)


@pytest.mark.slow
@pytest.mark.usefixtures("beside_a_run")
def test_the_command_of_browser_runs():
    pytest.importorskip("tf2onnx")
    ((program, *arguments),) = _commands(ROOT / "docs" / "browser.md")
    assert program == "liverseg"
    _invoke(arguments)
    assert Path("OUT/RUN-1.html").stat().st_size > 5e6
    served = _blocks(ROOT / "docs" / "browser.md", "sh")
    assert served == ["liverseg serve-web OUT\n"]  # tests/serve/export/web/test_serve_pages.py


@pytest.mark.slow
@pytest.mark.usefixtures("beside_a_run")
def test_the_commands_of_runs_run():
    pytest.importorskip("mlflow")
    for name in "ab":
        shutil.copytree("RUN", f"RUNS/{name}")
    commands = _commands(ROOT / "docs" / "runs.md")
    assert len(commands) == 3
    for program, *arguments in commands:
        assert program == "liverseg"
        _invoke(["--config", "short.toml", *arguments])
    assert Path("curves.png").exists()
    assert list(Path("mlruns").glob("*/*/artifacts/curves.png"))


@pytest.mark.slow
@pytest.mark.usefixtures("beside_a_run")
def test_the_commands_of_serving_run():
    commands = _commands(ROOT / "docs" / "serving.md")
    assert len(commands) == 3
    for program, *arguments in commands:
        assert program == "liverseg"
        _invoke(arguments)
    assert Path("models/liver/1/saved_model.pb").exists()


@pytest.mark.slow
@pytest.mark.usefixtures("beside_a_run")
def test_the_commands_of_outputs_run(make_volumes, write_series):
    shutil.copytree("SET/imagesTr", "CT")
    write_series(Path("SERIES"), make_volumes(shape=(6, 48, 48))[0])
    commands = _commands(ROOT / "docs" / "outputs.md")
    assert len(commands) == 3
    for program, *arguments in commands:
        assert program == "liverseg"
        _invoke(arguments)
    names = {path.name for path in Path("masks").iterdir()}
    assert {"phantom_000.nii.gz", "phantom_000_liver.stl", "phantom_000.json"} < names
    assert {"SERIES.seg.dcm", "SERIES.rtstruct.dcm", "SERIES.sc", "measurements.csv"} < names


def test_the_commands_of_convert_run(tmp_path, monkeypatch, make_volumes, write_series):
    pytest.importorskip("highdicom")
    monkeypatch.chdir(tmp_path)
    image, labels = make_volumes()

    def edit(dataset, z):
        dataset.FrameOfReferenceUID = "1.2.3.5"

    write_series(Path("SERIES"), image, edit)
    write_labels(Path("MASK.nii.gz"), labels)
    write_volume(Path("CT.nii.gz"), image)
    commands = _commands(ROOT / "docs" / "convert.md")
    assert len(commands) == 4
    for program, *arguments in commands:
        assert program == "liverseg"
        _invoke(arguments)
    for folder in ("BACK", "BACK2"):
        np.testing.assert_array_equal(
            to_canonical(read_labels(Path(folder) / "MASK.nii.gz")).array,
            to_canonical(labels).array,
        )


@pytest.mark.slow
def test_the_commands_of_data_sets_run(tmp_path, monkeypatch, make_task, small_phantoms):
    monkeypatch.chdir(tmp_path)
    small_phantoms("phantoms", 2)
    for number in (27, 28):
        for kind, name in (("images", "volume"), ("labels", "segmentation")):
            path = Path("data_cache/raw/LITS17") / f"{name}-{number}.nii.gz"
            path.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(f"phantoms/{kind}Tr/phantom_00{number - 27}.nii.gz", path)
    for task in ("Task09_Spleen", "Task05_Prostate"):
        make_task(Path("data_cache/raw") / task, task.split("_")[1].lower())
    page = ROOT / "docs" / "data-sets.md"
    (settings,) = _blocks(page, "toml")
    Path("lits.toml").write_text(settings)
    Path("short.toml").write_text(SHORT.replace("[preprocess]\nspacing = 6\ntile = 64\n", ""))
    commands = _commands(page)
    assert len(commands) == 9
    for program, *arguments in commands:
        assert program == "liverseg"
        _invoke(["--config", "short.toml", *arguments] if "train" in arguments else arguments)


@pytest.mark.slow
def test_the_commands_of_labels_run(tmp_path, monkeypatch, small_phantoms):
    monkeypatch.chdir(tmp_path)
    Path("short.toml").write_text(SHORT)
    small_phantoms("SET", 4)
    shutil.copytree("SET/labelsTr", "MASKS")
    commands = _commands(ROOT / "docs" / "labels.md")
    assert [arguments[0] for _, *arguments in commands] == [
        *("check", "preprocess", "evaluate", "train")
    ]
    for program, *arguments in commands:
        assert program == "liverseg"
        dry_run = ["--dry-run"] if arguments[0] == "train" else []
        _invoke(["--config", "short.toml", *arguments, *dry_run])


@pytest.mark.slow
def test_the_commands_of_training_run(tmp_path, monkeypatch, small_phantoms):
    monkeypatch.chdir(tmp_path)
    Path("short.toml").write_text(SHORT)
    small_phantoms("SET", 5)
    _invoke(["--config", "short.toml", "preprocess", "SET", "STORE"])
    shutil.copytree("SET/imagesTr", "NEW")
    commands = _commands(ROOT / "docs" / "training.md")
    assert len(commands) == 14
    for page in ("augmentation", "lesions"):
        commands += _commands(ROOT / "docs" / f"{page}.md")
    for program, *arguments in commands:
        assert program == "liverseg"
        _invoke(["--config", "short.toml", *arguments])
    assert Path("transforms.png").exists()
    assert Path("batch.png").exists()
    assert Path("network.png").exists()
    assert Path("lesions.png").exists()
    assert Path("ARTERIAL/lesions.csv").exists()
    assert len(list(Path("MASKS").glob("*.nii.gz"))) == 5


@pytest.mark.slow
@pytest.mark.usefixtures("beside_a_run")
def test_the_commands_and_the_code_of_prediction_run():
    shutil.copytree("RUN", "RUN2")
    Path("NEW").mkdir()
    for path in ("NEW/new.nii.gz", "ct.nii.gz"):
        shutil.copy("SET/imagesTr/phantom_000.nii.gz", path)
    page = ROOT / "docs" / "predict.md"
    commands = _commands(page)
    assert len(commands) == 5
    for program, *arguments in commands:
        assert program == "liverseg"
        _invoke(arguments)
    assert Path("PROBABLE/probabilities/tumour/new.nii.gz").exists()
    # the code is for a run of `train` without options
    record = json.loads(Path("RUN/run.json").read_text())
    assert record["settings"].pop("mirror")
    Path("RUN/run.json").write_text(json.dumps(record))
    names: dict = {}
    for block in _blocks(page, "python"):
        exec(compile(block, str(page), "exec"), names)
    assert [mask.array.shape for mask in names["masks"]] == [names["ct"].array.shape] * 2


@pytest.mark.slow
@pytest.mark.usefixtures("beside_a_run")
def test_the_commands_of_trust_run():
    Path("NEW").mkdir()
    shutil.copy("SET/imagesTr/phantom_000.nii.gz", "NEW/new.nii.gz")
    commands = _commands(ROOT / "docs" / "trust.md")
    assert [arguments[0] for _, *arguments in commands] == ["trust", "predict", "predict"]
    said = _invoke(commands[0][1:])
    assert "liver (single): no threshold: it needs 5 masks" in said
    assert {"single", "mirrored"} <= json.loads(Path("RUN/run.json").read_text())["trust"][
        "passes"
    ].keys()
    _invoke(commands[1][1:])
    # two steps of training are not worth a threshold: as if more cases had been measured
    record = json.loads(Path("RUN/run.json").read_text())
    known = record["trust"]["passes"]["single"]["liver"]
    known |= {"threshold": 1.0, "always_present": True, "good": 20, "temperature": 2.0}
    Path("RUN/run.json").write_text(json.dumps(record))
    assert ": check this mask (" in _invoke(commands[2][1:])
    assert Path("CALIBRATED/probabilities/liver/new.nii.gz").exists()


@pytest.mark.slow
@pytest.mark.usefixtures("beside_a_run")
def test_the_commands_of_coming_from_nnunet_run(small_phantoms):
    """A data set of nnU-Net goes through every stage, and no file is renamed."""
    raw = Path("nnUNet_raw/Dataset042_Abdomen")
    small_phantoms(raw, 2, "nnunet")
    for kind in ("images", "labels"):
        shutil.copytree(raw / f"{kind}Tr", raw / f"{kind}Ts")
    content = json.loads((raw / "dataset.json").read_text())
    content["labels"]["ignore"] = 3
    (raw / "dataset.json").write_text(json.dumps(content))
    names = ("phantom_000", "phantom_001")
    assert {path.name for path in (raw / "imagesTs").iterdir()} == {
        f"{n}_0000.nii.gz" for n in names
    }
    commands = _commands(ROOT / "docs" / "coming-from-nnunet.md")
    assert len(commands) == 7
    said = {}
    for program, *arguments in commands:
        assert program == "liverseg"
        if arguments[0] == "train":
            shutil.copytree("RUN", arguments[2])
            arguments += ["--dry-run"]
        said[arguments[0]] = _invoke(["--config", "short.toml", *arguments])
    for command in ("check", "preprocess", "evaluate"):
        assert "label 3 is ignored, as dataset.json says (--ignore 3)" in said[command]
    for command in ("train", "evaluate"):
        assert "the regions are those of dataset.json: liver=1 tumour=2" in said[command]
    store = json.loads(Path("STORE_042/store.json").read_text())
    assert store["cases"].keys() == set(names)
    assert {case["annotation"]["ignored"] for case in store["cases"].values()} == {3}
    assert {path.name for path in Path("MASKS_042").glob("*.nii.gz")} == {
        f"{name}.nii.gz" for name in names
    }
    scores = json.loads(Path("SCORES_042/scores.json").read_text())
    assert scores["regions"] == {"liver": [1], "tumour": [2]}


@pytest.mark.slow
@pytest.mark.usefixtures("beside_a_run")
def test_the_commands_of_models_run(monkeypatch):
    monkeypatch.setenv("LIVERSEG_CACHE", "cache")
    shutil.copytree("SET/imagesTr", "NEW")
    commands = _commands(ROOT / "docs" / "models.md")
    assert [arguments[0] for _, *arguments in commands] == ["pack", "predict", *3 * ["models"]]
    for program, *arguments in commands:
        assert program == "liverseg"
        _invoke(arguments)
    assert len(list(Path("MASKS").glob("*.nii.gz"))) == 4


def test_the_commands_of_the_site_run(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    ran = 0
    for name in ("index", "install", "licences"):
        for program, *arguments in _commands(ROOT / "docs" / f"{name}.md"):
            if program == "liverseg":
                _invoke(arguments)
                ran += 1
            else:
                assert program == "bash"
                assert (ROOT / arguments[0]).exists()
    assert ran == 2


def _invoke(arguments: list[str]) -> str:
    done = CliRunner().invoke(liverseg, arguments)
    assert done.exit_code == 0, f"{arguments}: {done.output}"
    return done.output
