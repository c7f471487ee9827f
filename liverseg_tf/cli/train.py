"""`liverseg train`: stage 2."""

import math
import time
from pathlib import Path

import click

from liverseg_tf.cli.shared import options
from liverseg_tf.cli.shared.command import FAILED, command, complain
from liverseg_tf.cli.shared.progress import progress
from liverseg_tf.cli.shared.train_options import settings_and_execution, train_options


@command("train")
@click.argument("store", type=options.FOLDER)
@click.argument("run", type=options.FOLDER)
@train_options
@click.option(
    "--fold",
    metavar="K/N",
    help="Validate on the K-th of N parts of the patients, train on the others; see `crossval`.",
)
@click.option(
    "--hosts",
    type=click.Choice(["tf-config", "slurm"]),
    help="Learn together with other hosts, which run this command too.",
)
@click.option(
    "--tune/--no-tune",
    default=True,
    help="Choose thresholds and post-processing on the validation cases at the end; see "
    "`liverseg tune`.",
)
@click.option(
    "--dry-run", is_flag=True, help="Tell parameters, memory, steps and time, and train nothing."
)
@click.option(
    "--show-batch",
    type=click.Path(dir_okay=False, path_type=Path),
    metavar="PNG",
    help="Draw the first batch, augmented, into this file, and train nothing.",
)
@click.option(
    "--show-network",
    type=click.Path(dir_okay=False, path_type=Path),
    metavar="PNG",
    help="Draw the network, its shapes and what it sees, into this file, and train nothing.",
)
def train(store, run, fold, hosts, tune, dry_run, show_batch, show_network, **given) -> None:
    """Train a U-Net on STORE's training cases and write it to the new folder RUN.

    RUN holds the model with the best validation Dice (3D, per case), run.json, log.csv,
    validation.csv and curves.png: all that is needed to predict. A run that was interrupted goes on
    where the same command is given again.
    """
    started = time.monotonic()
    from liverseg_tf.tiles.store import TileStore

    settings, ways = settings_and_execution(given)
    tiles = TileStore.open(store)
    if fold is not None:
        tiles = tiles.in_fold(fold)

    from liverseg_tf.cli.shared.tensorflow import import_tensorflow

    import_tensorflow()
    if show_batch is not None or show_network is not None:
        _show(tiles, settings, show_batch, show_network)
        return
    way = execution_options(ways, started, hosts)
    if dry_run:
        from liverseg_tf.train.preview.dry_run import plan

        for line in plan(tiles, settings, way):
            click.echo(line)
        return
    train_one(tiles, run, settings, way, tune)


def _show(tiles, settings, batch: Path | None, network: Path | None) -> None:
    from liverseg_tf.train.preview.network_diagram import show_network
    from liverseg_tf.train.preview.preview_batch import show_batch

    for what, path, draw in (
        ("first batch", batch, show_batch),
        ("network", network, show_network),
    ):
        if path is not None:
            draw(tiles, settings, path)
            click.echo(f"The {what}: {path}")


def execution_options(ways: dict, started: float, hosts: str | None = None):
    """How a run goes, from options of the command line; TensorFlow is there."""
    from liverseg_tf.train.learner.execution import ExecutionOptions
    from liverseg_tf.train.learner.hardware import choose_hardware

    joined = None
    if hosts is not None:
        from liverseg_tf.train.learner.hosts import join_hosts

        joined = join_hosts(hosts)
    hardware = choose_hardware(ways["precision"], ways["compiled"])
    return ExecutionOptions(hardware, joined, started=started, tensorboard=ways["tensorboard"])


def train_one(tiles, run, settings, way, tune: bool) -> None:
    """One run, with its progress and its end on the screen."""
    from dataclasses import replace

    from liverseg_tf.train.session.fit import train as fit
    from liverseg_tf.train.session.interrupt import Interrupted

    try:
        with progress("train", 1) as show:
            trained = fit(
                tiles, run, settings, replace(way, report=lambda now: show(now.share, _note(now)))
            )
    except Interrupted as error:
        complain("Interrupted after a checkpoint: the same command goes on from there.")
        raise click.exceptions.Exit(FAILED) from error
    for note in trained.notes:
        click.echo(f"Note: {note}", err=True)
    dice = ", ".join(f"{name} {value:.3f}" for name, value in trained.dice.items())
    click.echo(f"{trained.steps} steps in {trained.seconds:.0f} s; best Dice: {dice}; run: {run}")
    if tune and tiles.split["val"] and trained.written:
        from liverseg_tf.predict.tuning.tune import tune_run

        click.echo(f"Post-processing: {tune_run(run, tiles).chosen}")


def _note(now) -> str:
    loss = "" if math.isnan(now.loss) else f", loss {now.loss:.3f}"
    best = "" if math.isnan(now.dice) else f", Dice {now.dice:.3f}"
    return f"epoch {now.epoch}{loss}{best}"
