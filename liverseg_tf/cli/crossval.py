"""`liverseg crossval`: cross-validation, with one run per fold and one table of their scores."""

import math
import time

import click

from liverseg_tf.cli.shared import options
from liverseg_tf.cli.shared.command import command
from liverseg_tf.cli.shared.described_regions import take_stored_regions
from liverseg_tf.cli.shared.terminal import say, say_table
from liverseg_tf.cli.shared.train_options import train_options
from liverseg_tf.cli.shared.train_settings import split_settings
from liverseg_tf.cli.train import execution_options, train_one


@command("crossval")
@click.argument("store", type=options.FOLDER)
@click.argument("out", type=options.FOLDER)
@click.option("--folds", type=click.IntRange(2), metavar="N", default=5, help="Number of folds.")
@train_options
def crossval(store, out, folds, **values) -> None:
    """Train and validate one model per fold (cross-validation).

    The training and validation patients of STORE are divided into folds. For each fold K, a run
    OUT/fold_K is trained on the other folds and validated on this one. Thresholds and
    post-processing are then chosen on the validation cases of all folds together and stored in
    every run. `liverseg predict --model OUT` averages the runs. A choice is used if it gains more
    than noise on the folds without which it was made: the 95 % interval of its gain is above 0.

    Finished runs are kept, for example those of array jobs that ran
    `liverseg train STORE OUT/fold_K --fold K/N --no-tune`. Interrupted runs are resumed.
    --minutes is the training time of each run.
    """
    from liverseg_tf.tiles.store import TileStore

    settings, hardware = split_settings(values)
    tiles = TileStore.open(store)
    settings = take_stored_regions(settings, tiles)
    stores = [tiles.in_fold(f"{fold}/{folds}") for fold in range(1, folds + 1)]
    runs = [out / f"fold_{fold}" for fold in range(1, folds + 1)]

    from liverseg_tf.cli.shared.tensorflow import import_backend

    import_backend()
    from liverseg_tf.predict.tuning.cross_validation import cross_validate
    from liverseg_tf.train.session.resume import is_finished, remove_leftovers

    for fold, (run, fold_tiles) in enumerate(zip(runs, stores, strict=True), 1):
        if is_finished(run, fold_tiles, settings):
            remove_leftovers(run)
            say(f"fold {fold} of {folds}: kept")
            continue
        say(f"fold {fold} of {folds}:")
        execution = execution_options(hardware, time.monotonic())
        train_one(fold_tiles, run, settings, execution, tune=False)
    _print_table(cross_validate(out, tiles, runs))
    say(f"{out / 'crossval.csv'}; predict with --model {out}")


def _print_table(result) -> None:
    from rich.table import Table

    table = Table(title="Dice per case in 3D, on the tile grid")
    table.add_column("fold")
    table.add_column("region")
    for name in ("cases", "Dice", "tuned", "gain", "95 % from", "to"):
        table.add_column(name, justify="right")
    for row in result.means():
        fold = "all" if row["fold"] is None else str(row["fold"])
        dice = [_format(row[name], ".3f") for name in ("dice", "dice_tuned")]
        gain = [_format(row[name], "+.4f") for name in ("gain", "gain_low", "gain_high")]
        table.add_row(fold, row["region"], str(row["cases"]), *dice, *gain)
    table.caption = (
        "gain: of choices made on the other folds, over threshold 0.5 and largest component\n"
        "95 % from, to: 95 % confidence interval of the mean gain"
    )
    table.caption_justify = "left"
    say_table(table)
    say(f"Post-processing: {result.tuning.postprocessing}")
    for note in result.tuning.notes:
        say(f"Note: {note}")


def _format(value: float, form: str) -> str:
    return "-" if math.isnan(value) else format(value, form)
