"""Precision and compilation that suit the machine."""

from dataclasses import dataclass
from importlib.util import find_spec

import keras

from liverseg_tf.choices import PRECISIONS
from liverseg_tf.errors import SettingsError
from liverseg_tf.model.precision import cpu_has_bfloat16


@dataclass(frozen=True)
class Hardware:
    """How a network is computed; its weights are float32 in any case.

    Args:
        precision: Data type of the features: 'float32', 'bfloat16' or 'float16' (with loss
            scaling).
        compiled: Whether training steps are compiled by XLA.
    """

    precision: str = "float32"
    compiled: bool = False

    @property
    def policy(self) -> str:
        """Name of the Keras dtype policy."""
        return "float32" if self.precision == "float32" else f"mixed_{self.precision}"


def choose_hardware(precision: str | None = None, compiled: bool | None = None) -> Hardware:
    """Choose precision and compilation for this machine, unless they are given.

    bfloat16 on NVIDIA GPUs since Ampere and on CPUs with bfloat16 multiplication; float16 on older
    GPUs with tensor cores; float32 everywhere else. Steps are compiled by XLA or `torch.compile` on
    GPUs only: on CPUs, a step compiled by XLA takes 1.5 times as long as one with oneDNN. JAX
    always compiles; PyTorch does where Triton is installed and knows the GPU.

    Args:
        precision: Precision to use. None chooses one.
        compiled: Whether to compile steps. None chooses.

    Raises:
        SettingsError: If the precision is unknown, or JAX is not to compile.
    """
    if precision is not None and precision not in PRECISIONS:
        raise SettingsError(
            f"Expected a precision of {', '.join(PRECISIONS)}. Received {precision}."
        )
    is_jax, has_gpu = keras.backend.backend() == "jax", _has_gpu()
    if is_jax and compiled is False:
        raise SettingsError(
            "Expected --xla with the Keras backend jax, which compiles every step. "
            "Received --no-xla."
        )
    if precision is None:
        if has_gpu:
            precision = _choose_gpu_precision()
        else:
            precision = "bfloat16" if cpu_has_bfloat16() and not is_jax else "float32"
    if compiled is None:
        compiled = is_jax or (has_gpu and _gpu_has_compiler())
    return Hardware(precision, compiled)


def _has_gpu() -> bool:
    if keras.backend.backend() == "torch":
        import torch

        return torch.cuda.is_available()
    try:
        return bool(keras.distribution.list_devices("gpu"))
    except RuntimeError:  # raised by JAX if there is no GPU
        return False


def _gpu_has_compiler() -> bool:
    """Whether steps can be compiled; `torch.compile` needs Triton, which Windows does not have."""
    if keras.backend.backend() != "torch":
        return True
    import torch

    return find_spec("triton") is not None and torch.cuda.get_device_capability() >= (7, 0)


def _choose_gpu_precision() -> str:
    backend = keras.backend.backend()
    if backend == "jax":
        return "bfloat16"
    if backend == "torch":
        import torch

        oldest = torch.cuda.get_device_capability()
    else:
        import tensorflow as tf

        oldest = min(
            tf.config.experimental.get_device_details(gpu).get("compute_capability", (0, 0))
            for gpu in tf.config.list_physical_devices("GPU")
        )
    return "bfloat16" if oldest >= (8, 0) else "float16" if oldest >= (7, 0) else "float32"
