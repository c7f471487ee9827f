"""`liverseg phantom`: synthetic CTs with masks."""

import click

from liverseg_tf import plural
from liverseg_tf.choices import MODALITIES, PHANTOM_LAYOUTS
from liverseg_tf.cli.shared.command import command
from liverseg_tf.cli.shared.lesion_options import (
    add_lesions_to,
    check_lesion_options,
    lesion_options,
)
from liverseg_tf.cli.shared.options import FOLDER, SEED
from liverseg_tf.cli.shared.progress import progress
from liverseg_tf.cli.shared.terminal import say


@command("phantom")
@click.argument("out", type=FOLDER)
@click.option("--count", type=click.IntRange(1), metavar="N", default=10, help="Number of cases.")
@click.option(
    "--seed",
    type=SEED,
    metavar="N",
    default=0,
    help="Random seed of the first case. Each further case uses the next number.",
)
@click.option(
    "--tumours",
    type=click.IntRange(0, 32),
    metavar="N",
    show_default="random, 0 to 5",
    help="Number of tumours in each liver.",
)
@click.option(
    "--shape",
    type=(click.IntRange(2), click.IntRange(2), click.IntRange(2)),
    metavar="Z ROWS COLS",
    show_default="160 x 160 pixels and enough slices for the liver",
    help="Size of the volumes in voxels.",
)
@click.option(
    "--spacing",
    type=(float, float, float),
    metavar="Z ROW COL",
    show_default="random, slices of 4 to 6 mm, pixels of 2 to 2.6 mm",
    help="Voxel spacing in mm.",
)
@click.option("--organs", is_flag=True, help="Also label the spleen (3) and the kidneys (4).")
@click.option(
    "--modality",
    type=click.Choice(MODALITIES),
    default="ct",
    help="CT in HU, or MR in arbitrary units.",
)
@click.option(
    "--layout",
    type=click.Choice(PHANTOM_LAYOUTS),
    default="msd",
    help="Layout of the data set: that of the Medical Segmentation Decathlon, or of nnU-Net v2.",
)
@lesion_options
@click.pass_context
def phantom(
    ctx,
    out,
    count,
    seed,
    tumours,
    shape,
    spacing,
    organs,
    modality,
    layout,
    lesions_in,
    **lesion_values,
) -> None:
    """Write synthetic CTs with masks, or lesions in real CTs.

    They are written to the folder OUT as a data set, and vary in pose, spacing, file orientation
    and noise. They look schematic: use them for demonstrations and tests, not to train a model for
    patients.

    With --lesions-in, they are real CTs with synthetic lesions, of which lesions.csv lists
    the place, the size, the kind and the contrast.
    """
    check_lesion_options(ctx, lesions_in)
    if lesions_in is not None:
        add_lesions_to(lesions_in, out, seed, tumours, lesion_values)
        return
    from liverseg_tf.phantom.phantoms import PhantomSpec, write_phantoms

    spec = PhantomSpec(
        shape=shape, spacing_mm=spacing, tumours=tumours, organs=organs, modality=modality
    )
    with progress("phantoms", count) as show:
        finished = iter(range(1, count + 1))
        write_phantoms(out, count, seed, spec, lambda name: show(next(finished), name), layout)
    say(f"{plural.count(count, 'phantom')} in {out}")
