"""The check of a data set: every case is read once, measured, and compared with rules."""

import functools
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from statistics import median

from liverseg_tf.dataset.cases import Case, natural_sort_key
from liverseg_tf.dataset.check.issues import ERROR, NOTE, WARNING, Issue, sort_issues
from liverseg_tf.dataset.check.measurements import CaseMeasurements, measure_case
from liverseg_tf.dataset.check.rules import CheckSettings, accept, apply_rules
from liverseg_tf.errors import LiverSegError
from liverseg_tf.workers import Processes, Workers, run_jobs

_MIN_CASES_FOR_MEDIAN = 3
# ratio to the median of the data set; LiTS has slice spacings of 0.7 to 5 mm
_OUTLIER_RATIO = {"slice": 6.0, "in-plane": 2.0}


@dataclass
class CheckResult:
    """Result of a check.

    Args:
        measurements: Measurements of each case that could be read, in natural order.
        issues: Issues, errors first.
    """

    measurements: dict[str, CaseMeasurements] = field(default_factory=dict)
    issues: list[Issue] = field(default_factory=list)

    def count(self, severity: str) -> int:
        """Count the issues of one severity."""
        return sum(issue.severity == severity for issue in self.issues)


def check_cases(
    cases: list[Case],
    settings: CheckSettings,
    workers: Workers | None = None,
    on_case: Callable[[str], None] = lambda name: None,
) -> CheckResult:
    """Read every case once, in parallel, and check each of them and all of them together.

    Args:
        cases: Cases of the data set.
        settings: What the data set should contain.
        workers: Workers that read the cases; one process by default.
        on_case: Called with the name of each case when it has been read.
    """
    result = CheckResult()
    cases = [settings.name_segments(case) for case in cases]
    measure = functools.partial(_measure, settings)
    for index, outcome in run_jobs(measure, cases, workers or Processes()):
        name = cases[index].name
        if isinstance(outcome, CaseMeasurements):
            result.measurements[name] = outcome
            result.issues += apply_rules(name, outcome, settings)
        else:
            result.issues.append(Issue(ERROR, "unreadable", name, str(outcome)))
        on_case(name)
    names = sorted(result.measurements, key=natural_sort_key)
    result.measurements = {name: result.measurements[name] for name in names}
    result.issues += _find_duplicates(result.measurements)
    result.issues += _find_spacing_outliers(result.measurements)
    result.issues += _list_patients(cases)
    result.issues = sort_issues(accept(result.issues, settings.accepted))
    return result


def _measure(settings: CheckSettings, case: Case) -> CaseMeasurements | str:
    """Measure a case in a worker; errors are returned as text, because some cannot be pickled."""
    try:
        annotation = settings.annotations.of(case.name)
        return measure_case(
            case, settings.has_hu, settings.channel, settings.trunk_labels, annotation
        )
    except LiverSegError as error:
        return str(error)
    except MemoryError:
        return "Not enough memory to read the case: use fewer workers."
    except Exception as error:  # a bug must not stop the other cases
        return f"Unexpected {type(error).__name__}: {error}"


def _find_duplicates(measurements: dict[str, CaseMeasurements]) -> Iterator[Issue]:
    first: dict[str, str] = {}
    for name, case in measurements.items():
        same = first.setdefault(case.voxel_digest, name)
        if same != name:
            yield Issue(ERROR, "duplicate", name, f"has the same voxels as {same}")


def _list_patients(cases: list[Case]) -> Iterator[Issue]:
    """Yield a note for each patient of several cases, as far as the files name the patients."""
    patients: dict[str, list[str]] = {}
    for case in cases:
        if case.patient is not None:
            patients.setdefault(case.patient, []).append(case.name)
    several = {patient: names for patient, names in patients.items() if len(names) > 1}
    if len(several) == 1 and len(patients) == 1 and len(cases) == len(next(iter(several.values()))):
        (patient,) = several
        text = (
            f"all {len(cases)} cases are of one patient, {patient}, so that they cannot be split: "
            "if this is wrong, name the patients with --patient"
        )
        yield Issue(WARNING, "patient", None, text)
        return
    for patient, names in several.items():
        listed = ", ".join(names[:3]) + (", ..." if len(names) > 3 else "")
        text = f"{len(names)} cases of patient {patient} ({listed}) stay on one side of the split"
        yield Issue(NOTE, "patient", None, text)


def _find_spacing_outliers(measurements: dict[str, CaseMeasurements]) -> Iterator[Issue]:
    known = {name: case for name, case in measurements.items() if not case.guessed_geometry}
    if len(known) < _MIN_CASES_FOR_MEDIAN:
        return
    spacings = {
        "slice": {name: case.spacing_mm[0] for name, case in known.items()},
        "in-plane": {name: max(case.spacing_mm[1:]) for name, case in known.items()},
    }
    for kind, by_name in spacings.items():
        middle = median(by_name.values())
        for name, mm in by_name.items():
            if max(mm / middle, middle / mm) > _OUTLIER_RATIO[kind]:
                text = f"{kind} spacing {mm:.3g} mm; the median of the data set is {middle:.3g} mm"
                yield Issue(WARNING, "spacing", name, text)
