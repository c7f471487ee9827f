"""A network drawn from its own layers: shapes, filters, and how far each pixel sees."""

import math
from pathlib import Path

import keras
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle

from liverseg_tf.tiles.store import TileStore
from liverseg_tf.train.network.choose import network_spec, unet_spec
from liverseg_tf.train.network.unet import build_training_unet
from liverseg_tf.train.preview.figure_file import write_picture
from liverseg_tf.train.settings import TrainSettings

_TALLEST = 0.85  # a box as high as the tiles, in levels
_PAPER = {"facecolor": "white", "edgecolor": "none", "pad": 1}  # lines stay off the words
_COLOURS = {"tiles": "0.6", "logits": "tab:green"}


def show_network(store: TileStore, settings: TrainSettings, path: Path) -> None:
    """Draw the network that settings ask for, for the tiles of a store.

    Args:
        store: of the run.
        settings: of the run.
        path: of the picture.

    Raises:
        SettingsError: when there is no such encoder.
        LiverSegError: when the file can't be written.
    """
    network = network_spec(store, settings)
    model = build_training_unet(unet_spec(network, settings))
    grids = [case["grid"]["shape"] for case in store.cases.values()]
    rows, cols = (max(lengths) for lengths in zip(*grids, strict=True))
    write_picture(draw_network(model, network.padded((rows, cols))), path)


def receptive_fields(model: keras.Model) -> dict[str, int]:
    """For each layer's output, how many input pixels along a side can change one of its pixels.

    From layer to layer a kernel of k pixels adds k - 1 times the distance of two neighbours,
    measured in pixels of the input; a stride multiplies that distance (Araujo, Norris, Sim 2019).

    Args:
        model: convolutions, poolings, and layers that work pixel by pixel.
    """
    fields: dict[str, float] = {}
    distances: dict[str, float] = {}
    for layer in model.operations:  # encoders have some that are no layers
        before = _before(layer)
        field = max((fields[name] for name in before), default=1)
        distance = max((distances[name] for name in before), default=1)
        kernel, stride = _kernel(layer)
        if isinstance(layer, keras.layers.Conv2DTranspose):
            distance /= stride  # kernel and stride are alike: each pixel comes from one
        else:
            field += (kernel - 1) * distance
            distance *= stride
        fields[layer.name], distances[layer.name] = field, distance
    return {name: math.ceil(field) for name, field in fields.items()}


def draw_network(model: keras.Model, shape: tuple[int, int]) -> Figure:
    """The U of a U-Net: a box for what each level hands on, with its shape and what it sees.

    Args:
        model: of `build_training_unet`, with one output.
        shape: (h, w) of the tiles.
    """
    inputs = keras.Input((*shape, model.input_shape[-1]), name="tiles")
    sized = keras.models.clone_model(model, input_tensors=inputs).layers
    # by their order: layers without a name of their own get other ones
    outputs = {
        layer.name: one.output.shape[1:] for layer, one in zip(model.layers, sized, strict=True)
    }
    downs, ups = _levels(model)
    steps = ["tiles", *downs, *ups, "logits"]
    fields = receptive_fields(model)
    depths = [math.log2(shape[0] / outputs[name][0]) for name in steps]
    figure = Figure(figsize=(1.1 * len(steps) + 0.6, 0.9 * max(depths) + 1.6), layout="constrained")
    axes = figure.add_subplot()
    for column, (name, depth) in enumerate(zip(steps, depths, strict=True)):
        colour = _COLOURS.get(name, "tab:blue")
        _draw_box(axes, (column, -depth), outputs[name], fields[name], colour)
    for column in range(len(steps) - 1):
        _draw_line(axes, column, column + 1, depths, "-")
    for place in range(1, len(downs)):
        _draw_line(axes, place, len(steps) - 1 - place, depths, ":")
    axes.set(xlim=(-0.6, len(steps) - 0.4), ylim=(-max(depths) - 0.75, 0.6))
    axes.set_axis_off()
    axes.set_title(
        f"{model.count_params():,} parameters; a pixel of the output sees up to "
        f"{fields['logits']} x {fields['logits']} pixels",
        fontsize=11,
    )
    return figure


def _before(layer) -> list[str]:
    """Names of the layers whose outputs a layer takes."""
    return [
        tensor._keras_history.operation.name
        for node in layer._inbound_nodes[-1:]
        for tensor in node.input_tensors
    ]


def _kernel(layer) -> tuple[int, int]:
    for size in ("kernel_size", "pool_size"):
        if hasattr(layer, size):
            return getattr(layer, size)[0], layer.strides[0]
    return 1, 1


def _levels(model: keras.Model) -> tuple[list[str], list[str]]:
    """What the levels hand over on the way down, ending at the bottom, and on the way up."""
    names = {layer.name for layer in model.layers}
    depth = sum(name.startswith("up") and name.endswith("_join") for name in names)
    downs = []
    for level in range(depth):
        skip = _before(model.get_layer(f"up{level}_join"))[0]
        gated = skip == f"up{level}_gate"
        downs.append(_before(model.get_layer(skip))[0] if gated else skip)
    bottom = _before(model.get_layer(f"up{depth - 1}_grow"))[0]
    return [*downs, bottom], [f"up{level}_relu_b" for level in reversed(range(depth))]


def _draw_box(axes, place: tuple[float, float], output: tuple, field: int, colour: str) -> None:
    height, width = max(_TALLEST * 0.5 ** -place[1], 0.06), 0.1 + 0.05 * math.log2(output[2])
    corner = (place[0] - width / 2, place[1] - height / 2)
    axes.add_patch(Rectangle(corner, width, height, color=colour, zorder=2))
    text = f"{output[0]} x {output[1]}\n{output[2]} deep\nsees {field}"
    axes.text(place[0], corner[1] - 0.06, text, ha="center", va="top", fontsize=8, bbox=_PAPER)


def _draw_line(axes, left: int, right: int, depths: list[float], style: str) -> None:
    ends = ([left, right], [-depths[left], -depths[right]])
    axes.plot(*ends, style, color="0.5", linewidth=1.2, zorder=1)
