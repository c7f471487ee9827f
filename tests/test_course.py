"""Test that the lessons run, print the output that they show, and agree with their notebooks."""

import dataclasses
import functools
import itertools
import json
import os
import shutil
import sys
from pathlib import Path
from unittest import mock

import lessons
import notebooks
import pytest

from liverseg_tf.phantom import phantoms

pytestmark = pytest.mark.usefixtures("untraced_module", "in_this_process")
ROOT = Path(__file__).parents[1]
PAGES = sorted((ROOT / "docs" / "course").glob("[1-8]-*.md"))
NOTEBOOKS = sorted((ROOT / "docs" / "course" / "notebooks").glob("*.ipynb"))
# options that make trainings short and networks small, with one network for validation and file in
# place of two; all other options of a command are kept
SHORT = ["--epochs", "1", "--steps-per-epoch", "2", "--augment", "0", "--precision", "float32"]
SHORT += ["--base-filters", "4", "--depth", "2"]
SHOWN_MR = range(300, 303)  # seeds of the phantoms whose intensities lesson 8 prints


def _shortened(words):
    words, trains = list(words), False
    for option in ("--epochs", "--steps-per-epoch", "--minutes"):
        if option in words:
            position, trains = words.index(option), True
            del words[position : position + 2]
    return words + SHORT if trains else words


@pytest.fixture(scope="module")
def folder(tmp_path_factory, small_phantoms):
    """Folder in which the whole course runs; small phantoms replace the tasks of the Decathlon."""
    folder = tmp_path_factory.mktemp("course")
    for task, names in (("Task03_Liver", "liver"), ("Task09_Spleen", "spleen")):
        raw = folder / "data_cache/raw" / task
        small_phantoms(raw, 5)
        for kind in ("imagesTr", "labelsTr"):
            shutil.copy(raw / kind / "phantom_000.nii.gz", raw / kind / f"{names}_0.nii.gz")
    return folder


@pytest.fixture(scope="module", autouse=True)
def quick_phantoms():
    """Make each phantom once for all lessons, and those small of which no page shows anything."""
    make = functools.cache(phantoms.make_phantom)

    def make_quickly(seed, spec):
        if spec.modality == "mr" and seed >= SHOWN_MR.stop:
            spec = dataclasses.replace(spec, shape=(8, 64, 64), spacing_mm=(25, 6.5, 6.5))
        return make(seed, spec)

    with mock.patch.object(phantoms, "make_phantom", make_quickly):
        yield


class Notebook(lessons.Session):
    """Runs the cells of the notebook of a lesson in IPython, in place of the blocks of the page.

    Args:
        path: Path of the notebook.
        shell: IPython in this process. Its commands (`!liverseg`) run in this process as well.
    """

    def __init__(self, path, shell):
        super().__init__(_shortened)
        self.pictures, self._shell = 0, shell
        shell.system = self._print_output
        cells = json.loads(path.read_text())["cells"]
        sources = ["".join(cell["source"]) for cell in cells if cell["cell_type"] == "code"]
        self._run_cell(sources[0])  # it installs the package where it is missing
        self.left = sources[1:]

    def run(self, block):
        if lessons.REAL.search(block.text):  # notebooks do not have these
            return super().run(block)
        return self._run_cell(self.left.pop(0))

    def _run_cell(self, source):
        capture = pytest.importorskip("IPython.utils.capture")
        with capture.capture_output() as captured:
            result = self._shell.run_cell(source)
        result.raise_error()
        self.pictures += sum("image/png" in output.data for output in captured.outputs)
        return captured.stdout

    def _print_output(self, command):
        print(super().run(lessons.Block("bash", command)), end="")


@pytest.fixture
def shell():
    """IPython in this process."""
    interactive = pytest.importorskip("IPython.core.interactiveshell").InteractiveShell
    shell = interactive.instance()
    shell.history_manager.enabled = False
    yield shell
    interactive.clear_instance()


@pytest.mark.slow
@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_a_lesson_prints_what_it_shows(page, folder, monkeypatch, request):
    """The lessons run in order, because later lessons use the output of earlier ones.

    The cells of a notebook run in place of the blocks of its page, which are the same.
    """
    monkeypatch.chdir(folder)
    monkeypatch.setenv("COLUMNS", "80")
    path = page.parent / "notebooks" / f"{page.stem}.ipynb"
    if not path.exists():
        session = lessons.Session(_shortened)
    else:
        session = Notebook(path, request.getfixturevalue("shell"))
    wrong = lessons.run_page(page, write=False, session=session)
    assert wrong == [], "\n".join(wrong)
    if path.exists():
        assert session.left == []
        assert session.pictures == path.read_text().count("display(Image(")


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_a_lesson_has_all_parts(page):
    text = page.read_text()
    for part in (
        "**Goal.**",
        "Ten minutes",
        "## With real data",
        "## Exercise",
        "Answer</summary>",
    ):
        assert part in text, part
    steps = list(lessons.steps_of(text))
    assert len(steps) >= 3
    assert all(step.output.text.strip() for step in steps if step.output)


def test_each_lesson_links_to_the_next():
    assert len(PAGES) == 8
    for page, following in itertools.pairwise(PAGES):
        assert f"({following.name})" in page.read_text().splitlines()[-1]


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_a_notebook_agrees_with_its_page(path):
    page = path.parents[1] / f"{path.stem}.md"
    assert json.loads(path.read_text()) == notebooks.notebook_of(page.read_text())


@pytest.mark.slow
def test_a_notebook_runs_in_a_kernel_of_its_own(tmp_path, monkeypatch):
    """As far as the first scores of one notebook, since the cells after them are like it.

    This is enough: `test_a_lesson_prints_what_it_shows` runs all cells of all notebooks, with
    phantoms of the usual size.
    """
    (path,) = (path for path in NOTEBOOKS if path.stem.startswith("7"))
    nbformat = pytest.importorskip("nbformat")
    nbclient = pytest.importorskip("nbclient")
    pytest.importorskip("ipykernel")
    nbformat.validate(notebook := nbformat.read(path, as_version=4))
    scores = [n for n, cell in enumerate(notebook.cells) if "!liverseg evaluate" in cell.source]
    del notebook.cells[scores[0] + 1 :]
    (made,) = (cell for cell in notebook.cells if "!liverseg phantom" in cell.source)
    assert made.source.count("--count 4") == 1
    small = "--count 4 --shape 12 96 96 --spacing 16 4.3 4.3"
    made.source = made.source.replace("--count 4", small)
    # as in an activated environment, so that the kernel uses this Python
    monkeypatch.setenv("PATH", f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}")
    client = nbclient.NotebookClient(
        notebook, timeout=300, resources={"metadata": {"path": str(tmp_path)}}
    )
    client.execute()
    shown = [
        output.get("text", "") + "".join(output.get("data", {}))
        for cell in notebook.cells
        if cell.cell_type == "code"
        for output in cell.outputs
    ]
    assert "phantoms in data_cache/course" in "".join(shown)
    assert "mean of 4" in "".join(shown)
    assert not any("Traceback" in text or "Error:" in text for text in shown)


def test_notebooks_of_the_lessons_that_have_one():
    assert [path.stem[0] for path in NOTEBOOKS] == ["1", "4", "7"]


def _block(language, text):
    return lessons.Block(language, text)


@pytest.mark.parametrize(
    ("language", "shown", "printed", "missing"),
    [
        ("text", "a 1\n", "a 1\n\n", []),
        ("text", "a 1\n", "a 2\n", ["a 1", "(printed as well) a 2"]),
        ("text", "a\n", "a\nb\n", ["(printed as well) b"]),
        ("text", "...\nb\n...\n", "a\nb\nc\n", []),
        ("text", "...\nb\n", "a\nc\n", ["b"]),
        ("text", "a\nc\n", "a\nb\nc\n", ["c", "(printed as well) b"]),
        ("console", "Dice 0.95 ── 3\n", "Dice –  ────  12\n", []),  # noqa: RUF001
        ("console", "Dice 0.95\n", "ASSD 0.95\n", ["Dice #", "(printed as well) ASSD #"]),
    ],
)
def test_differences_between_a_page_and_the_printed_output(language, shown, printed, missing):
    assert lessons.differences(_block(language, shown), printed) == missing


def test_output_is_updated_where_it_was_shown():
    shown = _block("console", "...\n liver 0.1\n...\nwritten: x\n")
    printed = "head\n liver 0.9\n tumour 0.5\nwritten: x\n"
    assert lessons.renewed(shown, printed) == "...\n liver 0.9\n...\nwritten: x\n"
    rows = "case 1\n b 2\ncase 2\n b 9\n"
    shown = _block("console", "...\ncase 2\n b 2\n...\n")
    assert lessons.renewed(shown, rows) == "...\ncase 2\n b 9\n...\n"
    assert lessons.renewed(_block("text", ""), " a  \n") == " a\n"
    with pytest.raises(SystemExit, match="Expected a line like 'spleen"):
        lessons.renewed(_block("text", "...\nspleen of this\n"), "liver\n")


def test_a_command_that_fails_stops_the_page(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    page = tmp_path / "page.md"
    page.write_text("```bash\nliverseg check nowhere\n```\n")
    with pytest.raises(SystemExit, match="liverseg check nowhere"):
        lessons.run_page(page, write=False)
    page.write_text("```bash\nliverseg check nowhere  # exit code 1\n```\n")
    assert lessons.run_page(page, write=False) == []
