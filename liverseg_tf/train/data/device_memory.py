"""The memory of the device on which Keras computes: how much is free, and filling it."""

from collections.abc import Iterable, Iterator

import keras
import numpy as np

_CHUNK_ROWS = 256  # rows that are uploaded at once, so that few shapes are compiled


def free_device_memory() -> int | None:
    """Return the free memory of the GPU in bytes; None without a GPU, or if it is unknown."""
    backend = keras.backend.backend()
    if backend == "jax":
        import jax

        device = jax.devices()[0]
        known = (device.memory_stats() or {}) if device.platform != "cpu" else {}
        if "bytes_limit" not in known:
            return None
        return known["bytes_limit"] - known.get("bytes_in_use", 0)
    if backend == "torch":
        import torch

        if not torch.cuda.is_available():
            return None
        unused = torch.cuda.memory_reserved() - torch.cuda.memory_allocated()
        return torch.cuda.mem_get_info()[0] + unused
    import tensorflow as tf
    from tensorflow.python.client import device_lib

    if not tf.config.list_logical_devices("GPU"):
        return None
    limits = [one.memory_limit for one in device_lib.list_local_devices() if "GPU:0" in one.name]
    in_use = tf.config.experimental.get_memory_info("GPU:0")["current"]
    return limits[0] - in_use if limits else None


def upload(shape: tuple[int, ...], parts: Iterable[np.ndarray]):
    """Return a tensor of uint8 on the device.

    The parts are copied one after another into memory that is allocated once, so that neither the
    device nor the processor holds a second copy.

    Args:
        shape: Shape of the tensor.
        parts: Arrays of uint8, which are concatenated along the first axis.
    """
    backend = keras.backend.backend()
    chunks = _in_chunks(shape, parts)
    if backend == "jax":
        import jax

        update = jax.jit(jax.lax.dynamic_update_slice_in_dim, static_argnums=3, donate_argnums=0)
        values = jax.numpy.zeros(shape, "uint8")
        for first, chunk in chunks:
            values = update(values, chunk, first, 0)
        return values
    if backend == "torch":
        import torch

        values = torch.empty(shape, dtype=torch.uint8, device=keras.ops.zeros(()).device)
        for first, chunk in chunks:
            values[first : first + len(chunk)] = torch.from_numpy(chunk)
        return values
    import tensorflow as tf

    variable = tf.Variable(tf.zeros(shape, tf.uint8), trainable=False)
    for first, chunk in chunks:
        variable[first : first + len(chunk)].assign(chunk)
    return tf.convert_to_tensor(variable)  # of the same memory


def _in_chunks(
    shape: tuple[int, ...], parts: Iterable[np.ndarray]
) -> Iterator[tuple[int, np.ndarray]]:
    """Yield the first row and the rows of chunks of equal size; the last one may be smaller."""
    first, filled = 0, 0
    chunk = np.empty((min(_CHUNK_ROWS, shape[0]), *shape[1:]), np.uint8)
    for part in parts:
        while len(part):
            taken = part[: len(chunk) - filled]
            chunk[filled : filled + len(taken)] = taken
            filled, part = filled + len(taken), part[len(taken) :]
            if filled == len(chunk):
                yield first, chunk
                # a new one, since the device may still read the last one
                first, filled = first + filled, 0
                chunk = np.empty((min(_CHUNK_ROWS, shape[0] - first), *shape[1:]), np.uint8)
