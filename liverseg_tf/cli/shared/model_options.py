"""Options of the commands that predict: which model, which of its regions, and its server."""

import click

from liverseg_tf.cli.shared import options

KINDS = (
    "Run, cross-validation, exported SavedModel, .tflite file, .onnx file, model bundle "
    "(MODEL.zip, https://HOST/MODEL.zip#sha256=HEX, hf://OWNER/NAME, or a name of "
    "`liverseg models`), or address of a model on a server"
)


def model_option(help: str, required: bool = True):
    """Return the option --model.

    Args:
        help: What follows the kinds of models in the help text.
        required: Whether the command needs it.
    """
    return click.option(
        "--model",
        "models",
        multiple=True,
        required=required,
        show_default=None if required else "the packaged model abdomen-ct, if there is one",
        metavar="MODEL",
        help=f"{KINDS}{help}",
    )


def _parse_names(ctx: click.Context, param: click.Parameter, value: tuple[str, ...]):
    names = [name.strip() for text in value for name in text.split(",")]
    if not all(names):
        raise click.BadParameter("Expected names of regions, as in liver,spleen.")
    return tuple(dict.fromkeys(names))


only = click.option(
    "--only",
    multiple=True,
    metavar="REGION[,REGION]",
    callback=_parse_names,
    help="Write only these regions of the model: --only liver,spleen. Their labels stay the same. "
    "Repeatable.",
)

server_options = options.combine_options(
    click.option(
        "--token-file",
        type=options.ANY_PATH,
        metavar="FILE",
        help="File with the access token of a model server. Alternatively, set the variable "
        "LIVERSEG_TOKEN.",
    ),
    click.option(
        "--tls-ca",
        type=options.ANY_PATH,
        metavar="FILE",
        help="File with the CA certificates (PEM) that verify a model server or an archive.",
    ),
)
