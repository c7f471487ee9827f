"""Every case of a data set read and judged."""

import functools
from collections.abc import Callable
from dataclasses import dataclass, field
from statistics import median

from liverseg_tf.dataset.cases import Case, natural_order
from liverseg_tf.dataset.check.measurements import CaseMeasures, measure_case
from liverseg_tf.dataset.check.remarks import ERROR, WARNING, Remark, in_order
from liverseg_tf.dataset.check.rules import Expectation, judge_case
from liverseg_tf.errors import LiverSegError
from liverseg_tf.workers import Processes, Workers, run_each

_FEWEST_FOR_MEDIAN = 3
_OUTLIER = {"slice": 6.0, "in-plane": 2.0}  # times the median: LiTS has slices of 0.7 to 5 mm


@dataclass
class CheckResult:
    """What a check found.

    Args:
        measures: of each case that could be read, in natural order.
        remarks: errors first.
    """

    measures: dict[str, CaseMeasures] = field(default_factory=dict)
    remarks: list[Remark] = field(default_factory=list)

    def count(self, severity: str) -> int:
        """Remarks of one severity."""
        return sum(remark.severity == severity for remark in self.remarks)


def check_cases(
    cases: list[Case],
    expected: Expectation,
    workers: Workers | None = None,
    on_case: Callable[[str], None] = lambda name: None,
) -> CheckResult:
    """Read every case once, in parallel, and judge it alone and among the others.

    Args:
        cases: images with masks.
        expected: what they should be.
        workers: where the cases are read; one process of its own by default.
        on_case: called with a case's name as each one ends.
    """
    checked = CheckResult()
    measure = functools.partial(_measure, expected)
    for index, outcome in run_each(measure, cases, workers or Processes()):
        name = cases[index].name
        if isinstance(outcome, CaseMeasures):
            checked.measures[name] = outcome
            checked.remarks += judge_case(name, outcome, expected)
        else:
            checked.remarks.append(Remark(ERROR, "unreadable", name, str(outcome)))
        on_case(name)
    names = sorted(checked.measures, key=natural_order)
    checked.measures = {name: checked.measures[name] for name in names}
    checked.remarks += [*_duplicates(checked.measures), *_spacing_outliers(checked.measures)]
    checked.remarks = in_order(checked.remarks)
    return checked


def _measure(expected: Expectation, case: Case) -> CaseMeasures | str:
    """Runs in a worker; errors go back as text, since not every exception can travel."""
    try:
        return measure_case(case, expected.has_hu, expected.channel)
    except LiverSegError as error:
        return str(error)
    except MemoryError:
        return "Expected enough memory to read it. Received none."
    except Exception as error:  # a defect of ours must not cost the other cases
        return f"Unexpected {type(error).__name__}: {error}"


def _duplicates(measures: dict[str, CaseMeasures]):
    first: dict[str, str] = {}
    for name, case in measures.items():
        same = first.setdefault(case.digest, name)
        if same != name:
            yield Remark(ERROR, "duplicate", name, f"has the very voxels of {same}")


def _spacing_outliers(measures: dict[str, CaseMeasures]):
    told = {name: case for name, case in measures.items() if not case.guessed_geometry}
    if len(told) < _FEWEST_FOR_MEDIAN:
        return
    spacings = {
        "slice": {name: case.spacing_mm[0] for name, case in told.items()},
        "in-plane": {name: max(case.spacing_mm[1:]) for name, case in told.items()},
    }
    for kind, of in spacings.items():
        middle = median(of.values())
        for name, mm in of.items():
            if max(mm / middle, middle / mm) > _OUTLIER[kind]:
                text = f"{kind} spacing {mm:.3g} mm; the data set's median is {middle:.3g} mm"
                yield Remark(WARNING, "spacing", name, text)
