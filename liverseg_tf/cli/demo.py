"""`liverseg demo`: every stage on synthetic CTs, in minutes and without data."""

import shutil
import time
from pathlib import Path

import click

from liverseg_tf.cli.shared import options
from liverseg_tf.cli.shared.command import command

# 3 mm and a narrow network are coarse for a patient and enough for these: two CPU cores finish
# in minutes. In so short a run, strong augmentation and the worst voxels cost more than they bring.
TILES = {"--spacing": 3, "--tile": 128, "--test": 0, "--val": 0.1}
TRAINING = {"--base-filters": 8, "--augment": 0.5, "--loss": "dice-ce"}
LIVER = ["--region", "liver=1,2"]


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
    "--minutes", type=click.FloatRange(0, min_open=True), default=3.5, help="Time to train."
)
@click.option("--seed", type=int, default=0, help="Of the phantoms and the training.")
@click.pass_context
def demo(ctx, out, cases, unseen, minutes, seed) -> None:
    """Make synthetic CTs, then preprocess, train, predict, evaluate and draw the result.

    Each stage is the command of its name; the line above its output is what you would type. It
    learns the liver alone: tumours of a few millilitres take longer than minutes.
    """
    folders = {
        name: out / name for name in ("phantoms", "unseen", "store", "run", "masks", "scores")
    }
    _clear(out, folders.values())
    phantoms, test, store, run, masks, scores = folders.values()
    stages = {
        "phantoms": [
            ("phantom", [phantoms, "--count", cases, "--seed", seed]),
            ("phantom", [test, "--count", unseen, "--seed", seed + 1_000_000]),
        ],
        "preprocess": [("preprocess", [phantoms, store, *_flat(TILES), "--seed", seed])],
        "train": [
            ("train", [store, run, *LIVER, *_flat(TRAINING), "--minutes", minutes, "--seed", seed])
        ],
        "predict": [("predict", [test, "--model", run, "--out", masks, "--largest", "liver"])],
        "evaluate": [("evaluate", [test, masks, "--out", scores, *LIVER, "--viewers"])],
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


def _flat(values: dict) -> list:
    return [part for pair in values.items() for part in pair]


def _clear(out: Path, folders) -> None:
    """Remove an earlier demo; what is no demo's is left alone."""
    marker = out / ".liverseg-demo"
    found = [folder for folder in folders if folder.exists()]
    if found and not marker.exists():
        raise click.UsageError(
            f"Expected an empty folder or an earlier demo at {out}. Received one that holds "
            f"{found[0].name}/."
        )
    for folder in found:
        shutil.rmtree(folder)
    out.mkdir(parents=True, exist_ok=True)
    marker.touch()


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
