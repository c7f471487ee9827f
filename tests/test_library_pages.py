"""The pages about `import liverseg_tf` run: the notebook, and training with own code."""

import json
from pathlib import Path

import lessons
import notebooks
import pytest

pytestmark = pytest.mark.usefixtures("untraced_module", "in_this_process")
DOCS = Path(__file__).parents[1] / "docs"
PAGE, OWN = DOCS / "coming-from-keras.md", DOCS / "own-code.md"
NOTEBOOK = DOCS / "notebooks" / "coming-from-keras.ipynb"
# what makes the page short
SHORT = {
    "epochs, steps = 6, 50": "epochs, steps = 1, 2",
    "ls.build_unet()": "ls.build_unet(base_filters=2, depth=2)",
    "--count 12 --shape 24 128 128 --spacing 8 3.2 3.2": (
        "--count 5 --shape 8 64 64 --spacing 25 6.5 6.5"
    ),
}


def _code(page):
    return [step.source for step in lessons.steps_of(page.read_text())]


def test_the_notebook_agrees_with_its_page():
    assert json.loads(NOTEBOOK.read_text()) == notebooks.notebook_of(PAGE.read_text())


def test_the_notebook_has_less_than_sixty_lines_of_code():
    cells = json.loads(NOTEBOOK.read_text())["cells"]
    lines = [
        line
        for cell in cells
        if cell["cell_type"] == "code"
        for line in "".join(cell["source"]).splitlines()
        if line.strip() and not line.lstrip().startswith("#")
    ]
    assert 20 < len(lines) < 60


@pytest.mark.slow
def test_the_notebook_runs_from_a_store_to_a_request(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    text = PAGE.read_text()
    for shown, short in SHORT.items():
        assert text.count(shown) == 1, shown
        text = text.replace(shown, short)
    session = lessons.Session()
    for step in lessons.steps_of(text):
        session.run(step.source)
    folder = Path("data_cache/course/keras")
    record = json.loads((folder / "run/run.json").read_text())
    assert record["result"]["steps"] == 2
    assert "postprocessing" in record
    assert len(list(folder.glob("*.nii.gz"))) == len(session.names["store"].split["test"]) > 0
    mask = session.names["answer"]["mask"]
    assert mask.dtype == "uint8"
    assert mask.shape == (2, *session.names["ct"].array.shape[1:])


@pytest.mark.slow
def test_own_loss_network_and_augmentation_train(beside_library_store):
    names: dict = {}
    text = _code(OWN)[0].text
    long, short = ("epochs=2,", "steps_per_epoch=50,"), ("epochs=1,", "steps_per_epoch=1,")
    for before, after in zip(long, short, strict=True):
        assert text.count(before) == 1
        text = text.replace(before, after)
    exec(text, names)
    assert set(names["result"].dice) == {"liver", "tumour"}
    record = json.loads(Path("OWN/run.json").read_text())
    assert record["custom"].keys() == {"loss", "model", "augment"}
    assert record["settings"]["loss"] == "custom"
