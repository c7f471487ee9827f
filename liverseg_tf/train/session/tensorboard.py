"""Files for TensorBoard: scalars of the log, images of validation cases, and the graph."""

from collections.abc import Callable
from pathlib import Path

import keras
import numpy as np

from liverseg_tf.errors import SettingsError
from liverseg_tf.train.preview.contours import draw_contours
from liverseg_tf.train.session.validation import Validator, written_masks

try:
    import tensorflow as tf
except ImportError as error:
    raise SettingsError(
        "TensorFlow is not installed. --tensorboard needs it with every Keras backend: pip install "
        "tensorflow"
    ) from error

_MAX_CASES = 4


class TensorBoardWriter:
    """Writes into the folder `tensorboard` of a run.

    Args:
        folder: Folder of the run.
        validator: Validator whose first four cases are drawn. Of each case, the slice with the
            largest area of the last region that occurs in it is shown.

    Raises:
        SettingsError: If TensorBoard is not installed.
    """

    def __init__(self, folder: Path, validator: Validator):
        try:
            import tensorboard  # noqa: F401 (tf.summary needs it)
        except ImportError:
            raise SettingsError(
                "TensorBoard is not installed. --tensorboard needs it: "
                "pip install 'liverseg_tf[tensorboard]'"
            ) from None
        self._regions = validator.network.regions
        self._writer = tf.summary.create_file_writer(str(Path(folder) / "tensorboard"))
        self._slices = [
            _read_largest_slice(validator, name) for name in validator.case_names[:_MAX_CASES]
        ]

    def write_graph(self, model: keras.Model) -> None:
        """Write the layers of the network for the page "Graphs"."""
        metadata = tf.compat.v1.SummaryMetadata()
        metadata.plugin_data.plugin_name = "graph_keras_model"
        metadata.plugin_data.content = b"1"
        with self._writer.as_default():
            text = tf.constant(model.to_json(), tf.string)
            tf.summary.write("keras", text, step=0, metadata=metadata)

    def write_scalars(self, row: dict) -> None:
        """Write the finite values of a row of `log.csv` at its step."""
        with self._writer.as_default(step=row["step"]):
            for name, value in row.items():
                if name not in ("epoch", "step") and np.isfinite(value):
                    tf.summary.scalar(name.replace("dice_", "dice/"), value)
        self._writer.flush()

    def write_images(self, step: int, predict: Callable[[np.ndarray], np.ndarray]) -> None:
        """Write the chosen slices with contours: ground truth dotted, prediction solid.

        Args:
            step: Number of completed steps.
            predict: Function from (batch, h, w, channels) uint8 to probabilities
                (batch, h, w, regions).
        """
        with self._writer.as_default(step=step):
            for name, tiles, truth in self._slices:
                prediction = written_masks(predict(tiles[None])[0], self._regions)
                image = _draw_slice(tiles[..., tiles.shape[-1] // 2], truth, prediction)
                tf.summary.image(f"validation/{name}", image[None])
        self._writer.flush()


def _read_largest_slice(validator: Validator, name: str) -> tuple[str, np.ndarray, np.ndarray]:
    """Choose a slice of a case.

    Returns:
        Name of the case, network input (h, w, channels) uint8, ground truth (h, w, regions) bool.
    """
    case, network = validator.store.read(name), validator.network
    masks = network.regions.masks(np.asarray(case.mask))
    present = [region for region in range(masks.shape[-1]) if masks[..., region].any()]
    z = int(masks[..., present[-1]].sum(axis=(1, 2)).argmax()) if present else len(masks) // 2
    rows, columns = masks.shape[1:3]
    shape = network.padded((rows, columns))
    tiles = np.zeros((*shape, network.channels), np.uint8)
    tiles[:rows, :columns] = network.stack(case.image, z, network.slice_step(case.slice_mm))
    truth = np.zeros((*shape, len(network.regions)), bool)
    truth[:rows, :columns] = masks[z]
    return name, tiles, truth


def _draw_slice(tile: np.ndarray, truth: np.ndarray, prediction: np.ndarray) -> np.ndarray:
    """Draw a tile with contours: (h, w, 3) uint8 RGB."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(4, 4 * tile.shape[0] / tile.shape[1]), dpi=100)
    canvas = FigureCanvasAgg(figure)
    axes = figure.add_axes((0, 0, 1, 1))
    axes.imshow(tile, cmap="gray", vmin=0, vmax=255, interpolation="nearest")
    axes.axis("off")
    draw_contours(axes, truth, "dotted")
    draw_contours(axes, prediction)
    canvas.draw()
    return np.asarray(canvas.buffer_rgba())[..., :3]
