"""`liverseg demo`: every stage on synthetic CTs, in minutes and without data."""

import shutil
import time
from pathlib import Path

import click

from liverseg_tf.cli import options
from liverseg_tf.cli.command import command

# 3 mm is coarse for a patient and enough for these: two CPU cores finish in minutes
TRAINING = {"spacing": "3", "tile": "128", "test": 0.0, "val": 0.1}


@command("demo")
@click.option(
    "--out",
    type=options.FOLDER,
    default=Path("data_cache/demo"),
    help="Folder of everything that is made; an earlier demo in it is replaced.",
)
@click.option("--cases", type=click.IntRange(2), default=20, help="Phantoms to learn from.")
@click.option("--unseen", type=click.IntRange(1), default=4, help="Phantoms to be scored on.")
@click.option(
    "--minutes", type=click.FloatRange(0, min_open=True), default=3.0, help="Time to train."
)
@click.option("--seed", type=int, default=0, help="Of the phantoms and the training.")
@click.pass_context
def demo(ctx, out, cases, unseen, minutes, seed) -> None:
    """Make synthetic CTs, then preprocess, train, predict, evaluate and draw the result.

    Each stage is the command of its name; the line above its output is what you would type.
    """
    folders = {
        name: out / name for name in ("phantoms", "unseen", "store", "run", "masks", "scores")
    }
    _clear(folders.values())
    phantoms, test, store, run, masks, scores = folders.values()
    stages = {
        "phantoms": [
            ("phantom", [phantoms, "--count", cases, "--seed", seed]),
            ("phantom", [test, "--count", unseen, "--seed", seed + 1_000_000]),
        ],
        "preprocess": [("preprocess", [phantoms, store, *_flags(TRAINING), "--seed", seed])],
        "train": [("train", [store, run, "--minutes", minutes, "--seed", seed])],
        "predict": [("predict", [test, "--model", run, "--out", masks, "--largest", "liver"])],
        "evaluate": [("evaluate", [test, masks, "--out", scores, "--viewers"])],
    }
    seconds = {}
    for stage, calls in stages.items():
        started = time.monotonic()
        for name, arguments in calls:
            _call(ctx, name, [str(argument) for argument in arguments])
        seconds[stage] = time.monotonic() - started
    _summarise(seconds, folders)


def _call(ctx: click.Context, name: str, arguments: list[str]) -> None:
    click.secho(f"$ liverseg {name} {' '.join(arguments)}", bold=True)
    stage = ctx.parent.command.get_command(ctx.parent, name)
    with stage.make_context(name, arguments, parent=ctx.parent) as inner:
        stage.invoke(inner)


def _flags(values: dict) -> list:
    return [part for name, value in values.items() for part in (f"--{name}", value)]


def _clear(folders) -> None:
    for folder in folders:
        if folder.exists():
            shutil.rmtree(folder)


def _summarise(seconds: dict[str, float], folders: dict[str, Path]) -> None:
    from rich.console import Console
    from rich.table import Table

    times = Table(title="Time of each stage")
    times.add_column("stage")
    times.add_column("seconds", justify="right")
    for stage, spent in (seconds | {"all": sum(seconds.values())}).items():
        times.add_row(stage, f"{spent:.1f}")
    Console().print(times)
    click.echo(f"model: {folders['run']}  (curves.png shows how it learnt)")
    click.echo(f"masks: {folders['masks']}")
    click.echo(f"scores: {folders['scores'] / 'scores.csv'}")
    click.echo(f"report: {folders['scores'] / 'report.html'}  (with a viewer for each case)")
