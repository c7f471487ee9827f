"""`liverseg predict`: stage 3."""

import click

from liverseg_tf.cli.shared import options
from liverseg_tf.cli.shared.command import command, complain, end_with
from liverseg_tf.cli.shared.models import Models, paths_of
from liverseg_tf.cli.shared.progress import progress


def _step(flag: str, *values: str, help: str):
    """A step of post-processing for one region; its parameter has the step's name."""
    kind = (str, *(float if value in ("P", "ML", "MM") else str for value in values))
    return click.option(
        flag,
        multiple=True,
        type=kind if values else str,
        metavar=" ".join(("REGION", *values)),
        help=f"{help} May be repeated.",
    )


@command("predict")
@click.argument("inputs", type=options.ANY_PATH, nargs=-1, required=True, metavar="INPUT...")
@click.option(
    "--model",
    "models",
    multiple=True,
    required=True,
    metavar="MODEL",
    help="A run, an exported SavedModel, .tflite or .onnx file (of several, the probabilities are "
    "averaged), or a model on a server: grpc://HOST:PORT/NAME or rest://..., with TLS grpcs:// and "
    "rests://.",
)
@click.option("--out", type=options.FOLDER, required=True, help="Folder for the masks.")
@click.option(
    "--side",
    type=click.Choice(["train", "val", "test"]),
    help="Only the cases that were on this side of the split when the model was trained.",
)
@click.option("--part", metavar="I/N", help="Only the I-th of N parts of the cases.")
@click.option("--force", is_flag=True, help="Make masks again that are there and up to date.")
@click.option(
    "--mirror",
    is_flag=True,
    help="Average over slices and slices mirrored left to right, for runs that were trained with "
    "--mirror: twice the work.",
)
@click.option(
    "--format",
    "formats",
    type=click.Choice(["nifti", "seg", "rtstruct", "stl", "obj"]),
    multiple=True,
    default=["nifti"],
    help="What is written; may be repeated. seg (DICOM-SEG, with the extra dicom) and rtstruct "
    "need DICOM input; stl and obj are surfaces.",
)
@click.option(
    "--measure",
    is_flag=True,
    help="Write OUT/NAME.json too: volumes, HU, components, what the field of view cuts; with "
    "--mirror or several models also how far they agree.",
)
@click.option(
    "--crop/--no-crop", default=True, help="Leave out slices and edges that hold no body."
)
@click.option("--batch-size", type=click.IntRange(1), default=8, help="Slices at a time.")
@click.option(
    "--probabilities",
    is_flag=True,
    help="Write OUT/probabilities/REGION/NAME.nii.gz too (uint8, a slope makes 0 to 1 of it).",
)
@click.option(
    "--no-postprocessing",
    is_flag=True,
    help="Leave out what the run's validation chose; the options below still apply.",
)
@options.workers_options(
    "Processes, each with its own model; on a machine with several GPUs each takes one.", default=1
)
@click.option(
    "--token-file",
    type=options.ANY_PATH,
    help="Holds the token for a server; the variable LIVERSEG_TOKEN does as well.",
)
@click.option("--tls-ca", type=options.ANY_PATH, help="Certificates (PEM) that vouch for a server.")
@_step("--threshold", "P", help="Voxels above this probability are in a region, else above 0.5.")
@_step("--inside", "OUTER", "MM", help="Keep a region only in or at most MM beside another one.")
@_step("--smooth-z", help="Keep and fill in what two of three neighbouring slices have.")
@_step("--min-mean-probability", "P", help="Keep components of at least this mean probability.")
@_step("--smallest", "ML", help="Keep components of at least so many millilitres.")
@_step("--largest", help="Keep only the largest connected component of this region.")
@_step("--fill-2d", help="Fill holes within slices.")
@_step("--fill-3d", help="Fill holes that are closed to all sides.")
def predict(inputs, models, out, side, part, workers, **settings) -> None:
    """Segment every INPUT and write OUT/NAME.nii.gz.

    An INPUT is an image (NIfTI; MetaImage and NRRD with the extra itk), a folder of images, a DICOM
    series, a tree of them, a data set, or a table (.csv) with a column image.

    A mask has the shape, affine, orientation codes and units of its image. Masks that are
    there, made from the same image by the same model and settings, are kept.
    """
    from liverseg_tf.predict.batch.find_images import find_images
    from liverseg_tf.predict.batch.memory import estimate
    from liverseg_tf.predict.models.ensemble import joint_network

    load = Models(
        paths_of(models),
        settings["mirror"],
        settings["token_file"],
        settings["tls_ca"],
    )
    records = load.records()
    network = joint_network([record.network for record in records])
    steps = _steps(settings)
    steps.check(network.regions)
    images = _chosen(find_images(inputs), side, part, records)
    for line in estimate(images.values(), network, settings["batch_size"]):
        each = "" if workers is None else " (each process)"
        click.echo(line + each, err=True)
    output = _output(out, steps, settings)
    with progress("predict", len(images)) as show:
        ended = iter(range(1, len(images) + 1))
        result = _run(images, load, output, workers, lambda name, _: show(next(ended), name))
    if result.guessed:
        click.echo(
            f"Warning: {len(result.guessed)} images have no geometry in their headers, 1 mm and "
            f"the orientation are guesses: {', '.join(result.guessed)}.",
            err=True,
        )
    for message in result.failures.values():
        complain(message)
    kept = f"{len(result.kept)} kept, " if result.kept else ""
    click.echo(
        f"{len(result.written)} masks written, {kept}{len(result.failures)} failed; in {out}"
    )
    end_with(len(result.failures))


def _steps(settings):
    from liverseg_tf.model.postprocessing import PostProcessing

    names = (
        "threshold",
        "inside",
        "smooth_z",
        "min_mean_probability",
        "largest",
        "fill_2d",
        "fill_3d",
    )
    return PostProcessing(
        **{name: tuple(settings[name]) for name in names}, smallest_ml=tuple(settings["smallest"])
    )


def _output(out, steps, options):
    from liverseg_tf.model.postprocessing import PostProcessing
    from liverseg_tf.predict.batch.predict_cases import Output
    from liverseg_tf.predict.outputs.case_outputs import Outputs
    from liverseg_tf.predict.segment_volume import Inference

    return Output(
        out,
        PostProcessing() if options["no_postprocessing"] else None,
        steps,
        options["probabilities"],
        Inference(options["batch_size"], options["crop"]),
        options["force"],
        Outputs(options["formats"], options["measure"]),
    )


def _run(images, load, output, workers, on_case):
    from liverseg_tf.predict.batch.parallel import predict_parallel
    from liverseg_tf.predict.batch.predict_cases import predict_cases

    if workers is not None:
        return predict_parallel(images, load, output, workers, on_case)
    predictor = load()
    try:
        return predict_cases(images, predictor, output, on_case)
    finally:
        if load.on_server:
            predictor.close()  # an interrupt ends what is under way


def _chosen(images, side, part, records):
    from liverseg_tf.dataset.dataset_part import DatasetPart

    if side is not None:
        # of several runs' sides, only what is on that side in all of them
        names = set.intersection(*(set(record.split[side]) for record in records))
        images = {name: path for name, path in images.items() if name in names}
        if not images:
            raise click.UsageError(
                f"Expected cases of the run's {side} side ({', '.join(sorted(names))}) "
                "among the inputs. Received none."
            )
    if part is not None:
        images = {name: images[name] for name in DatasetPart.parse(part).of(list(images))}
    return images
