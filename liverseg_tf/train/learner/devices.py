"""The devices that train, in words."""

import keras

from liverseg_tf.plural import count
from liverseg_tf.workers import core_count


def describe_devices() -> str:
    """Describe the devices of this host that train, for example "CPU (2 cores)".

    The Keras backend must be imported. Several GPUs of one kind are counted: "2 x NVIDIA A100".
    """
    names = _gpu_names()
    if not names:
        return f"CPU ({count(core_count(), 'core')})"
    kinds = dict.fromkeys(names)
    return ", ".join(
        kind if names.count(kind) == 1 else f"{names.count(kind)} x {kind}" for kind in kinds
    )


def backend_name() -> str:
    """Return the name of the Keras backend that computes."""
    return keras.backend.backend()


def _gpu_names() -> list[str]:
    """Return the names of the accelerators that the backend computes on; none on a CPU."""
    backend = keras.backend.backend()
    if backend == "torch":
        import torch

        device = keras.ops.zeros(()).device.type  # where Keras computes
        if device == "cuda":
            return [torch.cuda.get_device_name()]
        return [] if device == "cpu" else [device.upper()]
    if backend == "jax":
        import jax

        devices = jax.local_devices()
        return [device.device_kind for device in devices if device.platform != "cpu"]
    import tensorflow as tf

    details = tf.config.experimental.get_device_details
    return [
        details(gpu).get("device_name", "GPU") for gpu in tf.config.list_physical_devices("GPU")
    ]
