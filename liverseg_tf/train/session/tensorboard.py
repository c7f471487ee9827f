"""Files for TensorBoard: the log's figures, pictures of validation cases, and the network."""

from collections.abc import Callable
from pathlib import Path

import keras
import numpy as np
import tensorflow as tf

from liverseg_tf.errors import SettingsError
from liverseg_tf.train.preview.contours import draw_contours
from liverseg_tf.train.session.validation import Validator

_CASES = 4


class TensorBoardWriter:
    """Writes into the folder `tensorboard` of a run.

    Args:
        folder: of the run.
        judge: whose cases are drawn: of each of the first four the slice with most of the last
            region that it holds.

    Raises:
        SettingsError: when TensorBoard isn't installed.
    """

    def __init__(self, folder: Path, judge: Validator):
        try:
            import tensorboard  # noqa: F401 (TensorFlow's summaries are made of its parts)
        except ImportError:
            raise SettingsError(
                "Expected TensorBoard for --tensorboard. Received none: "
                "pip install 'liverseg_tf[tensorboard]'"
            ) from None
        self._writer = tf.summary.create_file_writer(str(Path(folder) / "tensorboard"))
        self._network = judge.network
        self._slices = [_fullest(judge, name) for name in judge.names[:_CASES]]

    def add_model(self, model: keras.Model) -> None:
        """The network's layers, for the page "Graphs"."""
        metadata = tf.compat.v1.SummaryMetadata()
        metadata.plugin_data.plugin_name = "graph_keras_model"
        metadata.plugin_data.content = b"1"
        with self._writer.as_default():
            text = tf.constant(model.to_json(), tf.string)
            tf.summary.write("keras", text, step=0, metadata=metadata)

    def add_row(self, row: dict) -> None:
        """A row of the log: its figures at its step."""
        with self._writer.as_default(step=row["step"]):
            for name, value in row.items():
                if name not in ("epoch", "step") and np.isfinite(value):
                    tf.summary.scalar(name.replace("dice_", "dice/"), value)
        self._writer.flush()

    def add_pictures(self, step: int, predict: Callable[[np.ndarray], np.ndarray]) -> None:
        """The chosen slices: the truth dotted, what is found solid.

        Args:
            step: of the run.
            predict: (batch, h, w, channels) uint8 to probabilities (batch, h, w, regions).
        """
        with self._writer.as_default(step=step):
            for name, tiles, truth in self._slices:
                found = predict(tiles[None])[0] > 0.5
                picture = _drawn(tiles[..., tiles.shape[-1] // 2], truth, found)
                tf.summary.image(f"validation/{name}", picture[None])
        self._writer.flush()


def _fullest(judge: Validator, name: str) -> tuple[str, np.ndarray, np.ndarray]:
    """Case, its slice as the network takes it, and the truth of the regions."""
    case, network = judge.store.read(name), judge.network
    masks = network.regions.masks(np.asarray(case.mask))
    held = [region for region in range(masks.shape[-1]) if masks[..., region].any()]
    z = int(masks[..., held[-1]].sum(axis=(1, 2)).argmax()) if held else len(masks) // 2
    rows, cols = masks.shape[1:3]
    shape = network.padded((rows, cols))
    tiles = np.zeros((*shape, network.channels), np.uint8)
    tiles[:rows, :cols] = network.stack(case.image, z, network.slice_step(case.slice_mm))
    truth = np.zeros((*shape, len(network.regions)), bool)
    truth[:rows, :cols] = masks[z]
    return name, tiles, truth


def _drawn(tile: np.ndarray, truth: np.ndarray, found: np.ndarray) -> np.ndarray:
    """(h, w, 3) uint8."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(4, 4 * tile.shape[0] / tile.shape[1]), dpi=100)
    canvas = FigureCanvasAgg(figure)
    axes = figure.add_axes((0, 0, 1, 1))
    axes.imshow(tile, cmap="gray", vmin=0, vmax=255, interpolation="nearest")
    axes.axis("off")
    draw_contours(axes, truth, "dotted")
    draw_contours(axes, found)
    canvas.draw()
    return np.asarray(canvas.buffer_rgba())[..., :3]
