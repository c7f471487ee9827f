"""The tiles of the training cases in the memory of the device, where batches are gathered."""

import math
from collections.abc import Callable

import numpy as np
from keras import ops

from liverseg_tf.ct.size_limit import memory_bytes
from liverseg_tf.errors import LiverSegError
from liverseg_tf.train.data.compilation import compile_function
from liverseg_tf.train.data.device_memory import free_device_memory, upload
from liverseg_tf.train.data.label_codes import LabelCodes
from liverseg_tf.train.data.sampling import BatchSampler

_USABLE = 0.9  # fraction of the free memory, since allocators lose some of it


class DeviceTiles:
    """All tiles that a sampler draws from, uploaded once: images as uint8, masks packed.

    Args:
        sampler: Sampler of the run.

    Raises:
        LiverSegError: If a tile cannot be read any more, or has a label that its record lacks.
    """

    def __init__(self, sampler: BatchSampler):
        self._shape, self._windows = sampler.shape, sampler.network.tiles.channels
        self._codes = LabelCodes(sampler.mask_values, math.prod(sampler.shape))
        count = sampler.slice_count
        self._images = upload((count, *self._shape, self._windows), sampler.all_images())
        self._masks = upload(
            (count, self._codes.packed_bytes),
            (self._codes.pack(mask, name) for name, mask in sampler.all_masks()),
        )
        self._compiled_gather = compile_function(self._gather)

    def gather(self, slices: np.ndarray):
        """Return what `BatchSampler.batch` returns for the same slices, on the device.

        Args:
            slices: Numbers (tiles, context), from `BatchSampler.draw`.

        Returns:
            Image (tiles, h, w, channels) uint8 and mask (tiles, h, w, 1) uint8.
        """
        return self._compiled_gather(self._images, self._masks, slices.astype(np.int32))

    def _gather(self, images, masks, slices):
        tiles, context = slices.shape
        image = ops.take(images, slices, axis=0)  # (tiles, context, h, w, windows)
        image = ops.transpose(image, (0, 2, 3, 1, 4))
        image = ops.reshape(image, (tiles, *self._shape, context * self._windows))
        labels = self._codes.unpack(ops.take(masks, slices[:, context // 2], axis=0))
        return image, ops.reshape(labels, (tiles, *self._shape, 1))


def cache_bytes(sampler: BatchSampler) -> int:
    """Return the memory in bytes that `DeviceTiles` needs."""
    pixels = math.prod(sampler.shape)
    codes = LabelCodes(sampler.mask_values, pixels)
    return sampler.slice_count * (pixels * sampler.network.tiles.channels + codes.packed_bytes)


def cache_on_device(
    sampler: BatchSampler, enabled: bool | None, step_bytes: Callable[[], int]
) -> DeviceTiles | None:
    """Upload the tiles of a run to the device if they fit there beside the training.

    Args:
        sampler: Sampler of the run.
        enabled: Whether to upload them. None uploads them to a GPU if its free memory is known and
            large enough.
        step_bytes: Function that returns the memory of the training steps.

    Returns:
        The tiles on the device; None if they stay in the store.

    Raises:
        LiverSegError: If they are to be uploaded and do not fit.
    """
    if enabled is False:
        return None
    free = free_device_memory()
    if free is None:
        if enabled is None:
            return None
        free = round(memory_bytes() / 2)  # unknown, or the memory of this machine
    size, needed = cache_bytes(sampler), step_bytes()
    room = max(0, _USABLE * free - needed)
    if size <= room:
        return DeviceTiles(sampler)
    if enabled is None:
        return None
    raise LiverSegError(
        f"Expected at most {_gigabytes(room)} of training tiles with --cache-on-device, since a "
        f"training step needs {_gigabytes(needed)} of the {_gigabytes(free)} that the device has "
        f"free. Received {_gigabytes(size)}: use --no-cache-on-device."
    )


def _gigabytes(size: float) -> str:
    return f"{size / 1e9:.2f} GB"
