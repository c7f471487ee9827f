"""Runs the lessons of the course, and renews the output in them.

    python scripts/lessons.py docs/course/[1-8]*.md            # runs and compares, in this folder
    python scripts/lessons.py docs/course/[1-8]*.md --write    # runs and renews

What a page shows: blocks of commands (`bash`) and of Python, run in their order in one folder, and
after some of them what they print. A command with the comment `# exit code 1` has to end so. `text`
is what every machine prints; in `console` the numbers are those of the machine on which the page
was renewed, as after a training. A line `...` in either stands for lines that are left out.
Commands on other folders of data_cache than `data_cache/course` are for real data: they are passed
over where there is no `data_cache/raw`. Blocks of `sh` and `toml` are not run.
"""

import argparse
import contextlib
import difflib
import io
import os
import re
import shlex
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

_FENCE = re.compile(r"^```(\w+)\n(.*?)^```$", re.DOTALL | re.MULTILINE)
RAW, REAL = "data_cache/raw", re.compile(r"\bdata_cache/(?!course\b)")
_GAP = "..."


@dataclass(frozen=True)
class Block:
    """A fenced block.

    Args:
        language: bash, python, text, console, or another.
        text: the lines between the fences.
        span: where the text begins and ends in the page.
        fence: where the block does, its fences included.
    """

    language: str
    text: str
    span: tuple[int, int] = (0, 0)
    fence: tuple[int, int] = (0, 0)


@dataclass(frozen=True)
class Step:
    """What is run, and the output that follows it in the page, if any."""

    source: Block
    output: Block | None


@dataclass
class Session:
    """Runs commands in this process and Python in one namespace.

    Args:
        arguments: what is given to a command in place of its words, to make tests short.
    """

    arguments: Callable[[list[str]], list[str]] = lambda words: words
    names: dict = field(default_factory=dict)

    def run(self, block: Block) -> str:
        """What the block prints on stdout.

        Raises:
            SystemExit: when a command fails, with what it printed.
        """
        if block.language == "python":
            printed = io.StringIO()
            with contextlib.redirect_stdout(printed):
                exec(compile(block.text, "lesson", "exec"), self.names)
            return printed.getvalue()
        return "".join(self._command(*command) for command in commands_of(block))

    def _command(self, words: list[str], exit_code: int) -> str:
        from click.testing import CliRunner

        from liverseg_tf.cli.main import liverseg

        if any(map(REAL.match, words)) and not Path(RAW).exists():
            return ""
        if words[0] != "liverseg":
            raise SystemExit(f"Expected a command of liverseg. Received {' '.join(words)!r}.")
        done = CliRunner().invoke(liverseg, self.arguments(words[1:]))
        if done.exit_code != exit_code:
            raise SystemExit(f"{' '.join(words)}\n{done.output}") from done.exception
        return done.stdout


def commands_of(block: Block) -> list[tuple[list[str], int]]:
    """The commands of a block as words, and the exit code that each shall have."""
    commands = []
    for line in block.text.replace("\\\n", " ").splitlines():
        words = shlex.split(line, comments=True)
        code = re.search(r"# exit code (\d+)$", line)
        if words:
            commands.append((words, int(code[1]) if code else 0))
    return commands


def blocks_of(page: str) -> list[Block]:
    return [
        Block(found[1], found[2], found.span(2), found.span()) for found in _FENCE.finditer(page)
    ]


def steps_of(page: str) -> Iterator[Step]:
    """What a page runs, in order, each with the output block next to it."""
    blocks = blocks_of(page)
    for block, after in zip(blocks, [*blocks[1:], None], strict=True):
        if block.language in ("bash", "python"):
            shown = after is not None and after.language in ("text", "console")
            yield Step(block, after if shown else None)


def differences(shown: Block, printed: str) -> list[str]:
    """Lines of the page that were not printed, in their order.

    Every line of the page has to be printed, and those between which no `...` stands one right
    after the other. In a `console` block any number stands for any other.
    """
    plain = _without_numbers if shown.language == "console" else str.rstrip
    lines = [plain(line) for line in printed.strip("\n").splitlines()]
    place, free, missing = 0, False, []
    for line in map(plain, shown.text.strip("\n").splitlines()):
        if line == _GAP:
            free = True
            continue
        reach = lines[place:] if free else lines[place : place + 1]
        if line in reach:
            place, free = place + reach.index(line) + 1, False
        else:
            missing.append(line)
    if not free and place < len(lines):
        missing.append(f"(printed as well) {lines[place]}")
    return missing


def renewed(shown: Block, printed: str) -> str:
    """The text of an output block with what was printed; `...` keeps its place.

    Raises:
        SystemExit: when a line of the page has no likeness in what was printed.
    """
    lines = [line.rstrip() for line in printed.strip("\n").splitlines()]
    old = shown.text.strip("\n").splitlines()
    if _GAP not in old:
        return "\n".join(lines) + "\n"
    kept: list[str] = []
    for line in old:
        if line == _GAP:
            kept.append(line)
            continue
        alike = [one for one in lines if _without_numbers(one) == _without_numbers(line)]
        if kept and kept[-1] != _GAP and alike[:1] == lines[:1]:
            closest = alike[:1]  # the line after the one before
        else:
            closest = difflib.get_close_matches(line, alike or lines, n=1, cutoff=0.6)
        if not closest:
            raise SystemExit(f"Expected a line like {line!r} in:\n{printed}")
        lines = lines[lines.index(closest[0]) + 1 :]
        kept.append(closest[0])
    return "\n".join(kept) + "\n"


def _without_numbers(line: str) -> str:
    line = re.sub(r"[─━]+", "─", line)
    line = re.sub(r"[-+]?\d[\d.,]*|\bnan\b|(?<= )\u2013(?= |$)", "#", line)
    return re.sub(r" +", " ", line).strip()


def run_page(path: Path, write: bool, session: Session | None = None) -> list[str]:
    """Run a page in the current folder.

    Args:
        path: of the page.
        write: renew its output instead of comparing it.
        session: a new one where None.

    Returns:
        Each line of its output that was not printed, after the block that should have.
    """
    session = session or Session()
    page, wrong, changes = path.read_text(), [], []
    for step in steps_of(page):
        printed = session.run(step.source)
        if step.output is None:
            continue
        if write:
            changes.append((step.output, renewed(step.output, printed)))
        else:
            wrong += [f"{step.source.text}{line}" for line in differences(step.output, printed)]
    for block, text in reversed(changes):
        start, end = block.span
        page = page[:start] + text + page[end:]
    if write:
        path.write_text(page)
    return wrong


def main() -> None:
    os.environ |= {"COLUMNS": "80", "TF_ENABLE_ONEDNN_OPTS": "1"}
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("pages", type=Path, nargs="+")
    parser.add_argument("--write", action="store_true", help="Renew the output in the pages.")
    options = parser.parse_args()
    failed = False
    for page in options.pages:
        wrong = run_page(page, options.write)
        print(f"{page}: {len(wrong)} lines differ", *wrong, sep="\n")
        failed |= bool(wrong)
    raise SystemExit(failed)


if __name__ == "__main__":
    main()
