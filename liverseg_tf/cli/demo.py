"""`liverseg demo`: every stage on synthetic CTs, in minutes and without any data."""

import math
import time
from contextlib import suppress
from pathlib import Path

import click

from liverseg_tf.cli.shared import options
from liverseg_tf.cli.shared.command import command
from liverseg_tf.cli.shared.terminal import say, say_table
from liverseg_tf.errors import SettingsError
from liverseg_tf.printable import printable

# Pixels of 3 mm and a narrow network are too coarse for patients but sufficient for phantoms, and
# two CPU cores finish in minutes. In such a short run, strong augmentation and the loss of the
# worst voxels do more harm than good.
TILE_OPTIONS = ["--spacing", 3, "--tile", 128, "--test", 0, "--val", 0.1]
TRAIN_OPTIONS = ["--base-filters", 8, "--augment", 0.5, "--loss", "dice-ce"]
LIVER_OPTION = ["--region", "liver=1,2"]


@command("demo")
@click.option(
    "-o",
    "--out",
    type=options.FOLDER,
    default=Path("data_cache/demo"),
    help="Folder for all results. An earlier demo in it is replaced.",
)
@click.option(
    "--cases",
    type=click.IntRange(2),
    metavar="N",
    default=20,
    help="Number of phantoms for training and validation.",
)
@click.option(
    "--unseen",
    type=click.IntRange(1),
    metavar="N",
    default=4,
    help="Number of further phantoms on which the model is scored.",
)
@click.option(
    "--minutes",
    type=click.FloatRange(0, min_open=True),
    metavar="MINUTES",
    default=3.5,
    help="Training time.",
)
@click.option(
    "--seed",
    type=click.IntRange(0, 2**31),
    metavar="N",
    default=0,
    help="Random seed of the phantoms and the training.",
)
@click.pass_context
def demo(ctx, out, cases, unseen, minutes, seed) -> None:
    """Run every stage on synthetic CTs, as a demonstration.

    It creates phantoms (synthetic CTs with masks), preprocesses, trains, predicts, evaluates and
    writes a report. Each stage is one command; the line above its output shows how to run it
    yourself. Only the liver is segmented, because small tumours need more training time.
    """
    folders = {
        name: out / name for name in ("phantoms", "unseen", "store", "run", "masks", "scores")
    }
    _remove_earlier_demo(out, folders.values())
    phantoms, test, store, run, masks, scores = folders.values()
    if not math.isfinite(minutes):
        raise click.UsageError(f"Expected --minutes as a finite number. Received {minutes}.")
    train_options = [*LIVER_OPTION, *TRAIN_OPTIONS, "--minutes", minutes, "--seed", seed]
    stages = {
        "phantoms": [
            ("phantom", [phantoms, "--count", cases, "--seed", seed]),
            ("phantom", [test, "--count", unseen, "--seed", seed + 1_000_000]),
        ],
        "preprocess": [("preprocess", [phantoms, store, *TILE_OPTIONS, "--seed", seed])],
        "train": [("train", [store, run, *train_options])],
        "predict": [("predict", [test, "--model", run, "--out", masks, "--largest", "liver"])],
        "evaluate": [("evaluate", [test, masks, "--out", scores, *LIVER_OPTION, "--viewers"])],
    }
    seconds = {}
    for stage, commands in stages.items():
        started = time.monotonic()
        for name, arguments in commands:
            _run_command(ctx, name, [str(argument) for argument in arguments])
        seconds[stage] = time.monotonic() - started
    _print_summary(seconds, folders)


def _run_command(ctx: click.Context, name: str, arguments: list[str]) -> None:
    click.secho(printable(f"$ liverseg {name} {' '.join(arguments)}"), bold=True)
    root = ctx.find_root()
    assert isinstance(root.command, click.Group), "`demo` is a command of `liverseg`"
    stage = root.command.get_command(root, name)
    assert stage is not None, "every stage is a command"
    with stage.make_context(name, arguments, parent=root) as stage_ctx:
        stage.invoke(stage_ctx)


def _remove_earlier_demo(out: Path, folders) -> None:
    """Remove the folders of an earlier demo. Folders that do not belong to a demo are an error."""
    from liverseg_tf.partials import remove

    marker = out / ".liverseg-demo"
    existing = [folder for folder in folders if folder.exists()]
    if existing and not marker.exists():
        raise click.UsageError(
            f"Expected an empty folder or an earlier demo at {out}. Received a folder that "
            f"contains {existing[0].name}/; choose another --out."
        )
    for folder in existing:
        remove(folder)
    out.mkdir(parents=True, exist_ok=True)
    marker.touch()


def _print_summary(seconds: dict[str, float], folders: dict[str, Path]) -> None:
    from rich.table import Table

    from liverseg_tf.predict.bundles.locate import locate_default_model

    times = Table(title="Time of each stage")
    times.add_column("stage")
    times.add_column("seconds", justify="right")
    for stage, spent in (seconds | {"all": sum(seconds.values())}).items():
        times.add_row(stage, f"{spent:.1f}")
    say_table(times)
    say(f"model: {folders['run']}  (curves.png shows its training)")
    say(f"masks: {folders['masks']}")
    say(f"scores: {folders['scores'] / 'scores.csv'}")
    say(f"report: {folders['scores'] / 'report.html'}  (with an interactive viewer for each case)")
    with suppress(SettingsError):  # an installation may come without the packaged model
        model = Path(locate_default_model()).name
        say(f"your own CT: liverseg predict CT.nii.gz --out MASKS  (with the model {model})")
