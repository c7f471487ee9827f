"""The entries of `run.json` that prediction and export need, with their types."""

from dataclasses import dataclass, field
from typing import Any, Literal

from liverseg_tf.choices import PRECISIONS
from liverseg_tf.model.custom_code import CodeOrigin


@dataclass(frozen=True)
class TrainingSettings:
    """The settings of the training that prediction needs, as in the records of runs and exports.

    Args:
        mirror: Whether tiles were mirrored left to right.
        augment: Strength of the augmentation.
    """

    mirror: bool = False
    augment: float = 1.0

    @property
    def is_mirrored(self) -> bool:
        """Earlier versions accepted `mirror` without augmentation, where it has no effect."""
        return self.mirror and self.augment > 0


@dataclass(frozen=True)
class _Split:
    train: list[str]
    val: list[str]
    test: list[str]


@dataclass(frozen=True)
class _Store:
    split: _Split


@dataclass(frozen=True)
class _Hardware:
    precision: Literal[PRECISIONS] = "float32"  # type: ignore[valid-type]


@dataclass(frozen=True)
class _Result:
    checksum: str | None = None


@dataclass(frozen=True)
class RunEntries:
    """The JSON values of `run.json` that prediction and export need."""

    network: dict[str, Any]
    store: _Store
    settings: TrainingSettings = field(default_factory=TrainingSettings)
    hardware: _Hardware = _Hardware()
    postprocessing: dict[str, Any] = field(default_factory=dict)
    trust: dict[str, Any] = field(default_factory=dict)
    training_range: dict[str, Any] = field(default_factory=dict)
    result: _Result | None = None
    custom: dict[str, CodeOrigin] = field(default_factory=dict)
