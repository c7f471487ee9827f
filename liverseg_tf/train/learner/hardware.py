"""What the machine computes with: precision and compilation that suit it."""

from dataclasses import dataclass
from pathlib import Path

import keras

from liverseg_tf.errors import SettingsError

PRECISIONS = ("float32", "bfloat16", "float16")
_FAST_BFLOAT16 = {"avx512_bf16", "amx_bf16"}
_CPUINFO = Path("/proc/cpuinfo")


@dataclass(frozen=True)
class Hardware:
    """How a network is computed; the weights are float32 in any case.

    Args:
        precision: of the features: 'float32', 'bfloat16' or 'float16' (with loss scaling).
        compiled: whether steps are compiled by XLA.
    """

    precision: str = "float32"
    compiled: bool = False

    @property
    def policy(self) -> str:
        """Keras' name of it."""
        return "float32" if self.precision == "float32" else f"mixed_{self.precision}"


def choose_hardware(precision: str | None = None, compiled: bool | None = None) -> Hardware:
    """What suits this machine, where it isn't given.

    bfloat16 on GPUs from Ampere on and on processors that multiply it, float16 on older GPUs with
    tensor cores; XLA on GPUs. On processors XLA takes half as long again as oneDNN.

    Raises:
        SettingsError: for a precision of another name.
    """
    if precision is not None and precision not in PRECISIONS:
        raise SettingsError(
            f"Expected a precision of {', '.join(PRECISIONS)}. Received {precision}."
        )
    jax = keras.backend.backend() == "jax"  # it always compiles
    gpu = _has_gpu()
    if precision is None:
        precision = _precision_of_gpu() if gpu else "float32" if jax else _precision_of_cpu()
    return Hardware(precision, jax or (gpu if compiled is None else compiled))


def _has_gpu() -> bool:
    try:
        return bool(keras.distribution.list_devices("gpu"))
    except RuntimeError:  # JAX's word for none
        return False


def _precision_of_gpu() -> str:
    if keras.backend.backend() != "tensorflow":
        return "bfloat16"
    import tensorflow as tf

    found = [
        tf.config.experimental.get_device_details(gpu).get("compute_capability", (0, 0))
        for gpu in tf.config.list_physical_devices("GPU")
    ]
    oldest = min(found)
    return "bfloat16" if oldest >= (8, 0) else "float16" if oldest >= (7, 0) else "float32"


def _precision_of_cpu() -> str:
    """float32 wherever the processor doesn't say what it can."""
    try:
        text = _CPUINFO.read_text()
    except OSError:
        return "float32"
    flags = next((line.split() for line in text.splitlines() if line.startswith("flags")), ())
    return "bfloat16" if _FAST_BFLOAT16 & set(flags) else "float32"
