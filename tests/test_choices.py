"""Each choice is named once, in `choices.py`: the commands and the code offer the same names."""

import click
import pytest

from liverseg_tf import choices
from liverseg_tf.cli.main import COMMANDS, liverseg
from liverseg_tf.dataset import cases
from liverseg_tf.evaluate.protocols import scoring
from liverseg_tf.tiles import store

NAMES = {name: value for name, value in vars(choices).items() if name.isupper()}


@pytest.mark.parametrize(
    ("implemented", "names"),
    [
        (cases._FIND_BY_LAYOUT, choices.LAYOUTS),
        (scoring.PROTOCOLS, choices.PROTOCOLS),
        (store._FILE_FORMATS, choices.STORAGES),
    ],
    ids=["layouts", "protocols", "storages"],
)
def test_every_name_is_implemented(implemented, names):
    assert tuple(implemented) == names


def test_no_name_is_listed_twice():
    for names in NAMES.values():
        assert len(set(names)) == len(names)


@pytest.mark.parametrize("name", COMMANDS)
def test_commands_offer_these_names(name):
    command = liverseg.get_command(click.Context(liverseg), name)
    for parameter in command.params:
        if isinstance(parameter.type, click.Choice) and parameter.name != "shell":
            assert tuple(parameter.type.choices) in NAMES.values(), parameter.name
