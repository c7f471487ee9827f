"""A diagram of a network, drawn from its layers: shapes, channels and receptive fields."""

import math
from pathlib import Path

import keras
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle

from liverseg_tf.plural import count
from liverseg_tf.tiles.store import TileStore
from liverseg_tf.train.network.from_settings import make_network_spec, make_unet_spec
from liverseg_tf.train.network.unet import build_training_unet
from liverseg_tf.train.preview.figure_file import write_figure
from liverseg_tf.train.settings import TrainSettings

_MAX_HEIGHT = 0.85  # height of a box at full resolution; the distance of two levels is 1
_TEXT_BOX = {"facecolor": "white", "edgecolor": "none", "pad": 1}  # hides lines behind the text
_COLOURS = {"tiles": "0.6", "logits": "tab:green"}


def write_network_diagram(store: TileStore, settings: TrainSettings, path: Path) -> None:
    """Draw the network that the settings describe, for the tiles of a store.

    Args:
        store: Store with the tiles.
        settings: Settings of the run.
        path: Path of the picture.

    Raises:
        SettingsError: If the encoder is unknown.
        LiverSegError: If the weights of the encoder cannot be read, or the file cannot be written.
    """
    network = make_network_spec(store, settings)
    model = build_training_unet(make_unet_spec(network, settings))
    shapes = [case["transform"]["shape"] for case in store.cases.values()]
    rows, columns = (max(lengths) for lengths in zip(*shapes, strict=True))
    write_figure(draw_network(model, network.padded((rows, columns))), path)


def receptive_fields(model: keras.Model) -> dict[str, int]:
    """Compute the receptive field of each layer, in input pixels along a side.

    A kernel of k pixels adds (k - 1) d to the receptive field, where d is the distance of two
    neighbouring pixels of its input, measured in pixels of the model's input. A stride multiplies
    this distance. Source: Araujo, Norris, Sim 2019, "Computing receptive fields of convolutional
    neural networks". With `stem_filters`, the last convolution sees two pixels of the coarser
    level, which may lie in two pixels of the next one; the few pixels that this adds are left out.

    Args:
        model: Model of convolutions, poolings, and layers that act on single pixels.

    Returns:
        For the name of each layer, the largest receptive field of a pixel of its output.
    """
    fields: dict[str, float] = {}
    distances: dict[str, float] = {}
    for layer in model.operations:  # encoders contain operations that are not layers
        inputs = _input_names(layer)
        field = max((fields[name] for name in inputs), default=1)
        distance = max((distances[name] for name in inputs), default=1)
        kernel, stride = _kernel_and_stride(layer)
        if isinstance(layer, keras.layers.Conv2DTranspose):
            # its kernel size equals its stride, so an output pixel depends on one input pixel
            distance /= stride
        else:
            field += (kernel - 1) * distance
            distance *= stride
        fields[layer.name], distances[layer.name] = field, distance
    return {name: math.ceil(field) for name, field in fields.items()}


def draw_network(model: keras.Model, shape: tuple[int, int]) -> Figure:
    """Draw a U-Net as a U: one box for the output of each level, with shape and receptive field.

    Args:
        model: Network with one output, made by `build_training_unet`.
        shape: (h, w) of the tiles in pixels.
    """
    inputs = keras.Input((*shape, model.input_shape[-1]), name="tiles")
    sized_layers = keras.models.clone_model(model, input_tensors=inputs).layers
    # matched by position, because a copy gives other names to layers with automatic names
    shapes = {
        layer.name: sized.output.shape[1:]
        for layer, sized in zip(model.layers, sized_layers, strict=True)
    }
    encoder_names, decoder_names = _level_outputs(model)
    names = ["tiles", *encoder_names, *decoder_names, "logits"]
    fields = receptive_fields(model)
    depths = [math.log2(shape[0] / shapes[name][0]) for name in names]
    figure = Figure(figsize=(1.1 * len(names) + 0.6, 0.9 * max(depths) + 1.6), layout="constrained")
    axes = figure.add_subplot()
    for column, (name, depth) in enumerate(zip(names, depths, strict=True)):
        colour = _COLOURS.get(name, "tab:blue")
        _draw_box(axes, column, -depth, shapes[name], fields[name], colour)
    for column in range(len(names) - 1):
        _draw_line(axes, column, column + 1, depths, "-")
    for column in range(1, len(encoder_names)):  # the skip connections
        _draw_line(axes, column, len(names) - 1 - column, depths, ":")
    axes.set(xlim=(-0.6, len(names) - 0.4), ylim=(-max(depths) - 0.75, 0.6))
    axes.set_axis_off()
    axes.set_title(
        f"{model.count_params():,} parameters; receptive field of the output: up to "
        f"{fields['logits']} x {fields['logits']} pixels",
        fontsize=11,
    )
    return figure


def _input_names(layer) -> list[str]:
    """Names of the layers whose outputs are the inputs of a layer."""
    return [
        tensor._keras_history.operation.name
        for node in layer._inbound_nodes[-1:]
        for tensor in node.input_tensors
    ]


def _kernel_and_stride(layer) -> tuple[int, int]:
    """Kernel size and stride of a layer in pixels; 1 and 1 if it acts on single pixels."""
    for size in ("kernel_size", "pool_size"):
        if hasattr(layer, size):
            return getattr(layer, size)[0], layer.strides[0]
    return 1, 1


def _level_outputs(model: keras.Model) -> tuple[list[str], list[str]]:
    """Names of the last layers of each level: down to the bottleneck, and up again."""
    names = {layer.name for layer in model.layers}
    depth = sum(name.startswith("up") and name.endswith("_concat") for name in names)
    encoder_names = []
    for level in range(depth):
        skip = _input_names(model.get_layer(f"up{level}_concat"))[0]
        is_gated = skip == f"up{level}_gate"
        encoder_names.append(_input_names(model.get_layer(skip))[0] if is_gated else skip)
    bottleneck = _input_names(model.get_layer(f"up{depth - 1}_upsample"))[0]
    return [*encoder_names, bottleneck], [f"up{level}_relu_b" for level in reversed(range(depth))]


def _draw_box(axes, x: float, y: float, shape: tuple, field: int, colour: str) -> None:
    height, width = max(_MAX_HEIGHT * 0.5**-y, 0.06), 0.1 + 0.05 * math.log2(shape[2])
    corner = (x - width / 2, y - height / 2)
    axes.add_patch(Rectangle(corner, width, height, color=colour, zorder=2))
    text = f"{shape[0]} x {shape[1]}\n{count(shape[2], 'channel')}\nfield {field}"
    axes.text(x, corner[1] - 0.06, text, ha="center", va="top", fontsize=8, bbox=_TEXT_BOX)


def _draw_line(axes, left: int, right: int, depths: list[float], style: str) -> None:
    ends = ([left, right], [-depths[left], -depths[right]])
    axes.plot(*ends, style, color="0.5", linewidth=1.2, zorder=1)
