"""Options of the commands that train. All but the hardware options are settings of the run."""

import click

from liverseg_tf.choices import (
    DECAYS,
    DEFAULT_TRANSFORMS,
    LOSSES,
    OPTIMIZERS,
    PRECISIONS,
    TRANSFORMS,
)
from liverseg_tf.cli.shared import options
from liverseg_tf.cli.shared.lookalike_options import lookalike_options
from liverseg_tf.cli.shared.network_options import NETWORK_OPTIONS
from liverseg_tf.errors import SettingsError


def _parse_transforms(ctx: click.Context, param: click.Parameter, value: str) -> tuple[str, ...]:
    from liverseg_tf.train.transform_names import parse_transforms

    try:
        return parse_transforms(value)
    except SettingsError as error:
        raise click.BadParameter(str(error)) from error


_DURATION = (
    click.option(
        "--epochs", type=click.IntRange(1), metavar="N", default=50, help="Number of epochs."
    ),
    click.option(
        "--steps-per-epoch",
        type=click.IntRange(1),
        metavar="N",
        default=100,
        help="Number of batches per epoch.",
    ),
    click.option(
        "--minutes",
        type=click.FloatRange(0, min_open=True),
        metavar="MINUTES",
        help="Training time. Replaces --epochs; the learning rate schedule spans this time.",
    ),
    click.option(
        "--patience",
        type=click.IntRange(1),
        metavar="N",
        help="Stop after N validations without an improvement.",
    ),
)
_TASK = (
    options.region,
    options.auxiliary,
    click.option(
        "--auxiliary-weight",
        type=float,
        metavar="WEIGHT",
        default=0.5,
        help="Weight of all auxiliary regions in the loss; that of all regions is 1.",
    ),
    click.option(
        "--context",
        type=click.IntRange(1),
        metavar="N",
        default=1,
        help="Number of slices in the input: the slice itself and its neighbours. Must be odd.",
    ),
    click.option(
        "--context-spacing-mm",
        type=float,
        metavar="MM",
        show_default="adjacent slices",
        help="Approximate distance between the slices of --context in mm. Slices in between are "
        "skipped.",
    ),
    click.option(
        "--from",
        "init_from",
        type=click.Path(),  # text: an address is no path
        metavar="RUN",
        help="Initialise the weights from another run, or from a model bundle as in predict "
        "--model. Its regions and channels may differ; the layers that do not fit are listed.",
    ),
)
_OPTIMIZATION = (
    click.option(
        "--batch-size",
        type=click.IntRange(1),
        metavar="N",
        default=8,
        help="Number of tiles per batch.",
    ),
    click.option(
        "--loss",
        type=click.Choice(LOSSES),
        default="dice-topk",
        help="Loss function. dice-ce: batch Dice and cross-entropy; dice-topk: the same, with the "
        "cross-entropy increasingly restricted to the worst 10 % of the voxels; focal-tversky: "
        "focal Tversky and cross-entropy.",
    ),
    click.option(
        "--deep-supervision",
        type=click.IntRange(1),
        metavar="N",
        default=1,
        help="Number of decoder levels with a loss. 1 disables deep supervision.",
    ),
    click.option(
        "--optimizer",
        type=click.Choice(OPTIMIZERS),
        default="adamw",
        help="Optimizer. sgd uses Nesterov momentum.",
    ),
    click.option(
        "--learning-rate",
        type=float,
        metavar="RATE",
        show_default="0.002; 0.01 with sgd",
        help="Peak learning rate.",
    ),
    click.option(
        "--decay",
        type=click.Choice(DECAYS),
        default="cosine",
        help="Learning rate schedule after a short warm-up.",
    ),
    click.option(
        "--weight-decay",
        type=float,
        metavar="RATE",
        default=1e-4,
        help="Weight decay. Biases and normalisation parameters are excluded.",
    ),
    click.option(
        "--clip-norm",
        type=float,
        metavar="NORM",
        default=1.0,
        help="Maximum global gradient norm.",
    ),
    click.option(
        "--ema-decay",
        type=float,
        metavar="DECAY",
        default=0.99,
        help="Decay of the exponential moving average of the weights, which is validated and "
        "saved. 0 uses the current weights.",
    ),
    click.option(
        "--foreground-fraction",
        type=click.FloatRange(0, 1),
        metavar="FRACTION",
        default=1 / 3,
        show_default="1/3",
        help="Fraction of each batch that is drawn from slices that contain a region.",
    ),
    click.option(
        "--augment",
        type=click.FloatRange(0, 3),
        metavar="STRENGTH",
        default=1.0,
        help="Strength of the data augmentation. 0 disables it.",
    ),
    click.option(
        "--transforms",
        metavar="NAME[,NAME]",
        default="default",
        callback=_parse_transforms,
        help="Transforms of the data augmentation; 'default' stands for the recommended ones, and "
        "-NAME removes one: --transforms default,clipping,-noise. "
        f"The recommended ones: {', '.join(DEFAULT_TRANSFORMS)}. "
        f"Others: {', '.join(n for n in TRANSFORMS if n not in DEFAULT_TRANSFORMS)}.",
    ),
    click.option(
        "--synthetic-lesions",
        type=click.FloatRange(0, 1),
        metavar="SHARE",
        default=0.0,
        help="Fraction of the training patients in whose tiles lesions are drawn, other ones in "
        "each step. Needs two regions of which one lies in the other, such as liver and tumour; "
        "the rest of the organ of these patients counts as free of lesions.",
    ),
    *lookalike_options("With --synthetic-lesions: "),
    click.option(
        "--mirror",
        is_flag=True,
        help="Mirror tiles left to right at random. Only for left-right symmetric anatomy.",
    ),
    click.option(
        "--seed",
        type=int,
        metavar="N",
        default=0,
        help="Random seed of the weights, the batches and the augmentation.",
    ),
)
_HARDWARE = (
    click.option(
        "--precision",
        type=click.Choice(PRECISIONS),
        show_default="chosen for the hardware",
        help="Floating-point precision of the computation. Weights are always float32.",
    ),
    click.option(
        "--xla/--no-xla",
        "compiled",
        default=None,
        show_default="only on GPUs",
        help="Compile the training step with XLA.",
    ),
    click.option(
        "--cache-on-device/--no-cache-on-device",
        default=None,
        show_default="on GPUs, if they fit",
        help="Upload the training tiles to the device once and gather the batches there. The "
        "batches are the same.",
    ),
    click.option(
        "--tensorboard",
        is_flag=True,
        help="Write TensorBoard logs to RUN/tensorboard (needs the extra 'tensorboard').",
    ),
    click.option(
        "--mlflow",
        metavar="FOLDER|ADDRESS",
        help="Log settings, curves and scores to MLflow, in a local folder or on a tracking server "
        "(http://, https://, sqlite://; needs the extra 'mlflow'). If this fails, a warning is "
        "printed once, and the training goes on.",
    ),
)

train_options = options.combine_options(
    *_DURATION, *_TASK, *NETWORK_OPTIONS, *_OPTIMIZATION, *_HARDWARE
)
