"""`liverseg tune`: thresholds and post-processing for a run."""

import click

from liverseg_tf.cli.shared import options
from liverseg_tf.cli.shared.command import command
from liverseg_tf.cli.shared.terminal import say


@command("tune")
@click.argument("run", type=options.FOLDER)
@click.argument("store", type=options.FOLDER)
@click.option("--unfinished", is_flag=True, help="Accept a run whose training has not finished.")
def tune(run, store, unfinished) -> None:
    """Choose thresholds and post-processing on validation cases.

    They are chosen for RUN on its validation cases in STORE and written to RUN/run.json. A step
    is kept if it raises the mean Dice of its region by more than noise and does not lower that of
    another region. With fewer than 5 validation cases, the threshold is 0.5 and of single organs
    the largest component is kept, unless a gain is beyond doubt: every one of at least two cases
    gains, by more than 0.01 in the mean. For tumours and other lesions, a score below which they
    are removed is chosen from the FROC curve, if the model finds enough of them. `liverseg predict`
    then applies these steps.
    """
    from liverseg_tf.model.bundle.bundle_record import check_not_a_bundle
    from liverseg_tf.model.run_record import RunRecord
    from liverseg_tf.tiles.store import TileStore

    check_not_a_bundle(run)
    record = RunRecord.read(run)
    if not unfinished:
        record.check_finished(run)
    tiles = TileStore.open(store)

    from liverseg_tf.cli.shared.tensorflow import import_backend

    import_backend()
    from liverseg_tf.predict.tuning.tune import tune_run

    tuned = tune_run(run, tiles, unfinished)
    for name, (before, after) in tuned.means().items():
        say(f"{name}: Dice {before:.4f} before, {after:.4f} after")
    for name, gain in tuned.gains().items():
        say(f"{name}: gain of the choices on held-out cases {gain}")
    say(f"Post-processing of {run}: {tuned.postprocessing}")
    for note in tuned.notes:
        say(f"Note: {note}")
