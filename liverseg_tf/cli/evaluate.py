"""`liverseg evaluate`: scores of predicted masks."""

import functools

import click

from liverseg_tf.choices import PROTOCOLS
from liverseg_tf.cli.shared import options
from liverseg_tf.cli.shared.command import command, exit_if_failed
from liverseg_tf.cli.shared.data_options import read_slice_list
from liverseg_tf.cli.shared.described_regions import take_described_labels
from liverseg_tf.cli.shared.progress import progress
from liverseg_tf.cli.shared.selected_pairs import find_selected_pairs, read_split, split_options
from liverseg_tf.cli.shared.terminal import print_error, print_warning, say, say_table


@command("evaluate")
@click.argument("truth", type=options.ANY_PATH)
@click.argument("prediction", type=options.ANY_PATH, metavar="PRED")
@click.option(
    "-o", "--out", type=options.FOLDER, required=True, help="Folder for the tables and the report."
)
@click.option(
    "--protocol",
    type=click.Choice(PROTOCOLS),
    default="default",
    help="Definitions of the scores. lits: liver and lesions, as in the LiTS challenge; msd: Dice "
    "and surface Dice of each label, as in the Medical Segmentation Decathlon; nnunet: overlap of "
    "each label, as in nnU-Net's summary.json.",
)
@click.option(
    "--compat",
    is_flag=True,
    help="With --protocol lits, reproduce the challenge's public scorer, including its known "
    "defects and 9001 for undefined scores.",
)
@options.region
@click.option(
    "--tolerance",
    type=click.FloatRange(0),
    metavar="MM",
    show_default="2; 7 with msd",
    help="Tolerance of the surface Dice (NSD) in mm.",
)
@click.option(
    "--distances/--no-distances",
    default=True,
    help="Also compute surface distances in mm and the surface Dice.",
)
@click.option(
    "--versus",
    type=options.ANY_PATH,
    metavar="PRED2",
    help="Second set of predictions to compare with, case by case and with a Wilcoxon signed-rank "
    "test. Its own tables are written to OUT/versus.",
)
@click.option(
    "--predicted-only",
    is_flag=True,
    help="Leave out cases without a prediction instead of counting them as failures. A warning and "
    "every table tell how many there are.",
)
@split_options
@options.workers_options(
    "Number of processes. Each holds one case: about 0.5 GB for 512 x 512 x 200 voxels."
)
@click.option(
    "--report/--no-report",
    default=True,
    help="Write tables and plots to OUT/report.html. If TRUTH is a data set with images, the page "
    "also shows the cases with the lowest Dice.",
)
@click.option(
    "--pictures",
    type=click.IntRange(0),
    metavar="N",
    default=20,
    help="Number of cases that the report shows.",
)
@click.option(
    "--viewers",
    is_flag=True,
    help="Write an interactive viewer page for each case with an image, OUT/viewer/CASE.html, and "
    "link it from the report. A page of a whole CT has 10 to 40 MB.",
)
@click.option(
    "--mr",
    is_flag=True,
    help="Show the images with their own intensity range, because they are not in HU.",
)
@options.segment
@options.labelled
@options.labelled_slices
@options.ignore
@options.form
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
    split_source,
    side,
    workers,
    report,
    pictures,
    viewers,
    mr,
    segments,
    labelled,
    slice_list,
    ignored,
    form,
    channel,
) -> None:
    """Compare predicted masks with the ground truth.

    TRUTH is a mask, a folder of masks or a data set; PRED is a mask or a folder of masks: label
    maps, DICOM-SEG, RTSTRUCT or .seg.nrrd. Masks are paired by case name. Dice, Jaccard, volumes
    (ml) and surface distances (mm) are written to OUT/scores.csv and OUT/scores.json, with
    definitions, means and 95 % confidence intervals (from five cases). Regions that consist of
    several components, such as lesions, are also scored lesion by lesion.

    A case without a usable prediction is a failure (exit code 1). The protocols lits and msd
    also count it as an empty prediction with a Dice of 0. Without --region, the protocols
    default and lits score the liver including its tumours, and the tumours; msd and nnunet score
    each label separately. If the dataset.json of TRUTH names other labels, these are scored.

    Regions that --labelled does not list for a case are left out there, and counted in a note.
    Slices that are not labelled, according to labelled_slices.csv in TRUTH, have no score.
    """
    from liverseg_tf.ct.segments.segment_names import SegmentNames
    from liverseg_tf.dataset.case_annotations import CaseAnnotations
    from liverseg_tf.dataset.labelled_slices import folders_of
    from liverseg_tf.evaluate.protocols.scoring import Scoring
    from liverseg_tf.evaluate.report.comparison import comparison_table, write_comparison
    from liverseg_tf.evaluate.report.lesion_tables import lesion_table
    from liverseg_tf.evaluate.report.lits_tables import lits_table
    from liverseg_tf.evaluate.report.score_table import score_table
    from liverseg_tf.evaluate.subject import Subject

    by_default = ctx.get_parameter_source("regions") == click.core.ParameterSource.DEFAULT
    given = None if by_default else regions
    given, ignored = take_described_labels(truth, given, ignored, protocol)
    scoring = Scoring(protocol, given, tolerance, distances, compat)
    slices = read_slice_list(slice_list, folders_of(truth))
    annotations = CaseAnnotations.parse(labelled, scoring.regions, ignored, slices)
    if protocol == "lits" and (labelled or slices or ignored is not None):
        raise click.UsageError(
            "Expected a ground truth that labels every region for --protocol lits, whose lesions "
            "lie in the liver. Received --labelled, --ignore or a list of labelled slices: use "
            "another protocol."
        )
    patterns = SegmentNames.parse(scoring.regions, segments).patterns
    split = read_split(split_source, side)
    find = functools.partial(find_selected_pairs, truth, (split, side), form, annotations, patterns)
    score = functools.partial(
        _evaluate,
        find,
        Subject(truth.absolute(), prediction, side=side, split=split and split.source),
        scoring=scoring,
        workers=workers,
        predicted_only=predicted_only,
        split=split,
    )
    evaluation, files = score(prediction, out)
    failures = [failure.message for failure in evaluation.failures]
    notes, warnings = list(evaluation.notes), list(evaluation.warnings)
    comparisons = None
    if versus is not None:
        second, others = score(versus, out / "versus")
        failures += [f"{versus}: {failure.message}" for failure in second.failures]
        notes += [f"{versus}: {note}" for note in second.notes]
        warnings += [f"{versus}: {warning}" for warning in second.warnings]
        comparisons = write_comparison(out, evaluation, second)
        files += [*others, out / "versus.csv", out / "versus.json"]
    if report:
        not_drawn = _write_report(evaluation, out, pictures, viewers, mr, channel)
        failures += [failure.message for failure in not_drawn]
        files.append(out / "report.html")
    for failure in failures:
        print_error(failure)
    for note in notes:
        say(f"Note: {note}", err=True)
    say_table(score_table(evaluation))
    if (lesions := lesion_table(evaluation)) is not None:
        say_table(lesions)
    if evaluation.lits:
        say_table(lits_table(evaluation))
    if comparisons is not None:
        say_table(comparison_table(comparisons, scoring.tolerance_mm))
    for warning in warnings:
        print_warning(warning)
    missing = [path for path in files if not path.is_file()]  # somebody removed the folder
    for path in files:
        if path not in missing:
            say(f"written: {path}")
    for path in missing:
        print_error(f"Expected {path}, which was written. Received no such file: run it again.")
    exit_if_failed(len(failures) + len(missing))


def _evaluate(find, subject, prediction, out, **settings):
    from dataclasses import replace

    from liverseg_tf.atomic import create_folder
    from liverseg_tf.evaluate.evaluate_folder import evaluate_pairs
    from liverseg_tf.evaluate.origin import count_models
    from liverseg_tf.evaluate.report.tables import write_tables
    from liverseg_tf.locks import lock_if_supported

    pairs = find(prediction)
    create_folder(out)  # fails before the work rather than after it
    # until the command ends: a report of one run must not stand beside the tables of another
    lock = lock_if_supported(out / ".evaluate.lock", f"the results in {out}")
    click.get_current_context().with_resource(lock)
    with progress("evaluate", 1) as show:
        evaluation = evaluate_pairs(
            pairs, on_case=lambda case, done, total: show(done / total, case), **settings
        )
    models = count_models(evaluation.pairs)
    subject = replace(subject, prediction=prediction.absolute(), models=models)
    evaluation = replace(evaluation, subject=subject)
    return evaluation, write_tables(evaluation, out)


def _write_report(evaluation, out, pictures, viewers, mr, channel):
    from liverseg_tf.evaluate.report.overlay import ABDOMEN
    from liverseg_tf.evaluate.report.write_report import ReportSpec, write_report

    spec = ReportSpec(None if mr else ABDOMEN, pictures, viewers, channel=channel)
    with progress("report", 1) as show:
        return write_report(
            evaluation, out, spec, lambda case, done, total: show(done / total, case)
        )
