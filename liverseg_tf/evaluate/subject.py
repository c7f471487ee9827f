"""What was evaluated, and when: the heading of a report."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from liverseg_tf.printable import printable


@dataclass(frozen=True)
class Subject:
    """Ground truth, predictions and model of an evaluation, and its date.

    Args:
        truth: Path of the ground truth: a mask, a folder of masks or a data set.
        prediction: Path of the predictions.
        models: Number of scored masks by the model that made them, as their records state; an
            empty name stands for masks without a record.
        side: Side of the split that was scored: train, val or test; None for all cases.
        split: Path of the run or store whose split was used; None if none was.
        created: Date and time in UTC, as in 2026-11-28 07:10 UTC.
    """

    truth: Path
    prediction: Path
    models: Mapping[str, int] = field(default_factory=dict)
    side: str | None = None
    split: str | None = None
    created: str = field(default_factory=lambda: f"{datetime.now(UTC):%Y-%m-%d %H:%M} UTC")

    def describe(self) -> dict[str, str]:
        """Return headings and texts for people."""
        side = {} if self.side is None else {"Cases": f"the {self.side} cases of {self.split}"}
        return {
            "Date": self.created,
            "Data set": printable(self.truth),
            "Predictions": printable(self.prediction),
            "Model": self._describe_models(),
            **side,
        }

    def to_json(self) -> dict[str, Any]:
        """Return the values as JSON."""
        return {
            "created": self.created,
            "truth": printable(self.truth),
            "prediction": printable(self.prediction),
            "models": dict(self.models),
            "side": self.side,
            "split": self.split,
        }

    def _describe_models(self) -> str:
        if not any(self.models):
            return "not recorded: the masks have no record of liverseg predict"
        names = {name or "not recorded": number for name, number in self.models.items()}
        if len(names) == 1:
            return next(iter(names))
        return ", ".join(f"{name} ({number} of the masks)" for name, number in names.items())
