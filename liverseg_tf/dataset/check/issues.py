"""Issues that a check finds in a data set."""

from collections.abc import Iterable
from dataclasses import dataclass

from liverseg_tf.dataset.cases import natural_sort_key

ERROR, WARNING, NOTE = SEVERITIES = ("error", "warning", "note")


@dataclass(frozen=True)
class Issue:
    """One issue of a case or of the whole data set.

    Args:
        severity: 'error' (the case cannot be used, or its results would be wrong), 'warning'
            (the case should be inspected) or 'note' (common and harmless).
        kind: Short name of the issue, the same for every case: the rule that --accept names.
        case: Name of the case. None for the whole data set.
        text: What is wrong and what to do about it.
    """

    severity: str
    kind: str
    case: str | None
    text: str

    @property
    def line(self) -> str:
        """The text in one line, with the kind in brackets."""
        return f"{' '.join(self.text.split())} [{self.kind}]"

    def __str__(self) -> str:
        return f"{self.severity}: {self.case or 'data set'}: {self.line}"


def sort_issues(issues: Iterable[Issue]) -> list[Issue]:
    """Sort issues by severity (errors first), then by case."""
    return sorted(
        issues,
        key=lambda issue: (SEVERITIES.index(issue.severity), natural_sort_key(issue.case or "")),
    )


def format_issues(issues: Iterable[Issue]) -> list[str]:
    """Format issues as lines; notes with the same text share a line."""
    lines: list[str] = []
    notes: dict[tuple[str, str], list[Issue]] = {}
    for issue in sort_issues(issues):
        if issue.severity == NOTE:
            notes.setdefault((issue.kind, issue.text), []).append(issue)
        else:
            lines.append(str(issue))
    for (kind, text), same in notes.items():
        first = same[0].case or "data set"
        cases = f"{len(same)} cases, first {first}" if len(same) > 1 else first
        lines.append(f"{NOTE}: {cases}: {text} [{kind}]")
    return lines
