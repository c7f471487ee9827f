"""The `liverseg` command; each subcommand is imported when it is asked for."""

from importlib import import_module
from pathlib import Path

import click

import liverseg_tf
from liverseg_tf.cli.shared.command import CONTEXT
from liverseg_tf.cli.shared.config import (
    ORGANS,
    RECIPES,
    load_defaults,
    load_preset,
    merge_defaults,
)

# the order in which data flows
COMMANDS = (
    "demo",
    "phantom",
    "download",
    "check",
    "preprocess",
    "train",
    "crossval",
    "tune",
    "predict",
    "evaluate",
    "view",
    "export",
    "completion",
)


class LazyGroup(click.Group):
    """Finds a command NAME in the module `liverseg_tf.cli.NAME`, under the same name."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in COMMANDS:
            return None
        return getattr(import_module(f"liverseg_tf.cli.{cmd_name}"), cmd_name)


def _load_config(ctx: click.Context, param: click.Parameter, value: Path | None) -> None:
    if value is not None:
        given = load_defaults(value, ctx.command, ctx)
        ctx.default_map = merge_defaults(ctx.default_map or {}, given)


def _load_presets(ctx: click.Context, param: click.Parameter, value: tuple[str, ...]) -> None:
    given: dict = {}
    for name in value:
        given = merge_defaults(given, load_preset(name, ctx.command, ctx))
    # whatever --config says wins, in either order
    ctx.default_map = merge_defaults(given, ctx.default_map or {})


@click.group(cls=LazyGroup, context_settings=CONTEXT)
@click.version_option(liverseg_tf.__version__, prog_name="liverseg")
@click.option(
    "--config",
    type=click.Path(dir_okay=False, path_type=Path),
    callback=_load_config,
    expose_value=False,
    is_eager=True,
    help="TOML file with defaults: sections are commands, keys their options.",
)
@click.option(
    "--preset",
    type=click.Choice([*ORGANS, *RECIPES]),
    multiple=True,
    callback=_load_presets,
    expose_value=False,
    is_eager=True,
    help="Defaults for an organ of the Decathlon, or a recipe of training (tiny, fast, accurate). "
    "May be repeated: the later one wins, --config and the command line before both.",
)
def liverseg() -> None:
    """Segment the liver and its tumours (or other organs) in CT or MR volumes, slice by slice.

    Start with `liverseg demo`, which makes synthetic CTs and runs every stage on them. With
    data of your own: preprocess, train, predict, evaluate.
    """


if __name__ == "__main__":
    liverseg(prog_name="liverseg")
