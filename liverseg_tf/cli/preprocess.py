"""`liverseg preprocess`: stage 1, preprocessing."""

import click

from liverseg_tf.cli.shared.command import command, exit_if_failed
from liverseg_tf.cli.shared.data_options import (
    check_settings,
    dataset_options,
    find_corrected_cases,
    tile_options,
    tile_spec,
)
from liverseg_tf.cli.shared.options import FOLDER, SEED, accept_rule, region, workers_options
from liverseg_tf.cli.shared.progress import progress
from liverseg_tf.cli.shared.terminal import print_error, say, say_warnings
from liverseg_tf.plural import count


@command("preprocess")
@click.argument("dataset", type=FOLDER)
@click.argument("store", type=FOLDER)
@region
@dataset_options
@tile_options
@accept_rule
@click.option(
    "--val",
    type=float,
    metavar="FRACTION",
    default=0.15,
    help="Fraction of the patients for validation.",
)
@click.option(
    "--test",
    type=float,
    metavar="FRACTION",
    default=0.15,
    help="Fraction of the patients for testing.",
)
@click.option("--seed", type=SEED, metavar="N", default=0, help="Random seed of the split.")
@click.option(
    "--patient",
    metavar="REGEX",
    show_default="the whole name",
    help="Regular expression for the part of a case name that identifies the patient.",
)
@click.option(
    "--part",
    default="1/1",
    metavar="I/N",
    help="Process only part I of N of the cases, as in array jobs of a cluster. These jobs may "
    "write to one STORE at the same time.",
)
@click.option(
    "--overwrite", is_flag=True, help="Replace the tiles of a STORE that has other settings."
)
@workers_options("Number of processes.")
@click.pass_context
def preprocess(ctx, dataset, store, **options) -> None:
    """Cut the volumes of a data set into 2D tiles.

    The volumes of DATASET are resampled in-plane, their intensities are clipped to the window,
    and the slices are cut into tiles, which are written to the folder STORE. STORE also records
    the split into training, validation and test patients.

    The rules of `liverseg check` apply: cases with errors are refused, unless --accept names the
    rule. --region names the labels that are expected; all labels are stored.

    Cases that are already in STORE are kept if their files have not changed, and patients keep
    their side of the split when cases are added.
    """
    from liverseg_tf.dataset.check.issues import NOTE
    from liverseg_tf.dataset.check.rules import require_usable
    from liverseg_tf.dataset.dataset_part import DatasetPart
    from liverseg_tf.dataset.description import read_description
    from liverseg_tf.tiles.preprocess import PreprocessJob
    from liverseg_tf.tiles.preprocess import preprocess as run
    from liverseg_tf.tiles.store import TileStore

    spec = tile_spec(options)
    named = read_description(dataset).learnt_regions
    target = TileStore(store, spec, options["storage"], regions=named)
    rule = _split_rule(options)
    cases = find_corrected_cases(dataset, options)
    part = DatasetPart.parse(options["part"])
    check, issues = check_settings(ctx, dataset, cases, spec, options)
    require_usable(issues)
    job = PreprocessJob(cases, rule, part, options["overwrite"], check)
    total = len(job.part.select(job.cases))
    with progress("preprocess", total) as show:
        finished = iter(range(1, total + 1))
        result = run(
            job, target, options["workers"], lambda name, failure: show(next(finished), name)
        )
    for message in result.failures.values():
        print_error(message)
    _note_labels_outside_tiles(result.store.cases)
    warnings = {name: case.get("warnings", ()) for name, case in result.store.cases.items()}
    notes = [issue for issue in issues if issue.severity == NOTE]
    for issue in notes:
        say(f"Note: {issue.line}", err=True)
    say_warnings({"data set": [issue.line for issue in issues if issue not in notes]} | warnings)
    _warn_about_split(result, rule)
    _note_unlabelled_regions(result.store.cases, check.regions)
    _note_labelled_slices(result.store.cases)
    split = result.store.split
    say(
        f"{count(len(result.cut), 'case')} cut, {len(result.kept)} kept, "
        f"{len(result.failures)} failed; {len(split['train'])} train, {len(split['val'])} val, "
        f"{len(split['test'])} test; store: {store}"
    )
    exit_if_failed(len(result.failures))


def _note_labels_outside_tiles(cases) -> None:
    outside = {name: case["labelled_outside"] for name, case in cases.items()}
    worst = max(outside, key=lambda name: outside[name], default=None)
    if worst is not None and outside[worst] > 0:
        affected = count(sum(share > 0 for share in outside.values()), "case")
        say(
            f"Note: labelled voxels of {affected} lie outside the tiles, most of them in {worst} "
            f"({100 * outside[worst]:.1f} %). Use a larger --tile or --spacing to keep them.",
            err=True,
        )


def _note_unlabelled_regions(cases, regions) -> None:
    from liverseg_tf.ct.annotation import read_annotation

    known = [read_annotation(case).known_regions(regions) for case in cases.values()]
    counts = [sum(flags) for flags in zip(*known, strict=True)]
    partly = [
        f"{name} in {labelled}"
        for name, labelled in zip(regions.names, counts, strict=False)
        if labelled < len(cases)
    ]
    if partly:
        say(f"Note: of {count(len(cases), 'case')}, labelled are {', '.join(partly)}.", err=True)


def _note_labelled_slices(cases) -> None:
    from liverseg_tf.ct.annotation import read_annotation

    listed = [
        (annotation.slices.mask(case["slices"]).sum(), case["slices"])
        for case in cases.values()
        if (annotation := read_annotation(case)).slices is not None
    ]
    if listed:
        labelled, slices = (sum(numbers) for numbers in zip(*listed, strict=True))
        say(
            f"Note: {labelled} of the {count(slices, 'slice')} of {count(len(listed), 'case')} "
            "are labelled; the others have no loss and no score.",
            err=True,
        )


def _warn_about_split(result, rule) -> None:
    store = result.store
    if result.redrawn:
        say(
            "Warning: --val, --test, --seed or --patient differ from those of the store, so the "
            "patients were split again: use no earlier run to measure on the new test side.",
            err=True,
        )
    patients = set(store.sides.values())
    for side, fraction in (("val", rule.validation), ("test", rule.test)):
        if fraction > 0 and len(store.cases) > 1 and not store.split[side]:
            reason = "all cases are of one patient" if len(patients) == 1 else "too few patients"
            say(f"Warning: there are no {side} cases: {reason} (see --patient).", err=True)


def _split_rule(options):
    from liverseg_tf.dataset.split import SplitRule

    return SplitRule(options["val"], options["test"], options["seed"], options["patient"])
