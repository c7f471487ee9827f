import subprocess
import sys

import click
import pytest
from click.testing import CliRunner

import liverseg_tf
from liverseg_tf.cli.main import COMMANDS, liverseg
from liverseg_tf.cli.shared import options
from liverseg_tf.ct.regions import LIVER_REGIONS, Regions


def _run(*arguments):
    return CliRunner().invoke(liverseg, [str(argument) for argument in arguments])


def _command(name):
    return liverseg.get_command(click.Context(liverseg), name)


def test_help_summarises_every_command_in_80_columns():
    done = CliRunner(env={"COLUMNS": "80"}).invoke(liverseg, ["--help"])
    assert done.exit_code == 0
    lines = done.output.splitlines()
    for name in COMMANDS:
        summary = _command(name).help.splitlines()[0]
        assert f"  {name:<10}  {summary}" in lines
    assert max(map(len, lines)) <= 80


@pytest.mark.parametrize("name", COMMANDS)
def test_every_option_is_documented_and_its_default_shown(name):
    done = _run(name, "--help")
    assert done.exit_code == 0
    command = _command(name)
    assert command.help
    for parameter in command.params:
        if isinstance(parameter, click.Option):
            assert parameter.help, f"{name} {parameter.opts}"
            assert parameter.help[0].isupper(), f"{name} {parameter.opts}"
            assert parameter.help.endswith("."), f"{name} {parameter.opts}"
            assert parameter.opts[-1] in done.output


@pytest.mark.parametrize("name", COMMANDS)
def test_out_has_a_short_form(name):
    for parameter in _command(name).params:
        if "--out" in parameter.opts:
            assert parameter.opts == ["-o", "--out"]


def test_version():
    done = _run("--version")
    assert done.output.strip() == f"liverseg, version {liverseg_tf.__version__}"


@pytest.mark.parametrize("arguments", [["--wrong"], ["nothing"], ["train", "--wrong"], ["train"]])
def test_wrong_usage_has_exit_code_2(arguments):
    done = _run(*arguments)
    assert done.exit_code == 2
    assert "Error" in done.output


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["trian"], "No such command 'trian'. Did you mean 'train'?"),
        (["evalute", "a", "b"], "No such command 'evalute'. Did you mean 'evaluate'?"),
        (["xyz"], "No such command 'xyz'.\n"),
        (
            ["train", "--preset", "fast", "STORE", "RUN"],
            "--preset belongs before the command: liverseg --preset fast train ...",
        ),
        (
            ["train", "STORE", "RUN", "--preset=fast"],
            "--preset belongs before the command: liverseg --preset=fast train ...",
        ),
        (
            ["predict", "--config", "my settings.toml", "CT"],
            "--config belongs before the command: liverseg --config 'my settings.toml' predict ...",
        ),
        (
            ["check", "--version"],
            "--version belongs before the command: liverseg --version check ...",
        ),
        (["train", "--wrong"], "No such option"),
    ],
)
def test_mistyped_commands_and_misplaced_options_are_explained(arguments, says):
    done = _run(*arguments)
    assert done.exit_code == 2
    assert says in done.output


def test_the_package_can_be_run():
    done = subprocess.run(
        [sys.executable, "-m", "liverseg_tf", "--version"],
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout.strip() == f"liverseg, version {liverseg_tf.__version__}"


def test_the_default_regions_are_those_of_the_library():
    assert Regions.parse(options.LIVER_REGIONS) == LIVER_REGIONS


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_completion_scripts_are_printed(shell):
    done = _run("completion", shell)
    assert done.exit_code == 0
    assert "_LIVERSEG_COMPLETE" in done.output


def test_completion_of_a_command(monkeypatch):
    monkeypatch.setenv("_LIVERSEG_COMPLETE", "bash_complete")
    monkeypatch.setenv("COMP_WORDS", "liverseg pre")
    monkeypatch.setenv("COMP_CWORD", "1")
    done = CliRunner().invoke(liverseg, prog_name="liverseg")
    assert done.output.split() == ["plain,predict", "plain,preprocess"] or (
        "preprocess" in done.output and "train" not in done.output
    )
