"""How many of the cases that should be scored were scored, and what became of the others."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from liverseg_tf.plural import count, name_some


@dataclass(frozen=True)
class Coverage:
    """Numbers and names of the cases of an evaluation.

    Args:
        scored: Number of cases with a ground truth and a usable prediction.
        missing: Cases without a prediction.
        failed: Cases of which the ground truth or the prediction could not be used.
        without_truth: Cases of the chosen side of a split of which there is no ground truth.
        as_empty: Cases in `missing` and `failed` that count as an empty prediction.
        left_out: By region, the number of cases that label it and are in no mean, because their
            prediction is missing or could not be used.
    """

    scored: int = 0
    missing: tuple[str, ...] = ()
    failed: tuple[str, ...] = ()
    without_truth: tuple[str, ...] = ()
    as_empty: tuple[str, ...] = ()
    left_out: Mapping[str, int] = field(default_factory=dict)

    @property
    def expected(self) -> int:
        """Number of cases that should have been scored."""
        return self.scored + len(self.missing) + len(self.failed) + len(self.without_truth)

    def unscored(self) -> list[tuple[str, str]]:
        """List the cases without scores, each with the reason in one or two words."""
        return [
            (case, reason)
            for names, reason in (
                (self.missing, "missing"),
                (self.failed, "failed"),
                (self.without_truth, "no truth"),
            )
            for case in names
            if case not in self.as_empty
        ]

    def describe(self) -> str | None:
        """Return a warning about the cases that were not scored; None if there are none."""
        parts = [
            f"{len(names)} {text} ({name_some(names)})"
            for names, text in (
                (self.missing, "without a prediction"),
                (self.failed, "whose masks could not be used"),
                (self.without_truth, "without a ground truth"),
            )
            if names
        ]
        if not parts:
            return None
        number = f"Only {self.scored}" if self.scored else "None"
        singular = self.scored == 1
        if self.as_empty:
            verb = "has a usable prediction" if singular else "have a usable prediction"
        else:
            verb = "was scored" if singular else "were scored"
        lines = [f"{number} of {count(self.expected, 'case')} {verb}: {', '.join(parts)}."]
        if left_out := len(self.unscored()):
            lines.append(f"The means leave out {count(left_out, 'case')}.")
        if self.as_empty:
            verb = "counts" if len(self.as_empty) == 1 else "count"
            lines.append(f"{count(len(self.as_empty), 'case')} {verb} as empty (Dice 0).")
        return " ".join(lines)
