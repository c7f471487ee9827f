"""`liverseg crossval`: a run for each fold, and one table of what they have not seen."""

import math
import time

import click

from liverseg_tf.cli.shared import options
from liverseg_tf.cli.shared.command import command
from liverseg_tf.cli.shared.train_options import settings_and_execution, train_options
from liverseg_tf.cli.train import execution_options, train_one


@command("crossval")
@click.argument("store", type=options.FOLDER)
@click.argument("out", type=options.FOLDER)
@click.option("--folds", type=click.IntRange(2), default=5, help="Parts of the patients.")
@train_options
def crossval(store, out, folds, **given) -> None:
    """Train a run OUT/fold_K for each of several folds, and score what each has not seen.

    Training and validation patients are dealt into folds; each run validates on its own. Then
    thresholds and post-processing are chosen on all of these cases at once, and kept in every run.
    `predict --model OUT` averages the runs.

    Runs that are there are kept, such as those that an array of jobs made with
    `liverseg train STORE OUT/fold_K --fold K/N`; what was interrupted goes on. --minutes are those
    of each run.
    """
    from liverseg_tf.tiles.store import TileStore

    settings, ways = settings_and_execution(given)
    tiles = TileStore.open(store)
    stores = [tiles.in_fold(f"{fold}/{folds}") for fold in range(1, folds + 1)]
    runs = [out / f"fold_{fold}" for fold in range(1, folds + 1)]

    from liverseg_tf.cli.shared.tensorflow import import_tensorflow

    import_tensorflow()
    from liverseg_tf.predict.tuning.cross_validation import cross_validate
    from liverseg_tf.train.session.resume import is_finished

    for fold, (run, of_fold) in enumerate(zip(runs, stores, strict=True), 1):
        if is_finished(run, of_fold, settings):
            click.echo(f"fold {fold} of {folds}: kept")
            continue
        click.echo(f"fold {fold} of {folds}:")
        train_one(of_fold, run, settings, execution_options(ways, time.monotonic()), tune=False)
    _print(cross_validate(out, tiles, runs))
    click.echo(f"{out / 'crossval.csv'}; predict with --model {out}")


def _print(found) -> None:
    from rich.console import Console
    from rich.table import Table

    table = Table(title="Dice per case in 3D, on the tile grid")
    table.add_column("fold")
    table.add_column("region")
    for name in ("cases", "Dice", "tuned"):
        table.add_column(name, justify="right")
    for row in found.means():
        fold = "all" if row["fold"] is None else str(row["fold"])
        dice = [_told(row[name]) for name in ("dice", "dice_tuned")]
        table.add_row(fold, row["region"], str(row["cases"]), *dice)
    Console().print(table)
    click.echo(f"Post-processing: {found.tuned.chosen}")


def _told(dice: float) -> str:
    return "-" if math.isnan(dice) else f"{dice:.3f}"
