"""`liverseg phantom`: synthetic CTs with masks."""

from pathlib import Path

import click

from liverseg_tf.cli.shared.command import command
from liverseg_tf.cli.shared.progress import progress


@command("phantom")
@click.argument("out", type=click.Path(file_okay=False, path_type=Path))
@click.option("--count", type=click.IntRange(1), default=10, help="Number of cases.")
@click.option("--seed", type=int, default=0, help="Of the first case; the next ones follow it.")
@click.option("--tumours", type=click.IntRange(0, 32), help="In each liver.  [default: 0 to 5]")
@click.option(
    "--shape",
    type=(click.IntRange(2), click.IntRange(2), click.IntRange(2)),
    metavar="Z ROWS COLS",
    help="Voxels.  [default: 160 x 160 and as many slices as the liver needs]",
)
@click.option(
    "--spacing",
    type=(float, float, float),
    metavar="Z ROW COL",
    help="In mm.  [default: random, slices of 4 to 6 mm, pixels of 2 to 2.6 mm]",
)
@click.option("--organs", is_flag=True, help="Label the spleen (3) and the kidneys (4) as well.")
@click.option("--modality", type=click.Choice(["ct", "mr"]), default="ct", help="HU or MR units.")
def phantom(out, count, seed, tumours, shape, spacing, organs, modality) -> None:
    """Write synthetic abdominal CTs with liver and tumour masks to OUT, in the MSD layout.

    They vary in pose, spacing, file orientation and noise, and are made to look schematic:
    for demonstrations and tests, not for training a model for patients.
    """
    from liverseg_tf.phantom.phantoms import PhantomSpec, write_phantoms

    spec = PhantomSpec(
        shape=shape, spacing_mm=spacing, tumours=tumours, organs=organs, modality=modality
    )
    with progress("phantoms", count) as show:
        done = iter(range(1, count + 1))
        write_phantoms(out, count, seed, spec, on_case=lambda name: show(next(done), name))
    click.echo(f"{count} phantoms in {out}")
