"""`liverseg evaluate`: scores of predicted masks."""

import click

from liverseg_tf.cli.shared import options
from liverseg_tf.cli.shared.command import command, complain, end_with
from liverseg_tf.cli.shared.progress import progress

PROTOCOLS = ("default", "lits", "msd", "nnunet")


@command("evaluate")
@click.argument("truth", type=options.ANY_PATH)
@click.argument("prediction", type=options.ANY_PATH, metavar="PRED")
@click.option("--out", type=options.FOLDER, required=True, help="Folder for tables and pictures.")
@click.option(
    "--protocol",
    type=click.Choice(PROTOCOLS),
    default="default",
    help="Whose definitions: lits (liver and lesions as the LiTS challenge), msd (Dice and surface "
    "Dice of each label as the Medical Segmentation Decathlon), nnunet (its summary.json).",
)
@click.option(
    "--compat",
    is_flag=True,
    help="With --protocol lits: count as the challenge's public scorer does, with its known "
    "defects and 9001 for what is undefined.",
)
@options.region
@click.option(
    "--tolerance",
    type=click.FloatRange(0),
    show_default="2; msd: 7",
    help="Tolerance of the surface Dice (NSD) in mm.",
)
@click.option(
    "--distances/--no-distances",
    default=True,
    help="Surface distances in mm and surface Dice, besides overlap and volumes.",
)
@click.option(
    "--versus",
    type=options.ANY_PATH,
    metavar="PRED2",
    help="A second set of predictions: differences case by case with a Wilcoxon test; its own "
    "tables go to OUT/versus.",
)
@click.option(
    "--predicted-only",
    is_flag=True,
    help="A case of TRUTH without a prediction is left out; otherwise it is a failure.",
)
@options.workers_options("Processes; each holds one case, about 0.5 GB for 512x512x200 voxels.")
@click.option(
    "--report/--no-report",
    default=True,
    help="Tables and plots as one page, OUT/report.html; where TRUTH is a data set with images, "
    "also pictures of the worst cases.",
)
@click.option(
    "--pictures", type=click.IntRange(0), default=20, help="Cases pictured in the report."
)
@click.option(
    "--viewers",
    is_flag=True,
    help="An interactive page for each case with an image, OUT/viewer/CASE.html, linked from the "
    "report; 10 to 40 MB each for a whole CT.",
)
@click.option("--mr", is_flag=True, help="The images have no HU: take their own range of grey.")
@options.channel
@click.pass_context
def evaluate(
    ctx,
    truth,
    prediction,
    out,
    protocol,
    compat,
    regions,
    tolerance,
    distances,
    versus,
    predicted_only,
    workers,
    report,
    pictures,
    viewers,
    mr,
    channel,
) -> None:
    """Score the masks in PRED against TRUTH (a mask, a folder of masks, or a data set).

    Masks are paired by case name. Dice, Jaccard, volumes (ml) and surface distances (mm) go to
    OUT/scores.csv and OUT/scores.json, with their definitions, means and 95 % intervals.

    A case without a usable prediction is a failure (exit code 1); with lits and msd it also
    counts as an empty prediction, Dice 0. Without --region, lits and the default compare the
    liver with its tumours and the tumours, msd and nnunet each label alone.
    """
    from rich.console import Console

    from liverseg_tf.evaluate.protocols.lits_tables import lits_table
    from liverseg_tf.evaluate.protocols.scoring import Scoring
    from liverseg_tf.evaluate.report.comparison import versus_table, write_versus
    from liverseg_tf.evaluate.report.tables import score_table

    unset = ctx.get_parameter_source("regions") == click.core.ParameterSource.DEFAULT
    scoring = Scoring(protocol, None if unset else regions, tolerance, distances, compat)
    evaluation = _evaluate(truth, prediction, out, scoring, predicted_only, workers)
    failures = [failure.message for failure in evaluation.failures]
    notes, comparisons = list(evaluation.notes), None
    if versus is not None:
        second = _evaluate(truth, versus, out / "versus", scoring, predicted_only, workers)
        failures += [f"{versus}: {failure.message}" for failure in second.failures]
        notes += [f"{versus}: {note}" for note in second.notes]
        comparisons = write_versus(out, evaluation, second)
    if report:
        drawn = _report(evaluation, out, (pictures, viewers), mr, channel)
        failures += [failure.message for failure in drawn]
    for failure in failures:
        complain(failure)
    for note in notes:
        click.echo(f"Note: {note}", err=True)
    console = Console()
    console.print(score_table(evaluation))
    if evaluation.lits:
        console.print(lits_table(evaluation))
    if comparisons is not None:
        console.print(versus_table(comparisons))
    for path in _written(out):
        click.echo(f"written: {path}")
    end_with(len(failures))


def _evaluate(truth, prediction, out, scoring, predicted_only, workers):
    from liverseg_tf.evaluate.cases import evaluate_pairs
    from liverseg_tf.evaluate.pairs import find_pairs

    pairs = find_pairs(truth, prediction)
    if predicted_only:
        left = [pair for pair in pairs if pair.prediction is not None]
        click.echo(f"Note: {len(pairs) - len(left)} cases have no prediction.", err=True)
        pairs = left
    with progress("evaluate", 1) as show:
        return evaluate_pairs(
            pairs, out, scoring, lambda case, done, all_: show(done / all_, case), workers
        )


def _written(out):
    names = ("scores.csv", "scores.json", "lits.csv", "summary.json", "versus.csv", "versus.json")
    return [out / name for name in (*names, "report.html") if (out / name).is_file()]


def _report(evaluation, out, drawn: tuple[int, bool], mr: bool, channel: int | None):
    from liverseg_tf.evaluate.report.overlay import ABDOMEN
    from liverseg_tf.evaluate.report.write_report import ReportSpec, write_report

    spec = ReportSpec(None if mr else ABDOMEN, *drawn, channel=channel)
    with progress("report", 1) as show:
        return write_report(evaluation, out, spec, lambda case, done, all_: show(done / all_, case))
