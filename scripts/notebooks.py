"""Convert lessons that do not depend on other lessons to notebooks.

python scripts/notebooks.py docs/course/[147]*.md    # writes docs/course/notebooks
"""

import argparse
import json
import re
from pathlib import Path

from lessons import REAL, Block, blocks_of

_SETUP = """\
# If liverseg_tf is missing (as on Colab), this cell installs it with pip from SOURCE: the source
# folder, or the address of the repository in the form git+https://...
import importlib.util

SOURCE = "."
if importlib.util.find_spec("liverseg_tf") is None:
    %pip install --quiet $SOURCE"""


def notebook_of(page: str) -> dict:
    """Return the notebook (nbformat 4.5) of a page: text, commands and Python, without output.

    Pictures of the page are omitted. Pictures that a cell writes are displayed by this cell.
    """
    cells, position = [_cell("code", _SETUP)], 0
    for block in blocks_of(page):
        runs = block.language in ("bash", "python") and not REAL.search(block.text)
        if not runs and block.language not in ("text", "console"):
            continue  # the block remains part of the text
        start, end = block.fence
        cells.append(_cell("markdown", _prose(page[position:start])))
        if runs:
            cells.append(_cell("code", _code(block)))
        position = end
    cells.append(_cell("markdown", _prose(page[position:])))
    cells = [cell for cell in cells if cell["source"]]
    for number, cell in enumerate(cells):
        cell["id"] = f"cell-{number}"
    kernel = {"display_name": "Python 3", "language": "python", "name": "python3"}
    metadata = {"kernelspec": kernel, "language_info": {"name": "python"}}
    return {"cells": cells, "metadata": metadata, "nbformat": 4, "nbformat_minor": 5}


def _cell(kind: str, text: str) -> dict:
    cell = {"cell_type": kind, "metadata": {}, "source": text.splitlines(keepends=True)}
    return cell | ({"execution_count": None, "outputs": []} if kind == "code" else {})


def _prose(text: str) -> str:
    text = re.sub(r"^!\[.*\n?", "", text, flags=re.MULTILINE)
    text = re.sub(r"</?details.*>\n?", "", text)
    text = re.sub(r"<summary>(.*?)</summary>", r"**\1**", text)
    return re.sub(r"\]\((?!https?:)[^)]*\)", "]", text).strip()


def _code(block: Block) -> str:
    """Return the code of a cell that runs a block and displays the pictures that it writes."""
    text = block.text.strip()
    pictures = re.findall(r"[\w-]+\.png", text)
    if block.language == "bash":
        text = re.sub(r"^(?=liverseg)", "!", text, flags=re.MULTILINE)
    if not pictures:
        return text
    shows = [f'display(Image("{picture}"))' for picture in pictures]
    return "\n".join([text, "", "from IPython.display import Image", "", *shows])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("pages", type=Path, nargs="+")
    for page in parser.parse_args().pages:
        notebook = page.parent / "notebooks" / f"{page.stem}.ipynb"
        notebook.parent.mkdir(exist_ok=True)
        text = json.dumps(notebook_of(page.read_text()), indent=1, ensure_ascii=False)
        notebook.write_text(text + "\n")


if __name__ == "__main__":
    main()
