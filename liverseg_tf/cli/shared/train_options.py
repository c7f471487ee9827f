"""Options of the commands that train: every one is a setting of the run."""

import click

from liverseg_tf.cli.shared import options

_HOW_LONG = (
    click.option("--epochs", type=click.IntRange(1), default=50, help="Rounds of training."),
    click.option(
        "--steps-per-epoch", type=click.IntRange(1), default=100, help="Batches in each round."
    ),
    click.option(
        "--minutes",
        type=click.FloatRange(0, min_open=True),
        help="Train for this wall-clock time instead of --epochs; the learning rate falls with it.",
    ),
    click.option(
        "--patience",
        type=click.IntRange(1),
        metavar="ROUNDS",
        help="Stop after so many validations without a better one.",
    ),
)
_WHAT = (
    options.region,
    click.option("--context", type=click.IntRange(1), default=1, help="Slices seen at once, odd."),
    click.option(
        "--context-spacing-mm",
        type=float,
        help="From one of these slices to the next, about; thin ones between are passed over.  "
        "[default: neighbours]",
    ),
    click.option(
        "--from",
        "init_from",
        type=options.FOLDER,
        metavar="RUN",
        help="Start from the weights of a run, also of other regions or channels; layers that "
        "don't fit are named.",
    ),
)
_NETWORK = (
    click.option(
        "--base-filters", type=click.IntRange(1), default=16, help="Filters of the first level."
    ),
    click.option("--depth", type=click.IntRange(1, 7), default=4, help="Levels of pooling."),
    click.option(
        "--patch",
        type=int,
        default=1,
        metavar="1|2|4",
        help="Pixels along a side that are one pixel inside the network: 2 learns three times as "
        "many slices in the same time.",
    ),
    click.option("--residual", is_flag=True, help="Blocks that add their input to their output."),
    click.option("--attention", is_flag=True, help="Gates on what skips the lower levels."),
    click.option(
        "--normalisation",
        type=click.Choice(["batch", "instance", "none"]),
        default="batch",
        help="Of the features.",
    ),
    click.option("--dropout", type=float, default=0.0, help="Rate at the two lowest levels."),
    click.option(
        "--encoder",
        metavar="NAME",
        help="A network of keras.applications as the way down, such as EfficientNetV2B0.",
    ),
    click.option(
        "--encoder-weights",
        metavar="FILE",
        help="Its first weights: a file, or 'imagenet', which Keras fetches.  [default: random]",
    ),
)
_HOW = (
    click.option("--batch-size", type=click.IntRange(1), default=8, help="Tiles in a batch."),
    click.option(
        "--loss",
        type=click.Choice(["dice-ce", "dice-topk", "focal-tversky"]),
        default="dice-topk",
        help="Batch Dice and cross-entropy, of all voxels or more and more of the worst tenth; or "
        "focal Tversky.",
    ),
    click.option(
        "--deep-supervision",
        type=click.IntRange(1),
        default=1,
        help="Outputs at coarser and coarser levels that learn too (deep supervision).",
    ),
    click.option(
        "--optimizer", type=click.Choice(["adamw", "sgd"]), default="adamw", help="sgd: Nesterov."
    ),
    click.option("--learning-rate", type=float, help="At its peak.  [default: 0.002, of sgd 0.01]"),
    click.option(
        "--decay",
        type=click.Choice(["cosine", "polynomial"]),
        default="cosine",
        help="Of the learning rate, after a short warm-up.",
    ),
    click.option("--weight-decay", type=float, default=1e-4, help="Of weights, not of biases."),
    click.option("--clip-norm", type=float, default=1.0, help="Longest gradient."),
    click.option(
        "--ema-decay",
        type=float,
        default=0.99,
        help="Decay of the running mean of the weights, which is what is kept; 0: the last ones.",
    ),
    click.option(
        "--foreground-fraction",
        type=click.FloatRange(0, 1),
        default=1 / 3,
        show_default="1/3",
        help="Share of a batch from slices that hold a region, in turn.",
    ),
    click.option(
        "--augment",
        type=click.FloatRange(0, 3),
        default=1.0,
        help="Strength of the augmentation; 0 is none.",
    ),
    click.option(
        "--mirror", is_flag=True, help="Mirror left and right too: for organs that have no side."
    ),
    click.option("--seed", type=int, default=0, help="Of weights, batches and augmentation."),
)
_MACHINE = (
    click.option(
        "--precision",
        type=click.Choice(["float32", "bfloat16", "float16"]),
        help="Of the features.  [default: what suits the machine]",
    ),
    click.option(
        "--xla/--no-xla",
        "compiled",
        default=None,
        help="Compile steps.  [default: on GPUs]",
    ),
    click.option("--tensorboard", is_flag=True, help="Write RUN/tensorboard (extra tensorboard)."),
)
_ALL = (*_HOW_LONG, *_WHAT, *_NETWORK, *_HOW, *_MACHINE)


def train_options(function):
    """The options of a command that trains, in the order in which `--help` lists them."""
    for option in reversed(_ALL):
        function = option(function)
    return function


def settings_and_execution(given: dict):
    """`TrainSettings` and what is left of the options: precision, compiled, tensorboard."""
    from liverseg_tf.train.settings import TrainSettings

    ways = {name: given.pop(name) for name in ("precision", "compiled", "tensorboard")}
    return TrainSettings(**given), ways
