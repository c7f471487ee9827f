"""`liverseg predict`: stage 3, prediction."""

import click

from liverseg_tf.choices import DICOM_FORMATS, FORMATS, PRECISIONS, SIDES
from liverseg_tf.cli.shared import options
from liverseg_tf.cli.shared.command import command, exit_if_failed
from liverseg_tf.cli.shared.dicomweb import fetch_inputs
from liverseg_tf.cli.shared.model_options import model_option, only, server_options
from liverseg_tf.cli.shared.models import ModelLoader, find_sides, resolve_models
from liverseg_tf.cli.shared.postprocessing_options import parse_steps, postprocessing_options
from liverseg_tf.cli.shared.progress import progress
from liverseg_tf.cli.shared.terminal import print_error, say, say_warnings
from liverseg_tf.plural import count


@command("predict")
@click.argument("inputs", nargs=-1, required=True, metavar="INPUT...")
@model_option(
    ": grpc://HOST:PORT/NAME or rest://HOST:PORT/NAME (grpcs:// and rests:// with TLS). "
    "Repeatable; the probabilities of several models are averaged.",
    required=False,
)
@click.option("-o", "--out", type=options.FOLDER, required=True, help="Folder for the masks.")
@only
@click.option(
    "--side",
    type=click.Choice(SIDES),
    help="Predict only the training, validation or test cases of the model's split.",
)
@click.option(
    "--part",
    metavar="I/N",
    help="Predict only part I of N of the cases, as in array jobs of a cluster.",
)
@click.option("--force", is_flag=True, help="Write all masks again, even if they are up to date.")
@click.option(
    "--mirror",
    is_flag=True,
    help="Average the predictions of each slice and of its left-right mirror image. Takes twice "
    "the time and needs a run that was trained with --mirror.",
)
@click.option(
    "--format",
    "formats",
    type=click.Choice(FORMATS),
    multiple=True,
    default=["nifti"],
    help="Output format. seg (DICOM-SEG, needs the extra 'dicom'), rtstruct and sc (secondary "
    "captures: pictures with contours and a table of volumes) need DICOM input; stl and obj are "
    "surface meshes; seg.nrrd is a segmentation of 3D Slicer; itk-snap is a description of the "
    "labels. Repeatable.",
)
@click.option(
    "--send",
    is_flag=True,
    help="Store the DICOM results in the archive of an INPUT dicomweb://...; seg if --format names "
    "none. What the archive holds already is left alone.",
)
@click.option(
    "--series-description",
    metavar="TEXT",
    default="",
    show_default="kind of the result and name of the model",
    help="Description of the series of DICOM results.",
)
@click.option(
    "--series-number",
    type=int,
    metavar="N",
    show_default="1000 above that of the image",
    help="Number of the series of DICOM-SEG; RTSTRUCT and secondary captures have the next two.",
)
@click.option(
    "--measure",
    is_flag=True,
    help="Also write OUT/NAME.json with volumes, HU, connected components and whether the field of "
    "view cuts a region; the confidence, with --mirror or several models also the agreement, and, "
    "if `liverseg trust` has measured the model, whether a mask must be checked. Print one line "
    "for each case, and write all of them to OUT/measurements.csv.",
)
@click.option("--crop/--no-crop", default=True, help="Skip slices and margins outside the body.")
@click.option(
    "--batch-size",
    type=click.IntRange(1),
    metavar="N",
    default=8,
    help="Number of slices per batch.",
)
@click.option(
    "--precision",
    type=click.Choice(PRECISIONS),
    show_default="float32, or that of the training if a GPU multiplies it",
    help="Floating-point precision in which a run predicts.",
)
@click.option(
    "--probabilities",
    is_flag=True,
    help="Also write the probabilities to OUT/probabilities/REGION/NAME.nii.gz (uint8, scaled to "
    "0..1 by the header).",
)
@click.option(
    "--calibrated",
    is_flag=True,
    help="Like --probabilities, but calibrated with the temperatures that `liverseg trust` "
    "measured for the model. The masks stay the same.",
)
@click.option(
    "--no-postprocessing",
    is_flag=True,
    help="Ignore the thresholds and post-processing that were tuned for the run. The "
    "post-processing options, --threshold to --fill-3d, still apply.",
)
@options.form
@options.accept_rule
@options.workers_options(
    "Number of processes, each with its own copy of the model. If there are several GPUs, each "
    "process uses one.",
    default=1,
)
@server_options
@postprocessing_options
def predict(inputs, models, out, side, part, workers, **settings) -> None:
    """Segment images and write their masks.

    An INPUT is an image (NIfTI, MetaImage or NRRD), a folder of images, a DICOM series, a folder
    tree of DICOM series, a data set, a table (.csv) with a column named image, or a study in an
    archive: dicomweb://HOST:PORT/PATH/studies/UID. The mask of each image is written to
    OUT/NAME.nii.gz, with the shape, affine, orientation codes and units of the image. The mask of
    NAME_0000.nii.gz, as nnU-Net names images of one channel, is NAME.nii.gz, too.

    Images that break a rule of `liverseg check` get no mask, unless --accept names the rule.

    Masks that exist and were made from the same image by the same model with the same settings
    are kept.
    """
    from liverseg_tf.predict.batch.memory import estimate_memory
    from liverseg_tf.predict.models.ensemble import combine_networks

    given = (settings[name] for name in ("mirror", "token_file", "tls_ca", "precision"))
    load = ModelLoader(resolve_models(models), *given)
    records = load.records()
    network = combine_networks([record.network for record in records])
    steps = parse_steps(settings)
    steps.check(network.regions)
    network.regions.check_names(settings["only"])
    job = _create_job(out, steps, settings, find_sides(records))
    modality = "CT" if network.tiles.percentiles is None else "MR"
    with fetch_inputs(inputs, out, modality, settings["tls_ca"]) as found:
        if settings["send"]:
            found.check_can_send()
        images = _select_images(found.images, side, part, records)
        estimate = estimate_memory(images.values(), network, settings["batch_size"])
        if estimate is not None:
            say(f"{estimate}{'' if workers is None else ' (per process)'}.", err=True)
        with progress("predict", len(images)) as show:
            finished = iter(range(1, len(images) + 1))
            result = _predict(
                images, load, job, workers, lambda name, _: show(next(finished), name)
            )
        say_warnings(result.warnings)
        if settings["measure"]:
            _report_measurements(out, [*result.written, *result.kept])
        if settings["send"]:
            found.send(job.outputs, out, result)
    result.failures |= found.failures
    for message in result.failures.values():
        print_error(message)
    kept = f"{len(result.kept)} kept, " if result.kept else ""
    say(
        f"{count(len(result.written), 'mask')} written, {kept}{len(result.failures)} failed; "
        f"in {out}"
    )
    exit_if_failed(len(result.failures))


def _report_measurements(out, names):
    from liverseg_tf.predict.outputs.measurement_table import (
        describe_volumes,
        write_measurement_table,
    )

    write_measurement_table(out)
    for name in sorted(names):
        say(f"{name}: {describe_volumes(out, name) or 'not measured'}")


def _create_job(out, steps, settings, sides):
    from liverseg_tf.model.postprocessing import PostProcessing
    from liverseg_tf.predict.batch.prediction_job import PredictionJob
    from liverseg_tf.predict.outputs.case_outputs import OutputFormats
    from liverseg_tf.predict.outputs.dicom_header import DicomHeader
    from liverseg_tf.predict.segment_volume import Inference

    formats = settings["formats"]
    if settings["send"] and not set(DICOM_FORMATS) & set(formats):
        formats = (*formats, "seg")
    header = DicomHeader(
        series_description=settings["series_description"], series_number=settings["series_number"]
    )
    return PredictionJob(
        folder=out,
        postprocessing=PostProcessing() if settings["no_postprocessing"] else None,
        overrides=steps,
        probabilities=settings["probabilities"],
        calibrated=settings["calibrated"],
        inference=Inference(settings["batch_size"], settings["crop"]),
        force=settings["force"],
        outputs=OutputFormats(formats, settings["measure"], header),
        form=settings["form"],
        accepted=settings["accepted"],
        precision=settings["precision"],
        only=settings["only"],
        sides=sides,
    )


def _predict(images, load, job, workers, on_case):
    from liverseg_tf.predict.batch.parallel import predict_parallel
    from liverseg_tf.predict.batch.predict_cases import predict_cases

    if workers is not None:
        return predict_parallel(images, load, job, workers, on_case)
    predictor = load()
    try:
        return predict_cases(images, predictor, job, on_case)
    finally:
        if load.on_server:
            predictor.close()  # also cancels open requests after an interrupt


def _select_images(images, side, part, records):
    from liverseg_tf.dataset.dataset_part import DatasetPart

    if side is not None:
        # with several runs, only the cases that are on this side in all of them
        names = set.intersection(*(set(record.split[side]) for record in records))
        images = {name: path for name, path in images.items() if name in names}
        if not images:
            raise click.UsageError(
                f"No input is among the {side} cases of the model "
                f"({', '.join(sorted(names)) or 'it has none'}). Check the inputs or --side."
            )
    if part is not None:
        images = {name: images[name] for name in DatasetPart.parse(part).select(list(images))}
    return images
