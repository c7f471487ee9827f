"""The network alone as LiteRT and ONNX: tiles to probabilities, for devices and other runtimes."""

import tempfile
import warnings
from collections.abc import Iterator
from pathlib import Path

import keras
import numpy as np
import tensorflow as tf

from liverseg_tf.errors import LiverSegError
from liverseg_tf.model.spec import NetworkSpec
from liverseg_tf.tiles.store import TileStore

LITERT_KINDS = ("float16", "int8")
_CALIBRATION_TILES = 64


def to_litert(model: keras.Model, tiles: Iterator[np.ndarray] | None = None) -> bytes:
    """A LiteRT file of any height and width: weights in float16, or all of it in int8.

    Args:
        model: of tiles.
        tiles: (1, h, w, channels) float32 each, of which the range of each int8 layer is
            learnt; None keeps float32 layers and stores float16 weights. Inputs and outputs
            are float32 either way.

    Raises:
        LiverSegError: when the converter fails.
    """
    spec = tf.TensorSpec((None, None, None, model.input_shape[-1]), tf.float32, "tiles")
    archive = keras.export.ExportArchive()
    archive.add_endpoint(
        "serving_default", lambda x: {"probabilities": model(x, training=False)}, [spec]
    )
    with tempfile.TemporaryDirectory() as folder:
        archive.write_out(folder, verbose=False)
        converter = tf.lite.TFLiteConverter.from_saved_model(folder)
        converter.optimizations = [tf.lite.Optimize.DEFAULT]
        if tiles is None:
            converter.target_spec.supported_types = [tf.float16]
        else:
            converter.representative_dataset = lambda: ({"tiles": tile} for tile in tiles)
        try:
            return converter.convert()
        except Exception as error:  # the converter's errors have no class in common
            lines = str(error).strip().splitlines() or [type(error).__name__]
            raise LiverSegError(
                f"Expected a network that LiteRT can hold. Received: {lines[0]}"
            ) from error


def calibration_tiles(store: Path, network: NetworkSpec) -> Iterator[np.ndarray]:
    """Tiles with their neighbours from a store's training cases, evenly spread.

    Args:
        store: of the network's tiles.
        network: that sees them.

    Yields:
        (1, h, w, channels) float32, 0..255, padded to the stride.

    Raises:
        LiverSegError: when the store has other tiles, or no training cases.
    """
    tiles = TileStore.open(store)
    if tiles.spec != network.tiles:
        raise LiverSegError(
            f"Expected a store of the network's tiles, {network.tiles}. "
            f"Received {store} with {tiles.spec}."
        )
    names = tiles.split["train"]
    if not names:
        raise LiverSegError(f"Expected training cases in {store}. Received none.")
    each = -(-_CALIBRATION_TILES // len(names))
    for name in names[:: -(-len(names) // _CALIBRATION_TILES)]:
        image = tiles.read(name).image
        for z in np.linspace(0, len(image) - 1, each).round().astype(int):
            tile = network.stack(image, int(z)).astype(np.float32)
            missing = np.subtract(network.padded(tile.shape[:2]), tile.shape[:2])
            yield np.pad(tile, [(0, int(missing[0])), (0, int(missing[1])), (0, 0)])[None]


def write_onnx(model: keras.Model, path: Path) -> None:
    """Write an ONNX file of any height and width.

    Args:
        model: of tiles.
        path: of the file.

    Raises:
        LiverSegError: when tf2onnx is missing.
    """
    try:
        import onnx
        import tf2onnx  # noqa: F401
    except ImportError as error:
        raise LiverSegError(
            "Expected tf2onnx for --onnx (pip install liverseg_tf[onnx]). Received none."
        ) from error
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of Keras about what it mends in tf2onnx
        model.export(path, format="onnx", verbose=False)
    graph = onnx.load(path)
    # Keras calls its output Identity:0
    (output,) = graph.graph.output
    for node in graph.graph.node:
        node.output[:] = ["probabilities" if n == output.name else n for n in node.output]
    output.name = "probabilities"
    onnx.checker.check_model(graph)
    onnx.save(graph, path)
