"""`liverseg pack`: a run as a bundle that others can use."""

from pathlib import Path

import click

from liverseg_tf.cli.shared import options
from liverseg_tf.cli.shared.command import command
from liverseg_tf.cli.shared.terminal import say

_TEXT_FILE = click.Path(exists=True, dir_okay=False, path_type=Path)


@command("pack")
@click.argument("run", type=options.FOLDER)
@click.argument("out", type=options.ANY_PATH, metavar="MODEL.zip")
@click.option(
    "--name",
    show_default="name of MODEL.zip",
    help="Name of the model: lower-case letters, digits, '.', '_' and '-'.",
)
@click.option("--model-version", default="1.0", metavar="VERSION", help="Version of the model.")
@click.option(
    "--data",
    "trained_on",
    required=True,
    metavar="TEXT",
    help="What the model was trained on, in a few words: '27 contrast CTs of BTCV'.",
)
@click.option(
    "--licence",
    required=True,
    metavar="NAME",
    help="Licence of the model, such as CC-BY-4.0. It must agree with the licence of the data.",
)
@click.option(
    "--licence-file",
    type=_TEXT_FILE,
    metavar="FILE",
    help="Text of the licence.",
)
@click.option(
    "--attribution",
    default="",
    metavar="TEXT",
    help="Whom the licences of model and data ask to name.",
)
@click.option(
    "--card",
    type=_TEXT_FILE,
    metavar="FILE",
    help="Your own text of the model card, in Markdown, with the sections Training data, Scores, "
    "Known failures, Intended use and Licence. Without it, the card says what is known.",
)
@click.option(
    "--scores",
    type=options.FOLDER,
    multiple=True,
    metavar="SCORES",
    help="Folder of `liverseg evaluate`, whose mean scores the card shows. Repeatable.",
)
def pack(run, out, name, licence_file, card, scores, **settings) -> None:
    """Pack a run as a model bundle.

    MODEL.zip holds the weights, the settings that prediction needs, a model card, the licence, a
    self-test and a checksum of each of them. It holds no names of cases, no paths and no texts of
    the run. `liverseg predict --model MODEL.zip` uses it. If the path does not end in .zip, the
    same files are written to a new folder, as model hubs show them.
    """
    from liverseg_tf.predict.bundles.open_bundle import compute_key
    from liverseg_tf.predict.bundles.read_scores import read_score_tables

    texts = {
        "licence_text": licence_file and _read_text(licence_file),
        "card": card and _read_text(card),
    }
    tables = read_score_tables(scores)
    from liverseg_tf.cli.shared.tensorflow import import_backend

    import_backend()
    from liverseg_tf.predict.bundles.pack import PackSettings, pack_bundle

    packed = pack_bundle(
        run,
        out,
        PackSettings(
            name or out.name.removesuffix(".zip"),
            settings["model_version"],
            settings["trained_on"],
            settings["licence"],
            settings["attribution"],
            score_tables=tables,
            **texts,
        ),
    )
    record = packed.record
    size = sum(member.bytes for member in record.members.values())
    if out.is_file():
        size = out.stat().st_size
    say(
        f"Written: {out}, {size / 1e6:.1f} MB, weights in {record.weights} (Dice of the masks of "
        f"float16 with those of float32 in the self-test: at least {packed.half_dice:.4f})"
    )
    if out.is_file():
        say(f"sha256={compute_key(out)}")


def _read_text(path) -> str:
    from liverseg_tf.errors import LiverSegError, reason_of

    try:
        return path.read_text(encoding="utf-8-sig")
    except (OSError, ValueError) as error:
        raise LiverSegError(
            f"Expected a text in UTF-8 at {path}. Received: {reason_of(error)}."
        ) from error
