"""Options of the commands that train: the network. All of them are settings of the run."""

import click

from liverseg_tf.choices import NORMALISATIONS, PATCH_SIZES

NETWORK_OPTIONS = (
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
    click.option(
        "--stem-filters",
        type=click.IntRange(0),
        metavar="N",
        default=0,
        help="With --patch: number of filters of a skip connection at full resolution, for finer "
        "contours. 0 has none.",
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
        help="Known network to use as the encoder: efficientnet-lite0, which suits LiteRT and "
        "browsers, or one of keras.applications, such as EfficientNetV2B0.",
    ),
    click.option(
        "--encoder-weights",
        metavar="FILE|imagenet",
        show_default="random",
        help="Initial weights of --encoder: a file, or 'imagenet', which the extra 'encoder' "
        "contains for efficientnet-lite0 and Keras downloads for the others.",
    ),
)
