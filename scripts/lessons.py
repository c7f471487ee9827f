"""Run the lessons of the course, and compare or update the output that they show.

    python scripts/lessons.py docs/course/[1-8]*.md            # compare
    python scripts/lessons.py docs/course/[1-8]*.md --write    # update

The commands run in the current folder. A page consists of text and of these blocks:

- `bash` (commands of liverseg) and `python`: run in their order, in one folder. A command with the
  comment `# exit code 1` must end with this exit code. Commands that use a folder of data_cache
  other than `data_cache/course` are for real data; they are skipped if `data_cache/raw` is missing.
- `text` or `console`, after such a block: its output. A `text` block is the same on every machine.
  The numbers in a `console` block, for example scores after a training, are those of the machine
  on which the page was updated. A line `...` stands for any number of omitted lines.
- all others, such as `sh` and `toml`: not run.
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
    """A fenced block of a page.

    Args:
        language: Language after the opening fence, such as bash, python, text or console.
        text: Lines between the fences.
        span: Start and end of the text in the page.
        fence: Start and end of the block in the page, including its fences.
    """

    language: str
    text: str
    span: tuple[int, int] = (0, 0)
    fence: tuple[int, int] = (0, 0)


@dataclass(frozen=True)
class Step:
    """A block that is run, and the output block after it, if there is one."""

    source: Block
    output: Block | None


@dataclass
class Session:
    """Runs commands in this process, and all Python blocks in one namespace.

    Args:
        arguments: Function that replaces the arguments of a command; tests use it to shorten
            trainings.
        names: Namespace of the Python blocks.
    """

    arguments: Callable[[list[str]], list[str]] = lambda words: words
    names: dict = field(default_factory=dict)

    def run(self, block: Block) -> str:
        """Run a block and return its standard output.

        Raises:
            SystemExit: If a command does not end with the expected exit code; with its output.
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
            raise SystemExit(f"Expected a command of liverseg. Received: {' '.join(words)}")
        result = CliRunner().invoke(liverseg, self.arguments(words[1:]))
        if result.exit_code != exit_code:
            raise SystemExit(f"{' '.join(words)}\n{result.output}") from result.exception
        return result.stdout


def commands_of(block: Block) -> list[tuple[list[str], int]]:
    """List the commands of a block, each as words and its expected exit code."""
    commands = []
    for line in block.text.replace("\\\n", " ").splitlines():
        words = shlex.split(line, comments=True)
        code = re.search(r"# exit code (\d+)$", line)
        if words:
            commands.append((words, int(code[1]) if code else 0))
    return commands


def blocks_of(page: str) -> list[Block]:
    """List the fenced blocks of a page in their order."""
    return [
        Block(match[1], match[2], match.span(2), match.span()) for match in _FENCE.finditer(page)
    ]


def steps_of(page: str) -> Iterator[Step]:
    """Yield the blocks of a page that are run, each with the output block after it."""
    blocks = blocks_of(page)
    for block, following in zip(blocks, [*blocks[1:], None], strict=True):
        if block.language in ("bash", "python"):
            is_output = following is not None and following.language in ("text", "console")
            yield Step(block, following if is_output else None)


def differences(shown: Block, printed: str) -> list[str]:
    """Compare an output block with the output of a run.

    Every line of the block must be printed, in the same order. Lines without `...` between them
    must be printed directly after each other. In a `console` block, numbers are not compared.

    Args:
        shown: Output block of the page.
        printed: Output of the run.

    Returns:
        Lines of the block that were not printed, and the first printed line that the block lacks.
    """
    normalise = _without_numbers if shown.language == "console" else str.rstrip
    lines = [normalise(line) for line in printed.strip("\n").splitlines()]
    position, after_gap, missing = 0, False, []
    for line in map(normalise, shown.text.strip("\n").splitlines()):
        if line == _GAP:
            after_gap = True
            continue
        candidates = lines[position:] if after_gap else lines[position : position + 1]
        if line in candidates:
            position, after_gap = position + candidates.index(line) + 1, False
        else:
            missing.append(line)
    if not after_gap and position < len(lines):
        missing.append(f"(printed as well) {lines[position]}")
    return missing


def renewed(shown: Block, printed: str) -> str:
    """Return the text of an output block with the lines of a new run; lines `...` are kept.

    Args:
        shown: Output block of the page.
        printed: Output of the run.

    Raises:
        SystemExit: If no printed line is similar to a line of the block.
    """
    lines = [line.rstrip() for line in printed.strip("\n").splitlines()]
    old = shown.text.strip("\n").splitlines()
    if _GAP not in old:
        return "\n".join(lines) + "\n"
    new: list[str] = []
    for line in old:
        if line == _GAP:
            new.append(line)
            continue
        same_form = [one for one in lines if _without_numbers(one) == _without_numbers(line)]
        if new and new[-1] != _GAP and same_form[:1] == lines[:1]:
            closest = same_form[:1]  # directly after the previous line, as in the page
        else:
            closest = difflib.get_close_matches(line, same_form or lines, n=1, cutoff=0.6)
        if not closest:
            raise SystemExit(f"Expected a line like {line!r} in:\n{printed}")
        lines = lines[lines.index(closest[0]) + 1 :]
        new.append(closest[0])
    return "\n".join(new) + "\n"


def _without_numbers(line: str) -> str:
    line = re.sub(r"[─━]+", "─", line)
    line = re.sub(r"[-+]?\d[\d.,]*|\bnan\b|(?<= )\u2013(?= |$)", "#", line)
    return re.sub(r" +", " ", line).strip()


def run_page(path: Path, write: bool, session: Session | None = None) -> list[str]:
    """Run a page in the current folder.

    Args:
        path: Path of the page.
        write: Whether to update the output in the page instead of comparing it.
        session: Session that runs the blocks; None for a new one.

    Returns:
        Differences: each line that was not printed, preceded by the block that should print it.
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
    parser.add_argument("--write", action="store_true", help="Update the output in the pages.")
    options = parser.parse_args()
    failed = False
    for page in options.pages:
        wrong = run_page(page, options.write)
        count = "1 line differs" if len(wrong) == 1 else f"{len(wrong)} lines differ"
        print(f"{page}: {count}", *wrong, sep="\n")
        failed |= bool(wrong)
    raise SystemExit(failed)


if __name__ == "__main__":
    main()
