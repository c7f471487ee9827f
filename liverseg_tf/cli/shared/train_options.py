"""Options of the commands that train. All but the hardware options are settings of the run."""

import click

from liverseg_tf.choices import (
    DECAYS,
    LOSSES,
    NORMALISATIONS,
    OPTIMIZERS,
    PATCH_SIZES,
    PRECISIONS,
)
from liverseg_tf.cli.shared import options

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
        type=options.FOLDER,
        metavar="RUN",
        help="Initialise the weights from another run. Its regions and channels may differ; the "
        "layers that do not fit are listed.",
    ),
)
_NETWORK = (
    click.option(
        "--base-filters",
        type=click.IntRange(1),
        metavar="N",
        default=16,
        help="Number of filters at the first level. It doubles at each level, up to 512.",
    ),
    click.option(
        "--depth",
        type=click.IntRange(1, 7),
        metavar="N",
        default=4,
        help="Number of pooling levels.",
    ),
    click.option(
        "--patch",
        type=int,
        default=1,
        metavar="|".join(map(str, PATCH_SIZES)),
        help="Patch size of the input layer in pixels. With 2, the network works at half the "
        "resolution and processes three times as many slices in the same time.",
    ),
    click.option("--residual", is_flag=True, help="Residual connections in each block."),
    click.option("--attention", is_flag=True, help="Attention gates on the skip connections."),
    click.option(
        "--normalisation",
        type=click.Choice(NORMALISATIONS),
        default="batch",
        help="Normalisation layer.",
    ),
    click.option(
        "--dropout",
        type=float,
        metavar="RATE",
        default=0.0,
        help="Dropout rate at the two lowest levels.",
    ),
    click.option(
        "--encoder",
        metavar="NAME",
        help="Network of keras.applications to use as the encoder, such as EfficientNetV2B0.",
    ),
    click.option(
        "--encoder-weights",
        metavar="FILE|imagenet",
        show_default="random",
        help="Initial weights of --encoder: a file, or 'imagenet', which Keras downloads.",
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
)

train_options = options.combine_options(*_DURATION, *_TASK, *_NETWORK, *_OPTIMIZATION, *_HARDWARE)
