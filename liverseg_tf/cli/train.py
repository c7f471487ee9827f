"""`liverseg train`: stage 2."""

import math
import time

import click

from liverseg_tf.cli import options
from liverseg_tf.cli.command import command
from liverseg_tf.cli.progress import progress


@command("train")
@click.argument("store", type=options.FOLDER)
@click.argument("run", type=options.FOLDER)
@options.region
@click.option("--epochs", type=click.IntRange(1), default=50, help="Rounds of training.")
@click.option(
    "--steps-per-epoch", type=click.IntRange(1), default=100, help="Batches in each round."
)
@click.option(
    "--minutes",
    type=click.FloatRange(0, min_open=True),
    help="Train for this wall-clock time instead of --epochs; the learning rate falls with it.",
)
@click.option("--batch-size", type=click.IntRange(1), default=8, help="Tiles in a batch.")
@click.option("--learning-rate", type=float, default=2e-3, help="At its peak, of AdamW.")
@click.option("--weight-decay", type=float, default=1e-4, help="Of AdamW.")
@click.option("--context", type=click.IntRange(1), default=1, help="Slices seen at once, odd.")
@click.option(
    "--base-filters", type=click.IntRange(1), default=16, help="Filters of the first level."
)
@click.option("--depth", type=click.IntRange(1, 7), default=4, help="Levels of pooling.")
@click.option(
    "--normalisation",
    type=click.Choice(["batch", "instance", "none"]),
    default="batch",
    help="Of the features.",
)
@click.option("--dropout", type=float, default=0.0, help="Rate at the two lowest levels.")
@click.option(
    "--foreground",
    type=click.FloatRange(0, 1),
    default=1 / 3,
    show_default="1/3",
    help="Share of a batch from slices that hold a region.",
)
@click.option(
    "--augment",
    type=click.FloatRange(0, 3),
    default=1.0,
    help="Strength of the augmentation; 0 is none.",
)
@click.option(
    "--mirror", is_flag=True, help="Mirror left and right too: for organs that have no side."
)
@click.option("--seed", type=int, default=0, help="Of weights, batches and augmentation.")
@click.option(
    "--tune/--no-tune",
    default=True,
    help="Choose the post-processing on the validation cases at the end; see `liverseg tune`.",
)
def train(store, run, tune, **settings) -> None:
    """Train a U-Net on STORE's training cases and write it to the new folder RUN.

    RUN holds the model with the best validation Dice (3D, per case), run.json, log.csv and
    curves.png: all that is needed to predict.
    """
    started = time.monotonic()
    from liverseg_tf.tiles.store import TileStore
    from liverseg_tf.train.settings import TrainSettings

    settings, tiles = TrainSettings(**settings), TileStore.open(store)

    from liverseg_tf.cli.tensorflow import import_tensorflow

    import_tensorflow()
    from liverseg_tf.train.fit import train as fit

    with progress("train", 1) as show:
        trained = fit(tiles, run, settings, lambda now: show(now.share, _note(now)), started)
    for name in trained.absent:
        click.echo(f"Note: no training slice holds {name!r}; the model can't find it.", err=True)
    if not tiles.split["val"]:
        click.echo("Note: no validation cases; Dice was measured on training cases.", err=True)
    dice = ", ".join(f"{name} {value:.3f}" for name, value in trained.dice.items())
    click.echo(f"{trained.steps} steps in {trained.seconds:.0f} s; best Dice: {dice}; run: {run}")
    if tune and tiles.split["val"]:
        from liverseg_tf.predict.tune import tune_run

        click.echo(f"Post-processing: {tune_run(run, tiles).chosen}")


def _note(now) -> str:
    best = "" if math.isnan(now.dice) else f", Dice {now.dice:.3f}"
    return f"epoch {now.epoch}, loss {now.loss:.3f}{best}"
