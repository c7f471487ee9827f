"""What a check has to say about a data set."""

from collections.abc import Iterable
from dataclasses import dataclass

from liverseg_tf.dataset.cases import natural_order

ERROR, WARNING, NOTE = SEVERITIES = ("error", "warning", "note")


@dataclass(frozen=True)
class Remark:
    """One finding.

    Args:
        severity: 'error' (the case can't be used, or would be used wrongly), 'warning' (worth
            a look) or 'note' (as it often is).
        kind: the same word for the same finding in every case.
        case: its name; None where the whole data set is meant.
        text: what was found, and what helps.
    """

    severity: str
    kind: str
    case: str | None
    text: str

    def __str__(self) -> str:
        return f"{self.severity}: {self.case or 'data set'}: {' '.join(self.text.split())}"


def in_order(remarks: Iterable[Remark]) -> list[Remark]:
    """Errors first, then warnings, then notes; within them by case."""
    return sorted(
        remarks,
        key=lambda remark: (SEVERITIES.index(remark.severity), natural_order(remark.case or "")),
    )


def lines_of(remarks: Iterable[Remark]) -> list[str]:
    """A line for each error and warning; notes of one kind and text are one line together."""
    lines, gathered = [], {}
    for remark in in_order(remarks):
        if remark.severity == NOTE:
            gathered.setdefault((remark.kind, remark.text), []).append(remark)
        else:
            lines.append(str(remark))
    for (_, text), same in gathered.items():
        cases = f"{len(same)} cases, from {same[0].case} on" if len(same) > 1 else same[0].case
        lines.append(f"{NOTE}: {cases or 'data set'}: {text}")
    return lines
