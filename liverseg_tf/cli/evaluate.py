"""`liverseg evaluate`: scores of predicted masks."""

import click

from liverseg_tf.cli import options
from liverseg_tf.cli.command import command, complain, end_with
from liverseg_tf.cli.progress import progress


@command("evaluate")
@click.argument("truth", type=options.ANY_PATH)
@click.argument("prediction", type=options.ANY_PATH, metavar="PRED")
@click.option("--out", type=options.FOLDER, required=True, help="Folder for tables and pictures.")
@options.region
@click.option(
    "--predicted-only",
    is_flag=True,
    help="A case of TRUTH without a prediction is left out; otherwise it is a failure.",
)
@click.option(
    "--overlays/--no-overlays",
    default=False,
    help="Also draw each case (TRUTH must be a data set with images) into overlays.html.",
)
@click.option(
    "--mr", is_flag=True, help="The overlays' images have no HU: take their own range of grey."
)
def evaluate(truth, prediction, out, regions, predicted_only, overlays, mr) -> None:
    """Score the masks in PRED against TRUTH (a mask, a folder of masks, or a data set).

    Masks are paired by case name. Dice, Jaccard and volumes go to OUT/scores.csv and
    OUT/scores.json, with their definitions.
    """
    from rich.console import Console

    from liverseg_tf.evaluate.cases import evaluate_pairs
    from liverseg_tf.evaluate.pairs import find_pairs
    from liverseg_tf.evaluate.tables import score_table

    pairs = find_pairs(truth, prediction)
    if predicted_only:
        left = [pair for pair in pairs if pair.prediction is not None]
        click.echo(f"Note: {len(pairs) - len(left)} cases have no prediction.", err=True)
        pairs = left
    with progress("evaluate", 1) as show:
        evaluation = evaluate_pairs(
            pairs, out, regions, lambda case, done, all_: show(done / all_, case)
        )
    failures = list(evaluation.failures)
    if overlays:
        failures += _draw(evaluation, out, mr)
    for failure in failures:
        complain(failure.message)
    for note in evaluation.notes:
        click.echo(f"Note: {note}", err=True)
    Console().print(score_table(evaluation))
    click.echo(f"scores: {out / 'scores.csv'}, {out / 'scores.json'}")
    if overlays:
        click.echo(f"pictures: {out / 'overlays.html'}")
    end_with(len(failures))


def _draw(evaluation, out, mr: bool):
    from liverseg_tf.evaluate.overlay import ABDOMEN
    from liverseg_tf.evaluate.page import draw_evaluation

    with progress("overlays", 1) as show:
        return draw_evaluation(
            evaluation,
            out,
            None if mr else ABDOMEN,
            lambda case, done, all_: show(done / all_, case),
        )
