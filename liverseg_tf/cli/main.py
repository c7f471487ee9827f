"""The `liverseg` command. Each subcommand is imported only when it is used."""

import difflib
from importlib import import_module
from pathlib import Path

import click

import liverseg_tf
from liverseg_tf.choices import ORGAN_PRESETS, TRAINING_PRESETS
from liverseg_tf.cli.shared.command import CONTEXT
from liverseg_tf.cli.shared.config import load_defaults, load_preset, merge_defaults
from liverseg_tf.cli.shared.terminal import printable_usage_errors

# the order in which data flows
COMMANDS = (
    "demo",
    "phantom",
    "download",
    "check",
    "plan",
    "preprocess",
    "train",
    "crossval",
    "runs",
    "tune",
    "trust",
    "pack",
    "models",
    "predict",
    "evaluate",
    "convert",
    "to-nnunet",
    "view",
    "export",
    "serve",
    "node",
    "serve-web",
    "info",
    "completion",
)


class LazyGroup(click.Group):
    """A group that imports the command NAME from the module `liverseg_tf.cli.NAME`.

    A hyphen in a name is an underscore in that of its module.
    """

    def make_context(self, *args, **kwargs) -> click.Context:
        with printable_usage_errors():
            return super().make_context(*args, **kwargs)

    def invoke(self, ctx: click.Context) -> object:
        with printable_usage_errors():
            return super().invoke(ctx)

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in COMMANDS:
            return None
        name = cmd_name.replace("-", "_")
        return getattr(import_module(f"liverseg_tf.cli.{name}"), name)

    def resolve_command(self, ctx: click.Context, args: list[str]):
        name = args[0]
        if name not in COMMANDS and not name.startswith("-") and not ctx.resilient_parsing:
            nearest = difflib.get_close_matches(name, COMMANDS, 1)
            suggestion = f" Did you mean '{nearest[0]}'?" if nearest else ""
            ctx.fail(f"No such command '{name}'.{suggestion}")
        return super().resolve_command(ctx, args)


def _load_config(ctx: click.Context, param: click.Parameter, value: Path | None) -> None:
    if value is not None:
        defaults = load_defaults(value, _group_of(ctx), ctx)
        ctx.default_map = merge_defaults(ctx.default_map or {}, defaults)


def _load_presets(ctx: click.Context, param: click.Parameter, value: tuple[str, ...]) -> None:
    defaults: dict = {}
    for name in value:
        defaults = merge_defaults(defaults, load_preset(name, _group_of(ctx), ctx))
    # --config overrides presets, whichever of them comes first on the command line
    ctx.default_map = merge_defaults(defaults, ctx.default_map or {})


def _group_of(ctx: click.Context) -> click.Group:
    assert isinstance(ctx.command, click.Group), "both options belong to the group"
    return ctx.command


@click.group(cls=LazyGroup, context_settings=CONTEXT)
@click.version_option(liverseg_tf.__version__, prog_name="liverseg")
@click.option(
    "--config",
    type=click.Path(dir_okay=False, path_type=Path),
    callback=_load_config,
    expose_value=False,
    is_eager=True,
    help="TOML file with default values: one section per command, one key per option.",
)
@click.option(
    "--preset",
    type=click.Choice([*ORGAN_PRESETS, *TRAINING_PRESETS]),
    multiple=True,
    callback=_load_presets,
    expose_value=False,
    is_eager=True,
    help="Default values for an organ (liver, spleen, pancreas, prostate) or for training (tiny, "
    "fast, accurate). Repeatable; later presets override earlier ones. --config and options "
    "override presets.",
)
def liverseg() -> None:
    """Segment organs and tumours in CT or MR volumes with a 2D U-Net.

    Start with `liverseg demo`, which creates synthetic CTs and runs every stage on them. For
    your own data, use check, preprocess, train, predict and evaluate, in this order.

    \b
    --config and --preset belong before the command:
        liverseg --preset fast train STORE RUN
    """
