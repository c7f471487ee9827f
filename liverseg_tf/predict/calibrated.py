"""Calibrated probabilities of a volume, as an output beside the masks."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from liverseg_tf.ct.orientation import Orientation
from liverseg_tf.model.trust_record import calibrate
from liverseg_tf.tiles.transform import TileTransform


@dataclass(frozen=True, eq=False)
class CalibratedProbabilities:
    """An array that the inference fills with calibrated probabilities.

    Args:
        array: (regions, z, row, col) uint8 array of zeros in the axis order of the image, where
            255 is a probability of 1.
        temperatures: Temperature of each region.
        affine: Affine of the image.
        description: What they mean for the masks, in one line.
    """

    array: np.ndarray
    temperatures: Sequence[float]
    affine: np.ndarray
    description: str = ""

    def restore(self, outputs: np.ndarray, slab: range, transform: TileTransform) -> None:
        """Restore a slab to the grid of the image.

        Args:
            outputs: (batch, h, w, regions) float32: probabilities on the tile grid.
            slab: Numbers of its slices, in canonical order.
            transform: From the grid of the image to that of the tiles.
        """
        orientation = Orientation.of(self.affine)
        for region, temperature in enumerate(self.temperatures):
            # the network is calibrated after the resampling, like the threshold of the masks
            # weights of the resampling may add up to a little more than 1
            resampled = np.minimum(transform.values_to_native(outputs[..., region]), 1)
            values = calibrate(resampled, temperature)
            target = orientation.to_canonical(self.array[region])
            target[slab.start : slab.stop] = np.rint(values * 255).astype(np.uint8)
