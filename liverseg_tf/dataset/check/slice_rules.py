"""Rules of the check for masks of which only some slices are labelled."""

from collections.abc import Iterable, Iterator, Sequence

from liverseg_tf.dataset.cases import Case
from liverseg_tf.dataset.check.image_rules import CaseIssue
from liverseg_tf.dataset.check.issues import WARNING, Issue
from liverseg_tf.dataset.check.slices import SliceMeasurements
from liverseg_tf.dataset.labelled_slices import LabelledSlices
from liverseg_tf.plural import count

_SHOWN = 5


def check_slices(measured: SliceMeasurements) -> Iterator[CaseIssue]:
    """Find the issues of a list of labelled slices.

    Yields:
        Severity, kind and text of each issue.
    """
    if measured.drawn:
        yield (
            WARNING,
            "slices",
            f"labels on {_list_slices(measured.drawn)}, not listed as labelled: they are not used",
        )
    if measured.empty:
        yield (
            WARNING,
            "slices",
            f"no label on {_list_slices(measured.empty)}, listed as labelled, but labels on the "
            "listed slices before and after: were they drawn?",
        )
    if measured.repeated:
        yield WARNING, "slices", f"{_list_slices(measured.repeated)} listed more than once"


def check_listed_cases(cases: Iterable[Case], slices: LabelledSlices | None) -> list[Issue]:
    """Find cases that a list of labelled slices does not name.

    Args:
        cases: Cases of the data set.
        slices: The list; None if there is none.
    """
    if slices is None:
        return []
    names = [case.name for case in cases if slices.of(case.name) is None]
    if not names:
        return []
    shown = ", ".join(names[:3]) + (", ..." if len(names) > 3 else "")
    text = (
        f"{count(len(names), 'case')} not in {slices.source.name} ({shown}): all of their slices "
        "count as labelled"
    )
    return [Issue(WARNING, "slices", None, text)]


def _list_slices(slices: Sequence[int]) -> str:
    shown = ", ".join(map(str, slices[:_SHOWN])) + (", ..." if len(slices) > _SHOWN else "")
    return f"{count(len(slices), 'slice')} ({shown})"
