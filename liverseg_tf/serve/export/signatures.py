"""The signatures of an exported model. Clients rely on them.

Every input has a batch dimension, so that a server may merge requests (`--enable_batching`).

| signature | inputs | outputs |
|---|---|---|
| `serving_default` | `tiles` float32 (batch, h, w, channels) | `probabilities` float32 (batch, h, w, regions) |
| `hu_slices` | `slices` int16 (batch, rows, cols, context), `spacing_mm` float64 (batch, 2) | `probabilities` float32 (batch, rows, cols, regions) |
| `hu_mask` | as `hu_slices` | `mask` uint8 (batch, rows, cols) |
| `png` | `image_bytes` string (batch,), `spacing_mm` float64 (batch, 2) | `mask_bytes` string (batch,) |
| `describe` | `request` string (batch,), any text | `record` string (batch,) |

- `tiles`: values of 0..255 after the intensity window, at the spacing of the network, 0 outside the slice. h and w
  are multiples of the stride (16 by default). Channels are slices from the lowest to the highest, and the windows of
  each slice, as `NetworkSpec.stack` orders them.
- `slices`: HU in canonical order (rows to posterior, columns to the patient's left). The channels are the slice with
  its context slices, from the lowest to the highest; beyond the ends of a volume the first or last slice is repeated.
  Slices have up to 8192 rows and columns.
- `spacing_mm`: (row, col) of each slice, in float64 as in local prediction. Slices with the same spacing go through
  the network as one batch, others one by one.
- `window`: float64 (batch, 2), lower and upper end in units of the image. It is a further input of `hu_slices`,
  `hu_mask` and `png` for models whose tiles are scaled by percentiles (MR), which a single slice does not determine.
  Images whose values are not integers need `serving_default`.
- `probabilities` of `hu_slices` and `mask` are on the grid of the input slices. The mask holds the labels of
  `Regions.written_labels` where a probability is above the threshold (0.5 unless the validation chose another one);
  later regions overwrite earlier ones. Post-processing needs the whole volume and is left to the client.
- `image_bytes`: greyscale PNG. 16 bits hold HU (or MR units) + 32768. 8 bits hold 0..255 after the window, for models
  with one window. A network with context receives copies of the slice as context slices. `mask_bytes`: 8-bit PNG of
  labels.
- `record`: the JSON of `assets.extra/run.json`: `network` (`NetworkSpec.to_json`), `postprocessing`, `trust`, `training_range`,
  `fingerprint`, `versions`, `export`.
"""  # noqa: E501

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import tensorflow as tf

from liverseg_tf.ct.intensity import AIR_HU
from liverseg_tf.model.spec import NetworkSpec
from liverseg_tf.serve.export import graph, png_images

_INT16_MIN = np.iinfo(np.int16).min


@dataclass(frozen=True)
class Signature:
    """A signature of a SavedModel.

    Args:
        name: Name of the signature in requests.
        function: Function of one tensor per input that returns a dictionary of named outputs.
        inputs: Shape, dtype and name of each input.
    """

    name: str
    function: Callable
    inputs: tuple[tf.TensorSpec, ...]


def build_signatures(
    network: NetworkSpec, model: Callable, record: str, thresholds: Sequence[float]
) -> list[Signature]:
    """Build the signatures of a model.

    Args:
        network: Input and output of the model.
        model: Function from tiles (batch, h, w, channels) float32 to probabilities
            (batch, h, w, regions).
        record: JSON text that `describe` returns.
        thresholds: Probability above which a voxel belongs to each region.
    """
    tiles = tf.TensorSpec((None, None, None, network.channels), tf.float32, "tiles")
    # one function that all graphs below share
    network_function = tf.function(model, input_signature=[tiles], autograph=False)
    slice_functions = _SliceFunctions(network, network_function, tuple(thresholds))
    slices = tf.TensorSpec((None, None, None, network.context), tf.int16, "slices")
    image_bytes = tf.TensorSpec((None,), tf.string, "image_bytes")
    geometry = [tf.TensorSpec((None, 2), tf.float64, "spacing_mm")]
    if network.tiles.percentiles is not None:
        geometry.append(tf.TensorSpec((None, 2), tf.float64, "window"))
    return [
        Signature("serving_default", lambda x: {"probabilities": network_function(x)}, (tiles,)),
        Signature("hu_slices", slice_functions.probabilities, (slices, *geometry)),
        Signature("hu_mask", slice_functions.mask, (slices, *geometry)),
        Signature("png", slice_functions.png, (image_bytes, *geometry)),
        Signature(
            "describe",
            lambda request: {"record": tf.fill(tf.shape(request), record)},
            (tf.TensorSpec((None,), tf.string, "request"),),
        ),
    ]


@dataclass(frozen=True)
class _SliceFunctions:
    """The signatures that take native slices, built from TensorFlow ops."""

    network: NetworkSpec
    model: Callable
    thresholds: tuple[float, ...]

    def probabilities(self, slices, spacing_mm, window=None) -> dict:
        lower, scale = self._window_parameters(slices, window)
        values = tf.cast(tf.maximum(slices, self._min_intensity(window)), tf.float32)
        return {"probabilities": self._predict_slices(values, spacing_mm, lower, scale)}

    def mask(self, slices, spacing_mm, window=None) -> dict:
        probabilities = self.probabilities(slices, spacing_mm, window)["probabilities"]
        return {"mask": self._to_labels(probabilities)}

    def png(self, image_bytes, spacing_mm, window=None) -> dict:
        def predict_image(item):
            content, mm = item[0], item[1]
            values, is_windowed = png_images.decode(content, self.network.tiles.channels)
            ends = item[2][None] if len(item) > 2 else None
            lower, scale = self._window_parameters(values, ends)
            clipped = tf.maximum(values, tf.cast(self._min_intensity(ends), tf.float32))
            values = tf.where(is_windowed, values, clipped)
            lower = tf.where(is_windowed, tf.zeros_like(lower), lower)
            scale = tf.where(is_windowed, tf.ones_like(scale), scale)
            stacked = tf.tile(values, [1, 1, 1, self.network.context])
            probabilities = self._batch_function(stacked, mm, lower, scale)
            return png_images.encode(self._to_labels(probabilities)[0])

        items = (image_bytes, spacing_mm) if window is None else (image_bytes, spacing_mm, window)
        text = tf.TensorSpec((), tf.string)
        return {"mask_bytes": tf.map_fn(predict_image, items, fn_output_signature=text)}

    def _to_labels(self, probabilities):
        return graph.to_labels(probabilities, self.network.regions.written_labels, self.thresholds)

    def _min_intensity(self, window):
        """Intensity to which lower values (padding) are raised: (batch, 1, 1, 1) or (), int16."""
        if window is None:
            return tf.constant(AIR_HU, tf.int16)
        lower = tf.clip_by_value(tf.floor(window[:, 0]), _INT16_MIN, -(_INT16_MIN + 1))
        return tf.cast(lower, tf.int16)[:, None, None, None]

    def _window_parameters(self, slices, window):
        """Lower end, and steps per unit of intensity, of each window: (batch, windows) float32."""
        if window is None:
            ends = [(w.lower_hu, 255 / w.width_hu) for w in self.network.tiles.windows]
            lower, scale = np.array(ends, np.float32).T
            shape = [tf.shape(slices)[0], 1]
            return tf.tile(lower[None], shape), tf.tile(scale[None], shape)
        message = "Expected windows whose upper end is above the lower end. Received:"
        valid = tf.reduce_all(tf.math.is_finite(window)) & tf.reduce_all(
            window[:, 1] > window[:, 0]
        )
        with tf.control_dependencies([tf.debugging.Assert(valid, [message, window])]):
            lower, upper = window[:, :1], window[:, 1:]
            return tf.cast(lower, tf.float32), tf.cast(255 / (upper - lower), tf.float32)

    def _predict_slices(self, values, spacing_mm, lower, scale):
        """Predict slices of one spacing as one batch, and others one by one.

        Spacings differ if a server merges the requests of several patients.
        """
        counts = [tf.shape(values)[0], tf.shape(spacing_mm)[0], tf.shape(lower)[0]]
        valid = (counts[0] > 0) & (counts[0] == counts[1]) & (counts[0] == counts[2])
        message = (
            "Expected at least one slice, with spacing_mm for each slice and a window if the "
            "model needs one. Received these numbers:"
        )
        check = tf.debugging.Assert(valid, [message, *counts])
        with tf.control_dependencies([check]):
            same_spacing = tf.reduce_all(tf.equal(spacing_mm, spacing_mm[:1]))

        def predict_slice(item):
            return self._batch_function(item[0][None], item[1], item[2][None], item[3][None])[0]

        items = (values, spacing_mm, lower, scale)
        output = tf.TensorSpec((None, None, len(self.network.regions)), tf.float32)
        return tf.cond(
            same_spacing,
            lambda: self._batch_function(values, spacing_mm[0], lower, scale),
            lambda: tf.map_fn(
                predict_slice, items, fn_output_signature=output, parallel_iterations=1
            ),
        )

    @cached_property
    def _batch_function(self):
        """`_predict_batch` as one function that all graphs share, since tracing it takes long."""
        context = self.network.context
        ends = tf.TensorSpec((None, self.network.channels // context), tf.float32)
        values = tf.TensorSpec((None, None, None, context), tf.float32)
        signature = [values, tf.TensorSpec((2,), tf.float64), ends, ends]
        return tf.function(self._predict_batch, input_signature=signature, autograph=False)

    def _predict_batch(self, values, spacing_mm, lower, scale):
        """Predict slices of one spacing on their own grid: (batch, rows, cols, regions) float32."""
        plane = graph.PlaneGeometry.from_slices(values, spacing_mm, self.network.tiles.spacing_mm)
        keeps_spacing = self.network.tiles.spacing_mm is None
        resampled = values if keeps_spacing else graph.resample(values, plane)
        tiles = graph.pad(graph.apply_window(resampled, lower, scale), self.network.stride)
        probabilities = self.model(tiles)[:, : plane.target[0], : plane.target[1]]
        return probabilities if keeps_spacing else graph.resample(probabilities, plane.inverse)
