import click
import pytest
from click.testing import CliRunner

import liverseg_tf
from liverseg_tf.cli.main import COMMANDS, liverseg
from liverseg_tf.cli.shared import options
from liverseg_tf.ct.regions import LIVER_REGIONS, Regions


def _run(*arguments):
    return CliRunner().invoke(liverseg, [str(argument) for argument in arguments])


def test_help_names_every_command_and_fits_80_columns():
    done = _run("--help")
    assert done.exit_code == 0
    for name in COMMANDS:
        assert f"\n  {name} " in done.output
    assert max(map(len, done.output.splitlines())) <= 80


@pytest.mark.parametrize("name", COMMANDS)
def test_every_option_is_documented_and_its_default_shown(name):
    done = _run(name, "--help")
    assert done.exit_code == 0
    command = liverseg.get_command(click.Context(liverseg), name)
    assert command.help
    for parameter in command.params:
        if isinstance(parameter, click.Option):
            assert parameter.help, f"{name} {parameter.opts}"
            assert parameter.opts[-1] in done.output


def test_version():
    done = _run("--version")
    assert done.output.strip() == f"liverseg, version {liverseg_tf.__version__}"


@pytest.mark.parametrize("arguments", [["--wrong"], ["nothing"], ["train", "--wrong"], ["train"]])
def test_wrong_usage_ends_with_2(arguments):
    done = _run(*arguments)
    assert done.exit_code == 2
    assert "Error" in done.output


def test_the_default_regions_are_those_of_the_library():
    assert Regions.parse(options.LIVER_REGIONS) == LIVER_REGIONS


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_completion_scripts_are_printed(shell):
    done = _run("completion", shell)
    assert done.exit_code == 0
    assert "_LIVERSEG_COMPLETE" in done.output


def test_completion_answers(monkeypatch):
    monkeypatch.setenv("_LIVERSEG_COMPLETE", "bash_complete")
    monkeypatch.setenv("COMP_WORDS", "liverseg pre")
    monkeypatch.setenv("COMP_CWORD", "1")
    done = CliRunner().invoke(liverseg, prog_name="liverseg")
    assert done.output.split() == ["plain,predict", "plain,preprocess"] or (
        "preprocess" in done.output and "train" not in done.output
    )
