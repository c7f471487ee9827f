"""`liverseg view`: a page to look at a CT and its masks."""

from pathlib import Path

import click

from liverseg_tf.cli.shared import options
from liverseg_tf.cli.shared.command import command


@command("view")
@click.argument("image", type=options.ANY_PATH, metavar="CT")
@click.argument("masks", type=options.ANY_PATH, nargs=-1, metavar="[MASK]...")
@click.option(
    "--out",
    type=click.Path(dir_okay=False, path_type=Path),
    required=True,
    help="The page, an .html file.",
)
@options.region
@click.option(
    "--name",
    "names",
    multiple=True,
    help="Of a mask in the legend, once for each MASK in order; otherwise their paths name them.",
)
@click.option("--title", help="Of the page.  [default: the CT's file name]")
@click.option(
    "--limit-mb",
    type=click.FloatRange(0, min_open=True),
    default=40.0,
    help="Largest size of the volumes in the page; a larger CT is cut, then down-sampled.",
)
@click.option("--mr", is_flag=True, help="The image has no HU: take its own range of grey.")
@options.channel
def view(image, masks, out, regions, names, title, limit_mb, mr, channel) -> None:
    """Write one page that shows a CT (NIfTI) with any number of masks on its grid.

    It opens in any browser without a network: slices in three planes, HU windows, 3D, volumes
    of the masks in ml, and jumps to lesions and to where the first two masks differ.
    """
    from liverseg_tf.ct.nifti import read_labels, read_volume
    from liverseg_tf.errors import SettingsError
    from liverseg_tf.evaluate.viewer.write_viewer import ViewerSpec, name_masks, write_viewer

    if names and len(names) != len(masks):
        raise SettingsError(
            f"Expected --name once for each of {len(masks)} masks. Received {len(names)} names."
        )
    names = names or name_masks(masks)
    if len(set(names)) < len(names):
        raise SettingsError(f"Expected another name for each mask. Received {', '.join(names)}.")
    labels = {name: read_labels(mask) for name, mask in zip(names, masks, strict=True)}
    spec = ViewerSpec(title or image.name, regions, is_ct=not mr, limit_mb=limit_mb)
    write_viewer(out, read_volume(image, channel), labels, spec)
    click.echo(f"page: {out} ({out.stat().st_size / 1e6:.1f} MB)")
