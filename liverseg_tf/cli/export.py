"""`liverseg export`: a run as files for model servers and other runtimes."""

import click

from liverseg_tf.choices import LITERT_TYPES, WEIGHT_TYPES
from liverseg_tf.cli.shared import options
from liverseg_tf.cli.shared.command import command
from liverseg_tf.cli.shared.models import locate
from liverseg_tf.cli.shared.terminal import say


@command("export")
@click.argument("run")
@click.argument("out", type=options.FOLDER)
@click.option(
    "--name",
    show_default="name of the RUN folder",
    help="Name of the model. It becomes part of the model's address.",
)
@click.option(
    "--version",
    type=click.IntRange(1),
    metavar="N",
    show_default="next free number",
    help="Version number of the model. It must not exist yet.",
)
@click.option(
    "--quantize",
    type=click.Choice(WEIGHT_TYPES),
    default="none",
    help="Data type in which the SavedModel stores its kernels: float16 needs half of the space, "
    "int8 a quarter. It still computes in float32.",
)
@click.option(
    "--litert",
    type=click.Choice(LITERT_TYPES),
    multiple=True,
    help="Also write a LiteRT file (.tflite) with this data type. Repeatable.",
)
@click.option(
    "--calibrate",
    type=options.FOLDER,
    metavar="STORE",
    help="Store whose training tiles calibrate the value ranges of --litert int8.",
)
@click.option("--onnx", is_flag=True, help="Also write an ONNX file (needs the extra 'onnx').")
@click.option(
    "--web",
    is_flag=True,
    help="Also write a page that segments in the browser (needs the extra 'onnx').",
)
@click.option("--unfinished", is_flag=True, help="Accept a run whose training has not finished.")
def export(run, out, name, version, quantize, litert, calibrate, onnx, web, unfinished) -> None:
    """Export a run for TF Serving, LiteRT, ONNX or the browser.

    RUN is a run, a model bundle, or the folder of a cross-validation, whose runs become one model
    that averages their probabilities. It is written to OUT/NAME/VERSION as a SavedModel, together
    with the configuration of the server. The model accepts tiles, slices in HU of any size and
    spacing (windowing and resampling are part of its graph), and PNG files.
    """
    from liverseg_tf.model.run_record import RunRecord
    from liverseg_tf.predict.tuning.cross_validation import list_runs

    run = locate(run)
    for each in list_runs(run) or [run]:
        record = RunRecord.read(each)
        if not unfinished:
            record.check_finished(each)

    from liverseg_tf.cli.shared.tensorflow import import_tensorflow

    import_tensorflow()
    from liverseg_tf.serve.export.export_run import ExportSettings, export_run

    name = name or run.resolve().name
    settings = ExportSettings(name, version, quantize, tuple(litert), calibrate, onnx, web)
    exported = export_run(run, out, settings)
    say(f"Written: {exported.folder}")
    for file in exported.files:
        say(f"Written: {file}, {file.stat().st_size / 1e6:.1f} MB")
    say("To serve the model, run:", *exported.docker.splitlines())
