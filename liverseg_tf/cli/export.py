"""`liverseg export`: a run for a model server."""

from pathlib import Path

import click

from liverseg_tf.cli.shared import options
from liverseg_tf.cli.shared.command import command


@command("export")
@click.argument("run", type=options.FOLDER)
@click.argument("out", type=options.FOLDER)
@click.option("--name", help="Of the model, part of its address.", show_default="RUN's name")
@click.option(
    "--version", type=click.IntRange(1), show_default="the next", help="A number that is free."
)
@click.option(
    "--quantize",
    type=click.Choice(["none", "float16", "int8"]),
    default="none",
    help="Store the SavedModel's kernels in half or a quarter of the bytes; it computes in "
    "float32 all the same.",
)
@click.option(
    "--litert",
    type=click.Choice(["float16", "int8"]),
    multiple=True,
    help="Write a LiteRT file too (.tflite); may be repeated.",
)
@click.option(
    "--calibrate",
    type=options.FOLDER,
    metavar="STORE",
    help="Store whose training tiles tell --litert int8 its ranges.",
)
@click.option("--onnx", is_flag=True, help="Write an ONNX file too (needs the extra onnx).")
def export(run, out, name, version, quantize, litert, calibrate, onnx) -> None:
    """Write RUN as OUT/NAME/VERSION for TensorFlow Serving, and what configures the server.

    The model answers to tiles, to slices in HU of any size and spacing (window and resampling
    are in its graph) and to PNG files.
    """
    from liverseg_tf.model.run_record import RunRecord

    RunRecord.read(run)

    from liverseg_tf.cli.shared.tensorflow import import_tensorflow

    import_tensorflow()
    from liverseg_tf.serve.export.export_run import ExportSettings, export_run

    name = name or Path(run).resolve().name
    settings = ExportSettings(name, version, quantize, tuple(litert), calibrate, onnx)
    exported = export_run(run, out, settings)
    click.echo(f"Written: {exported.folder}")
    for file in exported.files:
        click.echo(f"Written: {file}, {file.stat().st_size / 1e6:.1f} MB")
    click.echo(f"Serve it:\n{exported.docker}")
