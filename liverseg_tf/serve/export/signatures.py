"""What an exported model answers to: its signatures, which clients rely on.

Every input has a batch dimension, so that a server may merge requests (`--enable_batching`).

| signature | inputs | outputs |
|---|---|---|
| `serving_default` | `tiles` float32 (batch, h, w, channels) | `probabilities` float32 (batch, h, w, regions) |
| `hu_slices` | `slices` int16 (batch, rows, cols, context), `spacing_mm` float64 (batch, 2) | `probabilities` float32 (batch, rows, cols, regions) |
| `hu_mask` | as `hu_slices` | `mask` uint8 (batch, rows, cols) |
| `png` | `image_bytes` string (batch,), `spacing_mm` float64 (batch, 2) | `mask_bytes` string (batch,) |
| `describe` | `request` string (batch,), any text | `record` string (batch,) |

- `tiles`: 0..255 after the window, at the network's spacing, 0 outside the slice; h and w are multiples
  of the stride (16 by default). Channels are slices from the lowest to the highest, and windows within
  each, as `NetworkSpec.stack` orders them.
- `slices`: HU in canonical order (rows to posterior, columns to the patient's left), each with its
  neighbours as `context` channels from the lowest to the highest; at a volume's ends the last slice is
  repeated. Rows and columns may be any number up to 8192.
- `spacing_mm`: (row, col) of each slice, float64, since the local way computes with it so. Slices of one
  spacing go through the network together, others one by one.
- `window`: float64 (batch, 2), lower and upper end in the image's units; a further input of
  `hu_slices`, `hu_mask` and `png`, only of models whose tiles are made by percentiles (MR): they are
  taken of whole volumes, which no slice knows. Images that are no whole numbers go through
  `serving_default`.
- `probabilities` of `hu_slices` and `mask` lie on the slices' own grid. The mask holds the labels of
  `Regions.written_labels` where a probability exceeds the threshold that the run's validation chose (0.5), later regions over earlier ones;
  post-processing needs the volume and is the client's.
- `image_bytes`: greyscale PNG. 16 bits: HU (MR units) + 32768. 8 bits: 0..255 after the window, for models
  of one window. A network with context sees the slice as its own neighbours. `mask_bytes`: 8-bit PNG of labels.
- `record`: the JSON of `assets.extra/run.json`: `network` (`NetworkSpec.to_json`), `postprocessing`,
  `fingerprint`, `versions`, `export`.
"""  # noqa: E501

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import tensorflow as tf

from liverseg_tf.ct.intensity import AIR_HU
from liverseg_tf.model.spec import NetworkSpec
from liverseg_tf.serve.export import graph, png_images

_SHORTEST = np.iinfo(np.int16).min


@dataclass(frozen=True)
class Signature:
    """One of them.

    Args:
        name: that a request gives.
        function: of tensors in the order of the inputs, to a dictionary of named outputs.
        inputs: shape, dtype and name of each.
    """

    name: str
    function: Callable
    inputs: tuple[tf.TensorSpec, ...]


def signatures_of(
    network: NetworkSpec, model: Callable, record: str, thresholds: Sequence[float]
) -> list[Signature]:
    """The signatures of a model.

    Args:
        network: what it takes and gives.
        model: (batch, h, w, channels) float32 tiles to (batch, h, w, regions) probabilities.
        record: JSON that `describe` answers.
        thresholds: probability above which a voxel is in each region.
    """
    tiles = tf.TensorSpec((None, None, None, network.channels), tf.float32, "tiles")
    # one function, however often it is called in the graphs below
    network_function = tf.function(model, input_signature=[tiles], autograph=False)
    served = _Served(network, network_function, tuple(thresholds))
    slices = tf.TensorSpec((None, None, None, network.context), tf.int16, "slices")
    image_bytes = tf.TensorSpec((None,), tf.string, "image_bytes")
    places = [tf.TensorSpec((None, 2), tf.float64, "spacing_mm")]
    if network.tiles.percentiles is not None:
        places.append(tf.TensorSpec((None, 2), tf.float64, "window"))
    return [
        Signature("serving_default", lambda x: {"probabilities": network_function(x)}, (tiles,)),
        Signature("hu_slices", served.probabilities, (slices, *places)),
        Signature("hu_mask", served.mask, (slices, *places)),
        Signature("png", served.png, (image_bytes, *places)),
        Signature(
            "describe",
            lambda request: {"record": tf.fill(tf.shape(request), record)},
            (tf.TensorSpec((None,), tf.string, "request"),),
        ),
    ]


@dataclass(frozen=True)
class _Served:
    """Slices of any grid through a network, as ops."""

    network: NetworkSpec
    model: Callable
    thresholds: tuple[float, ...]

    def probabilities(self, slices, spacing_mm, window=None) -> dict:
        lower, scale = self._steps(slices, window)
        values = tf.cast(tf.maximum(slices, self._floor(window)), tf.float32)
        return {"probabilities": self._each(values, spacing_mm, lower, scale)}

    def mask(self, slices, spacing_mm, window=None) -> dict:
        found = self.probabilities(slices, spacing_mm, window)["probabilities"]
        return {"mask": self._labelled(found)}

    def png(self, image_bytes, spacing_mm, window=None) -> dict:
        def one(item):
            content, mm = item[0], item[1]
            values, is_windowed = png_images.decode(content, self.network.tiles.channels)
            ends = item[2][None] if len(item) > 2 else None
            lower, scale = self._steps(values, ends)
            lifted = tf.maximum(values, tf.cast(self._floor(ends), tf.float32))
            values = tf.where(is_windowed, values, lifted)
            lower = tf.where(is_windowed, tf.zeros_like(lower), lower)
            scale = tf.where(is_windowed, tf.ones_like(scale), scale)
            stacked = tf.tile(values, [1, 1, 1, self.network.context])
            return png_images.encode(self._labelled(self._through(stacked, mm, lower, scale))[0])

        items = (image_bytes, spacing_mm) if window is None else (image_bytes, spacing_mm, window)
        text = tf.TensorSpec((), tf.string)
        return {"mask_bytes": tf.map_fn(one, items, fn_output_signature=text)}

    def _labelled(self, probabilities):
        return graph.label(probabilities, self.network.regions.written_labels, self.thresholds)

    def _floor(self, window):
        """Padding is lifted to it: (batch, 1, 1, 1) or (), int16."""
        if window is None:
            return tf.constant(AIR_HU, tf.int16)
        lower = tf.clip_by_value(tf.floor(window[:, 0]), _SHORTEST, -(_SHORTEST + 1))
        return tf.cast(lower, tf.int16)[:, None, None, None]

    def _steps(self, slices, window):
        """Lower end and steps for each unit, (batch, windows) float32 each."""
        if window is None:
            ends = [(w.lower_hu, 255 / w.width_hu) for w in self.network.tiles.windows]
            lower, scale = np.array(ends, np.float32).T
            shape = [tf.shape(slices)[0], 1]
            return tf.tile(lower[None], shape), tf.tile(scale[None], shape)
        message = "Expected windows whose upper end exceeds the lower one. Received:"
        valid = tf.reduce_all(tf.math.is_finite(window)) & tf.reduce_all(
            window[:, 1] > window[:, 0]
        )
        with tf.control_dependencies([tf.debugging.Assert(valid, [message, window])]):
            lower, upper = window[:, :1], window[:, 1:]
            return tf.cast(lower, tf.float32), tf.cast(255 / (upper - lower), tf.float32)

    def _each(self, values, spacing_mm, lower, scale):
        """Slices of one spacing together, others one by one (a server may merge patients)."""
        counts = [tf.shape(values)[0], tf.shape(spacing_mm)[0], tf.shape(lower)[0]]
        valid = (counts[0] > 0) & (counts[0] == counts[1]) & (counts[0] == counts[2])
        message = "Expected at least one slice, and spacing_mm for each. Received so many:"
        check = tf.debugging.Assert(valid, [message, *counts])
        with tf.control_dependencies([check]):
            alike = tf.reduce_all(tf.equal(spacing_mm, spacing_mm[:1]))

        def one(item):
            return self._through(item[0][None], item[1], item[2][None], item[3][None])[0]

        given = (values, spacing_mm, lower, scale)
        found = tf.TensorSpec((None, None, len(self.network.regions)), tf.float32)
        return tf.cond(
            alike,
            lambda: self._through(values, spacing_mm[0], lower, scale),
            lambda: tf.map_fn(one, given, fn_output_signature=found, parallel_iterations=1),
        )

    def _through(self, values, spacing_mm, lower, scale):
        """There, through the network, and back: (batch, rows, cols, regions) float32."""
        plane = graph.PlaneGeometry.of(values, spacing_mm, self.network.tiles.spacing_mm)
        native = self.network.tiles.spacing_mm is None
        resampled = values if native else graph.resample(values, plane)
        tiles = graph.pad(graph.window(resampled, lower, scale), self.network.stride)
        found = self.model(tiles)[:, : plane.target[0], : plane.target[1]]
        return found if native else graph.resample(found, plane.inverse)
