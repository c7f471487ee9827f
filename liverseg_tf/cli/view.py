"""`liverseg view`: an interactive page of an image and its masks."""

from pathlib import Path

import click

from liverseg_tf.cli.shared import options
from liverseg_tf.cli.shared.command import command
from liverseg_tf.cli.shared.terminal import say, say_warnings
from liverseg_tf.plural import count
from liverseg_tf.printable import printable


@command("view")
@click.argument("image", type=options.ANY_PATH, metavar="CT")
@click.argument("masks", type=options.ANY_PATH, nargs=-1, metavar="[MASK]...")
@click.option(
    "-o",
    "--out",
    type=click.Path(dir_okay=False, path_type=Path),
    required=True,
    help="Path of the page, an .html file.",
)
@options.region
@options.segment
@click.option(
    "--name",
    "names",
    multiple=True,
    show_default="file names",
    help="Name of a mask in the legend. Repeatable: once for each MASK, in the same order.",
)
@click.option("--title", show_default="file name of the CT", help="Title of the page.")
@click.option(
    "--limit-mb",
    type=click.FloatRange(0, min_open=True),
    metavar="MB",
    default=40.0,
    help="Maximum size of the volumes in the page, in MB. A larger CT is cropped, then "
    "downsampled.",
)
@click.option(
    "--mr",
    is_flag=True,
    help="Show the image with its own intensity range, because it is not in HU.",
)
@options.form
@options.channel
def view(image, masks, out, regions, segments, names, title, **settings) -> None:
    """Write an interactive HTML page of a CT and its masks.

    CT is an image or a folder of one DICOM series; each MASK is a label map on the same grid, or a
    DICOM-SEG, RTSTRUCT or .seg.nrrd of the CT with segments that are named like the regions. The
    page opens in any browser without a network connection. It shows slices in three planes, HU
    windows, a 3D rendering and the volumes of the masks in ml, and jumps to lesions and to the
    places where the first two masks differ. Without --region, the regions of a mask of `liverseg
    predict` are those of its model.
    """
    from liverseg_tf.ct.segments.read_mask import read_grid, read_mask
    from liverseg_tf.ct.segments.segment_names import SegmentNames
    from liverseg_tf.errors import SettingsError
    from liverseg_tf.evaluate.origin import describe_flags, read_record_of
    from liverseg_tf.evaluate.viewer.write_viewer import ViewerSpec, name_masks, write_viewer

    if names and len(names) != len(masks):
        raise SettingsError(
            f"Expected --name once for each of {count(len(masks), 'mask')}. "
            f"Received {count(len(names), 'name')}."
        )
    names = tuple(map(printable, names or name_masks(masks)))
    if len(set(names)) < len(names):
        raise SettingsError(f"Expected another name for each mask. Received {', '.join(names)}.")
    records = [read_record_of(mask) for mask in masks]
    regions = _take_predicted_regions(regions, records)
    form, segment_names = settings["form"], SegmentNames.parse(regions, segments)
    grid = read_grid(image, masks, settings["channel"], form)
    labels = {
        name: read_mask(mask, grid, segment_names, form)
        for name, mask in zip(names, masks, strict=True)
    }
    alerts = tuple(
        f"{name}: {line}"
        for name, record in zip(names, records, strict=True)
        for line in describe_flags(record)
    )
    title = title or image.name
    spec = ViewerSpec(title, regions, not settings["mr"], settings["limit_mb"], alerts)
    write_viewer(out, grid.volume, labels, spec)
    say_warnings({name: mask.warnings for name, mask in labels.items()})
    say(f"page: {out} ({out.stat().st_size / 1e6:.1f} MB)")


def _take_predicted_regions(regions, records):
    """Return the regions of the first mask that `predict` has written, unless --region is given."""
    from liverseg_tf.ct.regions import Regions

    source = click.get_current_context().get_parameter_source("regions")
    if source == click.core.ParameterSource.DEFAULT:
        for record in records:
            if record is not None and record.regions:
                return Regions.from_json(record.regions)
    return regions
