"""`liverseg to-nnunet`: a data set in the layout of nnU-Net v2."""

import click

from liverseg_tf.cli.shared.command import command, exit_if_failed
from liverseg_tf.cli.shared.data_options import (
    dataset_options,
    find_corrected_cases,
    read_slice_list,
)
from liverseg_tf.cli.shared.options import FOLDER, region, workers_options
from liverseg_tf.cli.shared.progress import progress
from liverseg_tf.cli.shared.terminal import print_error, say, say_warnings
from liverseg_tf.plural import count


@command("to-nnunet")
@click.argument("dataset", type=FOLDER)
@click.argument("out", type=FOLDER)
@region
@click.option(
    "--channel-name",
    metavar="NAME",
    show_default="modality of dataset.json, or CT",
    help="Name of the channel, by which nnU-Net normalises: CT for HU, any other name otherwise.",
)
@dataset_options
@workers_options("Number of processes.")
@click.pass_context
def to_nnunet(ctx, dataset, out, regions, channel_name, workers, **options) -> None:
    """Write a data set in the layout of nnU-Net v2.

    The images of DATASET are written to OUT/imagesTr/NAME_0000.nii.gz, their masks to
    OUT/labelsTr/NAME.nii.gz on the same grid, images without a mask to OUT/imagesTs, and the
    description to OUT/dataset.json. Nothing is interpolated. nnU-Net expects OUT to be named like
    nnUNet_raw/Dataset042_Liver.

    Labels are numbered 1, 2, 3 and so on, as nnU-Net requires; the output lists the numbers that
    change. The names are those of --region, or of the labels of dataset.json. Regions that share
    labels, such as --region liver=1,2 --region tumour=2, become regions of nnU-Net. Voxels of
    which nothing is known (--ignore, slices that are not labelled) get nnU-Net's label to ignore.
    """
    from dataclasses import replace

    from liverseg_tf.ct.segments.segment_names import SegmentNames
    from liverseg_tf.dataset.case_annotations import CaseAnnotations
    from liverseg_tf.dataset.description import read_description
    from liverseg_tf.dataset.write_nnunet import NnunetTarget, number_labels, write_nnunet_dataset

    _refuse_partial_labels(options)
    description = read_description(dataset)
    given = ctx.get_parameter_source("regions") != click.core.ParameterSource.DEFAULT
    names = regions if given else description.regions
    if names is None:
        raise click.UsageError(
            f"Expected names of the labels in {dataset}. Received no dataset.json with labels: "
            "use --region, such as --region liver=1,2 --region tumour=2."
        )
    segments = SegmentNames.parse(names, options["segments"])
    cases = [
        case if case.segments is not None else replace(case, segments=segments)
        for case in find_corrected_cases(dataset, options)
    ]
    ignored = description.choose_ignored(options["ignored"])
    slices = read_slice_list(options["slice_list"], [dataset])
    annotations = CaseAnnotations.parse((), names, ignored, slices)
    annotations.check_slices(case.name for case in cases)
    if ignored is None and slices is not None:
        ignored = annotations.free_label
    labels = number_labels(names, ignored)
    if channel_name is None:
        modalities = (*description.modalities, "CT")
        channel_name = modalities[min(options["channel"] or 0, len(modalities) - 1)]
    target = NnunetTarget(out, labels, channel_name, given, options["channel"], annotations)
    with progress("to-nnunet", len(cases)) as show:
        finished = iter(range(1, len(cases) + 1))
        result = write_nnunet_dataset(
            cases, target, workers, lambda name: show(next(finished), name)
        )
    for message in result.failures.values():
        print_error(message)
    say_warnings(result.warnings)
    _say_labels(target, result)
    test = f", {count(len(result.without_mask), 'case')} without a mask (imagesTs)"
    say(
        f"{count(len(result.written), 'case')} written{test if result.without_mask else ''}, "
        f"{len(result.failures)} failed; in {out}"
    )
    exit_if_failed(len(result.failures))


def _refuse_partial_labels(options) -> None:
    if options["labelled"]:
        raise click.UsageError(
            "Expected masks that label every region. Received --labelled, which nnU-Net cannot "
            "express: convert the cases that label every region."
        )


def _say_labels(target, result) -> None:
    ignored = target.labels.entries["labels"].get("ignore")
    numbers = [pair for pair in target.labels.numbers.items() if pair[1] != ignored]
    changed = ", ".join(f"{old} is now {new}" for old, new in numbers if old != new)
    if changed:
        say(f"Note: labels of nnU-Net are consecutive: {changed}.", err=True)
    if ignored is not None:
        say(f"Note: voxels to ignore have the label {ignored}.", err=True)
    unnamed = {name: labels for name, labels in result.unnamed.items() if labels}
    if unnamed:
        labels = sorted({label for labels in unnamed.values() for label in labels})
        say(
            f"Note: labels that no --region names became background in "
            f"{count(len(unnamed), 'case')}: {', '.join(map(str, labels))}.",
            err=True,
        )
    if not target.has_usual_name:
        say(
            "Note: nnU-Net finds only folders named like Dataset042_Liver in nnUNet_raw: rename "
            f"{target.folder.name}.",
            err=True,
        )
