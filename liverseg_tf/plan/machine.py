"""The machine for which a plan is made."""

from dataclasses import dataclass

_USABLE_GPU, _USABLE_CPU = 0.8, 0.5  # the rest is for the backend, the system and the data
_ASSUMED_BYTES = 4e9


@dataclass(frozen=True)
class Machine:
    """What trains.

    Args:
        has_gpu: Whether a GPU trains, and not the processor.
        memory_bytes: Memory of the GPU, or else of the machine; None if it is unknown.
        precision: Precision of the computation, as `train --precision`.
    """

    has_gpu: bool
    memory_bytes: float | None
    precision: str = "float32"

    @property
    def usable_bytes(self) -> float:
        """Memory that a training step may use; that of a small machine if it is unknown."""
        share = _USABLE_GPU if self.has_gpu else _USABLE_CPU
        return share * (_ASSUMED_BYTES if self.memory_bytes is None else self.memory_bytes)

    def __str__(self) -> str:
        kind = "a GPU" if self.has_gpu else "a processor without a GPU"
        if self.memory_bytes is None:
            return f"{kind}, memory unknown ({_ASSUMED_BYTES / 1e9:.0f} GB assumed; see --memory)"
        return f"{kind}, {self.memory_bytes / 1e9:.0f} GB of memory"
