"""The name, the version and the fingerprint of a model, which results state as their origin."""

from dataclasses import dataclass

_SHORT = 12  # digits of a fingerprint that stand for a version


@dataclass(frozen=True)
class ModelIdentity:
    """What tells a model from all others.

    Args:
        name: Name of the model, for people.
        version: Version of the model. An empty string stands for the first digits of the
            fingerprint.
        fingerprint: Identifier that changes whenever the model does.
    """

    name: str = "unknown model"
    version: str = ""
    fingerprint: str = ""

    def __post_init__(self) -> None:
        if not self.version:
            object.__setattr__(self, "version", self.fingerprint[:_SHORT] or "unknown")

    def __str__(self) -> str:
        return f"{self.name} {self.version}"
