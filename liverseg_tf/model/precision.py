"""The precision in which a trained model predicts."""

from dataclasses import dataclass
from pathlib import Path

# compute capability from which NVIDIA cards multiply in these types: Volta and Ampere
_LOWEST_CAPABILITY = {"float16": (7, 0), "bfloat16": (8, 0)}
_BFLOAT16_CPU_FLAGS = {"avx512_bf16", "amx_bf16"}
_CPUINFO = Path("/proc/cpuinfo")


@dataclass(frozen=True)
class Device:
    """The device that predicts.

    Args:
        is_gpu: Whether it is a GPU.
        capability: Compute capability of an NVIDIA card, such as (8, 0), the lowest of several;
            None if it is unknown.
    """

    is_gpu: bool = False
    capability: tuple[int, int] | None = None


def choose_prediction_precision(trained: str, device: Device) -> str:
    """Choose the precision of prediction: that of the training if a GPU has it, or float32.

    A model that was trained in bfloat16 may have features beyond the range of float16, so that one
    type never replaces the other.

    Args:
        trained: Precision of the training, one of `choices.PRECISIONS`.
        device: Device that predicts. CPUs predict in float32, as exported models do, so that the
            masks of a run and of its exports are equal.

    Returns:
        One of `choices.PRECISIONS`.

    Example:
        >>> choose_prediction_precision("bfloat16", Device(is_gpu=True, capability=(7, 5)))
        'float32'
    """
    if not device.is_gpu:
        return "float32"
    lowest = _LOWEST_CAPABILITY.get(trained)
    if lowest is None:
        return "float32"
    return trained if device.capability is None or device.capability >= lowest else "float32"


def cpu_has_bfloat16() -> bool:
    """Return whether the CPU lists an instruction that multiplies bfloat16.

    False if this is unknown, as on systems without /proc/cpuinfo.
    """
    try:
        text = _CPUINFO.read_text()
    except OSError:
        return False
    flags = next((line.split() for line in text.splitlines() if line.startswith("flags")), ())
    return bool(_BFLOAT16_CPU_FLAGS & set(flags))
