"""Data augmentation by a function of the caller, tile by tile."""

from collections.abc import Callable

import numpy as np

from liverseg_tf.errors import SettingsError
from liverseg_tf.train.data.sampling import BatchSampler


class AugmentingSampler(BatchSampler):
    """A `BatchSampler` whose batches a function of the caller augments; see `augment_tiles`.

    Attributes:
        function: The function, which is set after the sampler is made.
    """

    function: Callable

    def batch(
        self, seed: int, step: int, positions: slice = slice(None)
    ) -> tuple[np.ndarray, np.ndarray]:
        """See `BatchSampler`; the image is float32."""
        image, mask = super().batch(seed, step, positions)
        return augment_tiles(self.function, image, mask, (seed, step), positions.start or 0)


def augment_tiles(
    function: Callable, image: np.ndarray, mask: np.ndarray, seed: tuple[int, int], first: int
) -> tuple[np.ndarray, np.ndarray]:
    """Apply a function of the caller to each tile of a batch.

    The generator of a tile depends on the seed, the step and the position of the tile only, so
    that a resumed run and a run on several devices draw the same numbers.

    Args:
        function: Function of image (h, w, channels) uint8, mask (h, w) uint8 and a generator of
            random numbers, to both arrays of the same shape. The image may be float32, 0 to 255.
            The values of the mask may be moved, but no other ones may arise, except 0.
        image: (tiles, h, w, channels) uint8.
        mask: (tiles, h, w, 1) uint8.
        seed: Seed of the run, and the step.
        first: Position in the batch of the first tile.

    Returns:
        Image float32 in 0..255, and mask uint8.

    Raises:
        SettingsError: If the function returns something else.
    """
    images, masks = np.empty(image.shape, np.float32), np.empty_like(mask)
    for number, (tile, labels) in enumerate(zip(image, mask[..., 0], strict=True)):
        generator = np.random.default_rng((*seed, first + number))
        changed = function(tile.copy(), labels.copy(), generator)
        if not isinstance(changed, tuple | list) or len(changed) != 2:
            raise SettingsError("Expected from augment a pair of image and mask.")
        new_tile, new_labels = (np.asarray(part) for part in changed)
        if new_tile.shape != tile.shape or new_labels.shape != labels.shape:
            raise SettingsError(
                f"Expected from augment an image {tile.shape} and a mask {labels.shape}. "
                f"Received {new_tile.shape} and {new_labels.shape}."
            )
        _check_values(new_tile, labels, new_labels)
        images[number] = np.clip(new_tile, 0, 255)
        masks[number, ..., 0] = new_labels
    return images, masks


def _check_values(tile: np.ndarray, labels: np.ndarray, new_labels: np.ndarray) -> None:
    if not np.isfinite(tile).all():
        raise SettingsError(
            "Expected from augment an image of finite values. Received NaN or infinity."
        )
    if new_labels.dtype.kind not in "bui":
        raise SettingsError(
            f"Expected from augment a mask of integers. Received {new_labels.dtype}: interpolate "
            "masks with the nearest value."
        )
    known = np.zeros(256, bool)
    known[labels], known[0] = True, True
    is_byte = (new_labels >= 0) & (new_labels <= 255)
    if not is_byte.all() or not known[new_labels].all():
        raise SettingsError(
            "Expected from augment a mask with the values of the tile. Received other values: "
            "interpolate masks with the nearest value."
        )
