"""`liverseg trust`: when not to trust a model, measured on cases that it has not seen."""

import click

from liverseg_tf.choices import UNSEEN_SIDES
from liverseg_tf.cli.shared import options
from liverseg_tf.cli.shared.command import command
from liverseg_tf.cli.shared.progress import progress
from liverseg_tf.cli.shared.terminal import say, say_table


@command("trust")
@click.argument("run", type=options.FOLDER)
@click.argument("store", type=options.FOLDER)
@click.option(
    "--side",
    type=click.Choice(UNSEEN_SIDES),
    show_default="of a run, both; of a cross-validation, the cases of each fold",
    help="Measure on the validation or on the test cases. With test, the runs of a "
    "cross-validation are measured together as an ensemble.",
)
@click.option(
    "--dice",
    type=click.FloatRange(0, 1, min_open=True),
    metavar="D",
    default=0.85,
    help="Dice below which a mask counts as bad.",
)
@click.option(
    "--dice-of",
    nargs=2,
    type=(str, click.FloatRange(0, 1, min_open=True)),
    metavar="REGION D",
    multiple=True,
    help="The same for one region, such as a tumour, whose masks have a lower Dice. Repeatable.",
)
@click.option(
    "--false-alarms",
    type=click.FloatRange(0, 0.5, min_open=True),
    metavar="RATE",
    default=0.1,
    help="Accepted rate of false alarms, the fraction of good masks that are flagged.",
)
def trust(run, store, side, dice, dice_of, false_alarms) -> None:
    """Measure when the masks of a model should not be trusted.

    RUN is a cross-validation or a run, and STORE holds the tiles from which it was trained. The
    model predicts cases from which it has not learnt: in a cross-validation, each run predicts
    those of its own fold. For each case and region, two scores are compared with the Dice of the
    mask: the confidence of a single pass and, if the runs were trained with --mirror, the agreement
    of mirrored passes.

    For each region, a threshold of the score is chosen, below which good masks lie at most at the
    accepted rate, and a temperature that calibrates the probabilities. Both are stored in the run.
    `liverseg predict` then names the masks that must be checked, and `predict --calibrated` writes
    calibrated probabilities. RUN gets trust.csv, trust.json and, from five cases on, the picture
    trust.png.

    Few cases, or few bad masks among them, show little; the notes say so.
    """
    from liverseg_tf.model.bundle.bundle_record import check_not_a_bundle
    from liverseg_tf.model.run_record import RunRecord
    from liverseg_tf.predict.tuning.cross_validation import list_runs
    from liverseg_tf.tiles.store import TileStore

    check_not_a_bundle(run)
    for folder in list_runs(run) or [run]:
        RunRecord.read(folder).check_finished(folder)
    tiles = TileStore.open(store)

    from liverseg_tf.cli.shared.tensorflow import import_backend

    import_backend()
    from liverseg_tf.predict.trust.summarise import TrustSettings
    from liverseg_tf.predict.trust.trust_run import PICTURE_FILE, TABLE_FILE, count_cases, trust_run

    settings = TrustSettings(dice, dict(dice_of), false_alarms)
    total = count_cases(run, side)
    with progress("trust", total) as show:
        finished = iter(range(1, total + 1))
        result = trust_run(run, tiles, side, settings, lambda name: show(next(finished), name))
    _print_table(result)
    for note in result.notes:
        say(f"Note: {note}")
    picture = f"; picture: {run / PICTURE_FILE}" if (run / PICTURE_FILE).is_file() else ""
    say(f"thresholds and temperatures: stored in the model; table: {run / TABLE_FILE}{picture}")


def _print_table(result) -> None:
    from rich.table import Table

    from liverseg_tf.predict.trust.flagging import exact_interval

    table = Table(title="Masks of unseen cases")
    table.add_column("region")
    table.add_column("passes")
    for name in ("below", "found", "95 %", "false", "T", "ECE"):
        table.add_column(name, justify="right", no_wrap=True)
    for kind in result.kinds:
        for region, known in result.record.passes[kind].items():
            shown = known.threshold is not None
            low, high = exact_interval(known.flagged_bad, known.bad)
            table.add_row(
                region,
                kind,
                f"{known.threshold:.3f}" if shown else "-",
                f"{known.flagged_bad if shown else '-'}/{known.bad}",
                f"{low:.0%}-{high:.0%}" if shown and known.bad else "-",
                f"{known.flagged_good if shown else '-'}/{known.good}",
                "-" if known.temperature is None else f"{known.temperature:.2f}",
                _format_errors(known),
            )
    table.caption = (
        "below: threshold of the confidence (single pass) or of the agreement\n"
        "found: flagged masks among those with a low Dice, with the 95 % interval\n"
        "false: false alarms among the other masks. T: temperature\n"
        "ECE: expected calibration error of uncertain voxels, without > with T\n"
        "(on held-out cases)"
    )
    table.caption_justify = "left"
    say_table(table)


def _format_errors(known) -> str:
    """Return the calibration error without and with the temperature."""
    used = [known.before] if known.temperature is None else [known.before, known.after]
    return " > ".join("-" if one is None else f"{one.calibration_error:.3f}" for one in used)
