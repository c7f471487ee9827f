"""Conversion of the network to LiteRT and ONNX, from tiles to probabilities."""

import tempfile
import warnings
from collections.abc import Iterator
from pathlib import Path

import keras
import numpy as np
import tensorflow as tf

from liverseg_tf.errors import LiverSegError, first_line
from liverseg_tf.model.spec import NetworkSpec
from liverseg_tf.tiles.store import TileStore

_CALIBRATION_TILES = 64


def to_litert(model: keras.Model, tiles: Iterator[np.ndarray] | None = None) -> bytes:
    """Convert a model to LiteRT, with float16 weights or with int8 weights and activations.

    The file accepts tiles of any height and width. Its input and output are float32.

    Args:
        model: Model of the network.
        tiles: Calibration tiles, (1, h, w, channels) float32 each, from which the value range of
            each int8 layer is determined. None stores float16 weights and computes in float32.

    Returns:
        The contents of the file.

    Raises:
        LiverSegError: If the conversion fails.
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
        except Exception as error:  # the converter's errors have no common class
            raise LiverSegError(
                f"The network cannot be converted to LiteRT: {first_line(error)}"
            ) from error


def calibration_tiles(folder: Path, network: NetworkSpec) -> Iterator[np.ndarray]:
    """Select tiles with their context, evenly spaced in the training cases of a store.

    Args:
        folder: Folder of a store with the network's tiles.
        network: Input and output of the model.

    Yields:
        (1, h, w, channels) float32, 0..255, padded to multiples of the stride.

    Raises:
        LiverSegError: If the store has different tiles, or no training cases.
    """
    store = TileStore.open(folder)
    store.check_spec(network.tiles)
    names = store.split["train"]
    if not names:
        raise LiverSegError(f"Expected training cases in {folder}, but the store has none.")
    tiles_per_case = -(-_CALIBRATION_TILES // len(names))
    for name in names[:: -(-len(names) // _CALIBRATION_TILES)]:
        case = store.read(name)
        image, slice_step = case.image, network.slice_step(case.slice_mm)
        for z in np.linspace(0, len(image) - 1, tiles_per_case).round().astype(int):
            tile = network.stack(image, int(z), slice_step).astype(np.float32)
            missing = np.subtract(network.padded(tile.shape[:2]), tile.shape[:2])
            yield np.pad(tile, [(0, int(missing[0])), (0, int(missing[1])), (0, 0)])[None]


def check_onnx() -> None:
    """Check that ONNX files can be written.

    Raises:
        LiverSegError: If tf2onnx is not installed.
    """
    try:
        import onnx  # noqa: F401
        import tf2onnx  # noqa: F401
    except ImportError as error:
        raise LiverSegError(
            "ONNX files and pages (--onnx, --web) need tf2onnx: pip install 'liverseg_tf[onnx]'."
        ) from error


def write_onnx(model: keras.Model, path: Path) -> None:
    """Write an ONNX file that accepts tiles of any height and width.

    Args:
        model: Model of the network.
        path: Path of the file.

    Raises:
        LiverSegError: If tf2onnx is not installed.
    """
    check_onnx()
    import onnx

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # Keras warns about its own corrections of tf2onnx
        model.export(path, format="onnx", verbose=False)
    graph = onnx.load(path)
    # Keras names the output Identity:0
    (output,) = graph.graph.output
    for node in graph.graph.node:
        node.output[:] = ["probabilities" if n == output.name else n for n in node.output]
    output.name = "probabilities"
    onnx.checker.check_model(graph)
    onnx.save(graph, path)
