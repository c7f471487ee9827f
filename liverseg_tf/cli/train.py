"""`liverseg train`: stage 2, training."""

import time
from pathlib import Path

import click

from liverseg_tf.choices import HOSTS
from liverseg_tf.cli.shared import options
from liverseg_tf.cli.shared.command import FAILED, command
from liverseg_tf.cli.shared.described_regions import take_stored_regions
from liverseg_tf.cli.shared.progress import progress
from liverseg_tf.cli.shared.terminal import print_error, say
from liverseg_tf.cli.shared.train_options import train_options
from liverseg_tf.cli.shared.train_settings import split_settings
from liverseg_tf.cli.shared.training_lines import TrainingLines
from liverseg_tf.plural import count


@command("train")
@click.argument("store", type=options.FOLDER)
@click.argument("run", type=options.FOLDER)
@train_options
@click.option(
    "--fold",
    metavar="K/N",
    help="Validate on the K-th of N parts of the patients and train on the others; see "
    "`liverseg crossval`.",
)
@click.option(
    "--hosts",
    type=click.Choice(HOSTS),
    help="Train on several hosts, each of which runs this command. Their addresses come from the "
    "variable TF_CONFIG (tf-config) or from the Slurm job step (slurm).",
)
@click.option(
    "--tune/--no-tune",
    default=True,
    help="Choose thresholds and post-processing on the validation cases at the end, as "
    "`liverseg tune` does.",
)
@click.option(
    "--dry-run",
    is_flag=True,
    help="Print the number of parameters, the memory, the steps and the estimated time; do not "
    "train.",
)
@click.option(
    "--show-batch",
    type=click.Path(dir_okay=False, path_type=Path),
    metavar="PNG",
    help="Draw the first augmented batch to this file; do not train.",
)
@click.option(
    "--show-transforms",
    type=click.Path(dir_okay=False, path_type=Path),
    metavar="PNG",
    help="Draw what each of the --transforms does to a tile to this file; do not train.",
)
@click.option(
    "--show-network",
    type=click.Path(dir_okay=False, path_type=Path),
    metavar="PNG",
    help="Draw the network with its shapes and receptive fields to this file; do not train.",
)
def train(
    store, run, fold, hosts, tune, dry_run, show_batch, show_transforms, show_network, **values
) -> None:
    """Train a U-Net on the tiles of a store.

    STORE is the output of `liverseg preprocess`. RUN is a new folder. It gets the model with the
    best validation Dice (3D, per case) and run.json, which prediction needs, and log.csv,
    validation.csv and curves.png.

    To resume an interrupted run, repeat the same command. A run that has finished is kept.
    """
    started = time.monotonic()
    from liverseg_tf.tiles.store import TileStore

    settings, hardware = split_settings(values)
    pictures = (show_batch, show_transforms, show_network)
    shows = any(picture is not None for picture in pictures)
    if shows and (dry_run or hosts is not None):
        raise click.UsageError(
            "Expected --show-batch, --show-transforms and --show-network without --dry-run and "
            "--hosts. "
            "Received both: a picture is drawn on one host, and nothing else is done."
        )
    tiles = TileStore.open(store)
    settings = take_stored_regions(settings, tiles)
    if fold is not None:
        tiles = tiles.in_fold(fold)

    from liverseg_tf.cli.shared.tensorflow import import_backend

    import_backend()
    if shows:
        _draw(tiles, settings, *pictures)
        return
    execution = execution_options(hardware, started, hosts)
    if dry_run:
        from liverseg_tf.train.preview.dry_run import describe_run

        for line in describe_run(tiles, settings, execution):
            say(line)
        return
    train_one(tiles, run, settings, execution, tune)


def _draw(
    tiles, settings, batch: Path | None, transforms: Path | None, network: Path | None
) -> None:
    from liverseg_tf.train.preview.network_diagram import write_network_diagram
    from liverseg_tf.train.preview.preview_batch import write_batch_preview
    from liverseg_tf.train.preview.preview_transforms import write_transform_preview

    for title, path, draw in (
        ("first batch", batch, write_batch_preview),
        ("transforms", transforms, write_transform_preview),
        ("network", network, write_network_diagram),
    ):
        if path is not None:
            draw(tiles, settings, path)
            say(f"The {title}: {path}")


def execution_options(hardware: dict, started: float, hosts: str | None = None):
    """Return the `ExecutionOptions` of a run. The Keras backend must be imported before.

    Args:
        hardware: Hardware options, from `split_settings`.
        started: Start of the run, from `time.monotonic`.
        hosts: How the other hosts are found; None for one host.
    """
    from liverseg_tf.train.learner.execution import ExecutionOptions, check_backend_has_hosts
    from liverseg_tf.train.learner.hardware import choose_hardware

    if hardware["tensorboard"]:  # its files are written by TensorFlow
        from liverseg_tf.cli.shared.tensorflow import import_tensorflow

        import_tensorflow()
    if hardware["mlflow"] is not None:
        from liverseg_tf.train.session.mlflow_logger import check_target

        check_target(hardware["mlflow"])
    joined = None
    if hosts is not None:
        check_backend_has_hosts()
        from liverseg_tf.train.learner.hosts import join_hosts

        joined = join_hosts(hosts)
    return ExecutionOptions(
        choose_hardware(hardware["precision"], hardware["compiled"]),
        joined,
        started=started,
        tensorboard=hardware["tensorboard"],
        mlflow=hardware["mlflow"],
        warn=lambda text: say(f"Warning: {text}", err=True),
        cache_on_device=hardware["cache_on_device"],
    )


def train_one(tiles, run, settings, execution, tune: bool) -> None:
    """Train one run and print its progress and result, or keep the run if it has finished."""
    from dataclasses import replace

    from liverseg_tf.train.session.fit import train as fit
    from liverseg_tf.train.session.interrupt import Interrupted
    from liverseg_tf.train.session.resume import is_finished

    if is_finished(run, tiles, settings):
        _keep(tiles, run, tune)
        return

    notes: list[str] = []

    def choose_postprocessing(folder: Path):
        from liverseg_tf.predict.models.run import RunPredictor
        from liverseg_tf.predict.tuning.selection import expected_postprocessing
        from liverseg_tf.predict.tuning.tune import tune_postprocessing

        if not tiles.split["val"]:
            return expected_postprocessing(settings.regions)
        tuned = tune_postprocessing(RunPredictor(folder), tiles, tiles.split["val"])
        notes.extend(tuned.notes)
        return tuned.postprocessing

    try:
        with progress("train", 1) as show:
            lines = TrainingLines(execution.hardware.precision, show)
            execution = replace(execution, report=lines.report)
            choose = choose_postprocessing if tune else None
            trained = fit(tiles, run, settings, execution, choose)
    except Interrupted as error:
        print_error("Interrupted after a checkpoint was saved. Repeat the command to resume.")
        raise click.exceptions.Exit(FAILED) from error
    dice = ", ".join(f"{name} {value:.3f}" for name, value in trained.dice.items())
    say(f"{count(trained.steps, 'step')} in {trained.seconds:.0f} s; best Dice: {dice}; run: {run}")
    if trained.postprocessing is not None:
        say(f"Post-processing: {trained.postprocessing}")
    for note in (*notes, *trained.notes):
        say(f"Note: {note}", err=True)


def _keep(tiles, run, tune: bool) -> None:
    """Keep a run that has finished; choose its post-processing if that is missing."""
    from liverseg_tf.model.run_record import read_run
    from liverseg_tf.predict.tuning.tune import tune_run
    from liverseg_tf.train.session.resume import remove_leftovers

    remove_leftovers(run)
    say(f"Kept: {run} holds this run, and it has finished. For a new run, use another folder.")
    if tune and tiles.split["val"] and "postprocessing" not in read_run(run):
        tuned = tune_run(run, tiles)
        say(f"Post-processing: {tuned.postprocessing}")
        for note in tuned.notes:
            say(f"Note: {note}", err=True)
