"""Foreign text on the terminal, and output that cannot be written."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner
from rich.table import Table

from liverseg_tf.cli.main import liverseg
from liverseg_tf.cli.shared.command import command
from liverseg_tf.cli.shared.terminal import print_error, say, say_table, say_warnings
from liverseg_tf.errors import LiverSegError

NAME = b"a\x1b[31m\xff\n".decode(errors="surrogateescape")
SHOWN = "a\\x1b[31m\\xff"
COMMANDS = {
    "text": "say('x' * 1_000_000)",
    "json": "say_json({'x': list(range(100_000))})",
    "table": "say_table('x' * 10_000)",
}


@pytest.mark.parametrize("err", [False, True])
def test_names_are_no_terminal_commands(capfd, err):
    say(NAME, Path(NAME), err=err)
    shown = capfd.readouterr()[err]
    assert shown == f"{SHOWN}\\x0a\n{SHOWN}\\x0a\n"


def test_an_error_is_one_line(capsys):
    print_error(f"{NAME} is missing:\n no such file")
    assert capsys.readouterr().err == f"Error: {SHOWN} is missing: no such file\n"


def test_a_warning_names_its_cases_once(capsys):
    say_warnings({f"case_{n}": ("old",) for n in range(12)} | {"x\x1b": ("old", "new")})
    lines = capsys.readouterr().err.splitlines()
    assert lines[0].startswith("Warning: old (cases case_0, case_1, ")
    assert lines[0].endswith("case_9 and 3 more)")
    assert lines[1] == "Warning: new (case x\\x1b)"


def test_names_in_a_table_are_no_markup(capsys):
    table = Table("case")
    table.add_row("[bold]x[/bold] :smile: [/]")
    say_table(table)
    assert "[bold]x[/bold] :smile: [/]" in capsys.readouterr().out


@pytest.mark.parametrize("words", [[NAME], ["check", f"--{NAME}"], ["--config", NAME, "check"]])
def test_usage_errors_show_names(words):
    done = CliRunner().invoke(liverseg, words)
    assert done.exit_code == 2
    assert "\\x1b[31m" in done.stderr
    assert "\x1b[31m" not in done.stderr


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs /dev/full")
@pytest.mark.parametrize("kind", COMMANDS)
def test_a_full_disk_is_a_failure(kind):
    code = (
        "from liverseg_tf.cli.shared.command import command\n"
        "from liverseg_tf.cli.shared.terminal import say, say_json, say_table\n"
        f"@command('x')\ndef x(): {COMMANDS[kind]}\nx()"
    )
    with open("/dev/full", "w") as full:
        done = subprocess.run([sys.executable, "-c", code], stdout=full, stderr=subprocess.PIPE)
    lines = done.stderr.decode().splitlines()
    assert done.returncode == 1
    assert len(lines) == 1
    assert lines[0].startswith("Error: Expected to write the results to standard output.")


def test_characters_that_a_terminal_cannot_show_are_escaped():
    code = (
        "from liverseg_tf.cli.shared.command import command\n"
        "from liverseg_tf.cli.shared.terminal import say, say_table\n"
        "from rich.table import Table\n"
        "table = Table('\u809d')\ntable.add_row('\u2013')\n"
        "@command('x')\ndef x():\n    say('\u809d')\n    say_table(table)\nx()"
    )
    environment = os.environ | {"PYTHONIOENCODING": "cp1252"}
    done = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True)
    assert done.returncode == 0, done.stderr.decode()
    assert done.stdout.startswith(b"\\u809d")


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs /dev/full")
def test_a_full_disk_fails_help_in_one_line():
    with open("/dev/full", "w") as full:
        done = subprocess.run(
            [sys.executable, "-m", "liverseg_tf", "--help"], stdout=full, stderr=subprocess.PIPE
        )
    assert done.returncode == 1
    assert done.stderr.decode().count("\n") == 1


def test_a_closed_pipe_ends_quietly_but_not_with_success():
    code = (
        "from liverseg_tf.cli.shared.command import command\n"
        "from liverseg_tf.cli.shared.terminal import say\n"
        "@command('x')\ndef x(): say('x' * 1_000_000)\nx()"
    )
    process = subprocess.Popen(
        [sys.executable, "-c", code], stdout=subprocess.PIPE, stderr=subprocess.PIPE
    )
    process.stdout.close()
    assert process.stderr.read() == b""
    assert process.wait(30) == 1


@pytest.mark.parametrize(
    ("error", "shown"),
    [
        (LiverSegError("wrong"), "Error: wrong"),
        (PermissionError(13, "Permission denied", "/x"), "Expected access to /x. Received: Perm"),
        (MemoryError(), "Not enough memory"),
    ],
)
def test_errors_of_the_machine_are_one_line(error, shown):
    @command("x")
    def failing():
        raise error

    done = CliRunner().invoke(failing)
    assert isinstance(done.exception, SystemExit)
    assert done.exit_code == 1
    assert shown in done.stderr
    assert done.stderr.count("\n") == 1
