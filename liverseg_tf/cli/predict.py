"""`liverseg predict`: stage 3."""

import click

from liverseg_tf.cli import options
from liverseg_tf.cli.command import command, complain, end_with
from liverseg_tf.cli.progress import progress


@command("predict")
@click.argument("inputs", type=options.ANY_PATH, nargs=-1, required=True, metavar="INPUT...")
@click.option("--model", type=options.FOLDER, required=True, help="A run directory.")
@click.option("--out", type=options.FOLDER, required=True, help="Folder for the masks.")
@click.option(
    "--largest",
    multiple=True,
    metavar="REGION",
    help="Keep only the largest connected component of this region; may be repeated.",
)
@click.option(
    "--side",
    type=click.Choice(["train", "val", "test"]),
    help="Only the cases that were on this side of the split when the model was trained.",
)
def predict(inputs, model, out, largest, side) -> None:
    """Segment every INPUT and write OUT/NAME.nii.gz.

    An INPUT is an image (NIfTI; MetaImage and NRRD with the extra itk), a folder of images, a DICOM
    series, a tree of them, or a data set.

    A mask has the shape, affine, orientation codes and units of its image.
    """
    from liverseg_tf.predict.cases import find_images, predict_cases
    from liverseg_tf.predict.run import RunPredictor, RunRecord

    record = RunRecord.read(model)
    record.network.regions.check_names(largest)
    images = find_images(inputs)
    if side is not None:
        images = {name: path for name, path in images.items() if name in record.split[side]}
        if not images:
            raise click.UsageError(
                f"Expected cases of the run's {side} side ({', '.join(record.split[side])}) "
                "among the inputs. Received none."
            )

    from liverseg_tf.cli.tensorflow import import_tensorflow

    import_tensorflow()
    predictor = RunPredictor(model)
    with progress("predict", len(images)) as show:
        ended = iter(range(1, len(images) + 1))
        failures = predict_cases(
            images, predictor, out, largest, lambda name, failure: show(next(ended), name)
        )
    for message in failures.values():
        complain(message)
    click.echo(f"{len(images) - len(failures)} masks written, {len(failures)} failed; in {out}")
    end_with(len(failures))
