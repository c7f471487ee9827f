"""Options of the commands that read a data set and cut it into tiles."""

import click

from liverseg_tf.choices import LAYOUTS, STORAGES
from liverseg_tf.cli.shared.options import (
    channel,
    combine_options,
    form,
    ignore,
    labelled,
    labelled_slices,
    segment,
)
from liverseg_tf.cli.shared.terminal import say

dataset_options = combine_options(
    click.option(
        "--layout",
        type=click.Choice(LAYOUTS),
        show_default="detected",
        help="Layout of the data set. msd: dataset.json of the Decathlon; nnunet: dataset.json of "
        "nnU-Net v2, with imagesTr/NAME_0000 and labelsTr/NAME; lits: volume-N.nii and "
        "segmentation-N.nii; folder: images/ and masks/ with equal file names; dicom: folders of "
        "DICOM series with their masks in masks/, or with DICOM-SEG or RTSTRUCT files beside them.",
    ),
    click.option(
        "--orientation",
        "orientations",
        multiple=True,
        metavar="NAME=LPS",
        help="Directions of the three voxel axes of a case, such as LPS; overrides its header. "
        "NAME is the case or a pattern: 'volume-2[89]=LPS'. The mask is assumed to lie on the "
        "voxels of the image (--same-voxels). Repeatable.",
    ),
    click.option(
        "--spacing-of",
        "spacings",
        multiple=True,
        metavar="NAME=I,J,K",
        help="Voxel spacing of a case along its three axes in mm; overrides its header. NAME is "
        "the case or a pattern. The header of the mask must give the same grid as that of the "
        "image, or the corrected one, unless --same-voxels is set. Repeatable.",
    ),
    click.option(
        "--same-voxels",
        multiple=True,
        metavar="NAME",
        help="Case whose mask lies on the voxels of its image, even if their headers differ. NAME "
        "is the case or a pattern. Repeatable.",
    ),
    segment,
    labelled,
    labelled_slices,
    ignore,
    form,
    channel,
)

tile_options = combine_options(
    click.option(
        "--window",
        "windows",
        type=(float, float),
        multiple=True,
        default=[(25, 450)],
        metavar="LEVEL WIDTH",
        help="Intensity window: level and width in HU. Repeatable; each window becomes a channel.",
    ),
    click.option(
        "--percentiles",
        type=(float, float),
        metavar="LOWER UPPER",
        help="Intensity range between two percentiles of each volume. Replaces --window in MR.",
    ),
    click.option(
        "--spacing",
        default="1.5",
        metavar="MM|native",
        help="In-plane pixel spacing of the tiles in mm; 'native' keeps that of each image.",
    ),
    click.option(
        "--tile",
        metavar="N|ROWSxCOLS|whole",
        show_default="256; whole if --spacing is native",
        help="Size of the tiles in pixels, cut around the body; 'whole' keeps whole slices.",
    ),
    click.option(
        "--storage",
        type=click.Choice(STORAGES),
        default="hdf5",
        help="File format of the tiles. Files of hdf5-gzip are smaller and slower to read.",
    ),
)


def check_settings(ctx, dataset, cases, spec, options):
    """Return the settings of the check for a data set, and the issues of its description.

    Args:
        ctx: Context of the command, which has the option --region.
        dataset: Folder of the data set.
        cases: Cases of the data set.
        spec: Settings of the tiles.
        options: Values of --region, whose default gives way to the labels of dataset.json, of
            --accept, --labelled, --labelled-slices, --ignore and --segment.

    Raises:
        SettingsError: If --labelled names no region or no case, the list of labelled slices no
            case, or --segment no region.
    """
    from dataclasses import replace

    from liverseg_tf.ct.segments.segment_names import SegmentNames
    from liverseg_tf.dataset.case_annotations import CaseAnnotations
    from liverseg_tf.dataset.check.rules import CheckSettings, choose_check_settings
    from liverseg_tf.dataset.check.slice_rules import check_listed_cases
    from liverseg_tf.dataset.description import read_description

    by_default = ctx.get_parameter_source("regions") == click.core.ParameterSource.DEFAULT
    has_hu = spec.percentiles is None
    settings = CheckSettings(
        has_hu=has_hu,
        channel=spec.channel,
        windows=spec.windows if has_hu else (),
        accepted=tuple(options["accepted"]),
    )
    description = read_description(dataset)
    settings, issues = choose_check_settings(
        description, None if by_default else options["regions"], settings
    )
    issues += description.find_issues(cases, options["ignored"])
    ignored = description.choose_ignored(options["ignored"])
    slices = read_slice_list(options["slice_list"], [dataset])
    annotations = CaseAnnotations.parse(options["labelled"], settings.regions, ignored, slices)
    annotations.check_cases(case.name for case in cases)
    annotations.check_slices(case.name for case in cases)
    issues += check_listed_cases(cases, slices)
    segments = SegmentNames.parse(settings.regions, options["segments"]).patterns
    return replace(settings, annotations=annotations, segments=segments), issues


def read_slice_list(path, folders):
    """Read the list of labelled slices, and say which file it is; None if there is none.

    Args:
        path: Value of --labelled-slices. None looks for labelled_slices.csv.
        folders: Folders in which it may be, the first one first.

    Raises:
        LiverSegError: If it cannot be read.
    """
    from liverseg_tf.dataset.labelled_slices import find_labelled_slices, read_labelled_slices

    path = path or find_labelled_slices(folders)
    if path is None:
        return None
    slices = read_labelled_slices(path)
    say(f"Note: labelled slices are listed in {path}; all others are unknown.", err=True)
    return slices


def find_corrected_cases(dataset, options):
    """Find the cases of a data set and apply the corrections of `dataset_options`."""
    from liverseg_tf.dataset.case_corrections import CaseCorrections
    from liverseg_tf.dataset.cases import find_cases

    corrections = CaseCorrections(
        options["orientations"], options["spacings"], options["same_voxels"], options["form"]
    )
    return corrections.apply(find_cases(dataset, options["layout"], allow_ambiguous=True))


def tile_spec(options):
    """Return the `TileSpec` of `tile_options` and --channel."""
    from liverseg_tf.ct.intensity import PercentileRange, Window
    from liverseg_tf.tiles.spec import TileSpec

    percentiles = options["percentiles"]
    return TileSpec(
        windows=tuple(Window(*window) for window in options["windows"]),
        percentiles=None if percentiles is None else PercentileRange(*percentiles),
        spacing_mm=_parse_spacing(options["spacing"]),
        tile_shape=_parse_shape(
            options["tile"] or ("whole" if options["spacing"] == "native" else "256")
        ),
        channel=options["channel"],
    )


def _parse_spacing(text: str) -> float | None:
    try:
        return None if text == "native" else float(text)
    except ValueError:
        raise click.UsageError(
            f"Expected --spacing in mm or 'native'. Received '{text}'."
        ) from None


def _parse_shape(text: str) -> tuple[int, int] | None:
    try:
        lengths = [int(length) for length in str(text).split("x")]
    except ValueError:
        lengths = []
    if text != "whole" and not 1 <= len(lengths) <= 2:
        raise click.UsageError(f"Expected --tile as 256, 256x320 or 'whole'. Received '{text}'.")
    return None if text == "whole" else (lengths[0], lengths[-1])
