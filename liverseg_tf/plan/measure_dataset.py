"""The fingerprint of a data set: every case is read once, and what cannot be used is named."""

import functools
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from liverseg_tf.ct.regions import Regions
from liverseg_tf.dataset.cases import Case
from liverseg_tf.dataset.check.issues import ERROR
from liverseg_tf.dataset.check.measurements import measure_volumes
from liverseg_tf.dataset.check.rules import CheckSettings, apply_rules
from liverseg_tf.dataset.reading import has_guessed_geometry, read_volumes
from liverseg_tf.errors import LiverSegError
from liverseg_tf.plan.fingerprint import CaseFingerprint, Fingerprint
from liverseg_tf.plan.measure_case import fingerprint_case
from liverseg_tf.plural import count
from liverseg_tf.workers import Workers, run_jobs, run_jobs_here

_HU_RULES = {"values", "modality"}
_LISTED = 10


@dataclass(frozen=True)
class MeasuredDataset:
    """A fingerprint, and what was found on the way to it.

    Args:
        fingerprint: Fingerprint of the cases that can be used.
        skipped: Why a case was left out, by its name.
        notes: What was assumed or left out, a line each.
    """

    fingerprint: Fingerprint
    skipped: dict[str, str]
    notes: tuple[str, ...]


@dataclass(frozen=True)
class _Measured:
    """A case in a worker: its fingerprint, and what speaks against using it."""

    case: CaseFingerprint | None = None
    error: str = ""
    not_hu: str = ""  # why the values are not HU, if nothing else speaks against it
    is_ct: bool = False  # according to a DICOM header


def measure_dataset(
    cases: Sequence[Case],
    settings: CheckSettings,
    modality: str | None = None,
    workers: Workers | None = None,
    on_case: Callable[[str], None] = lambda name: None,
) -> MeasuredDataset:
    """Read every case once and measure what the settings depend on.

    The rules of `check` decide which cases can be used. If no case has HU, and neither the user
    nor a header says that the images are CT, they are taken for images without HU (MR).

    Args:
        cases: Cases of the data set.
        settings: What the data set should contain; its windows are not looked at.
        modality: 'ct' or 'mr' if the user says so; None looks at the values.
        workers: Where cases are read; None reads them one after another in this process.
        on_case: Called with the name of each case when it has been read.

    Raises:
        LiverSegError: If no case can be used, or no region occurs in any of them.
    """
    settings = replace(settings, windows=(), has_hu=settings.has_hu and modality != "mr")
    cases = [settings.name_segments(case) for case in cases]
    measure = functools.partial(_measure, settings)
    jobs = run_jobs_here(measure, cases) if workers is None else run_jobs(measure, cases, workers)
    outcomes: dict[int, _Measured] = {}
    for index, outcome in jobs:
        if isinstance(outcome, LiverSegError):  # the worker died
            outcome = _Measured(error=str(outcome))
        outcomes[index] = outcome
        on_case(cases[index].name)
    measured = {cases[index].name: outcomes[index] for index in sorted(outcomes)}
    notes: list[str] = []
    has_hu = settings.has_hu
    readable = [one for one in measured.values() if not one.error]
    if has_hu and modality is None and _hold_no_hu(readable):
        has_hu = False
        notes.append(
            f"The images are planned as MR, since they hold no HU ({readable[0].not_hu}). If they "
            "are CTs, correct their values and use --modality ct."
        )
    skipped = {
        name: one.error or one.not_hu
        for name, one in measured.items()
        if one.error or (one.not_hu and has_hu)
    }
    usable = tuple(
        one.case for name, one in measured.items() if name not in skipped and one.case is not None
    )
    if not usable:
        name, reason = next(iter(skipped.items()))
        raise LiverSegError(
            f"Expected cases that pass the check. Received {count(len(cases), 'case')} with "
            f"errors, first {name}: {reason.rstrip('.')}."
        )
    regions, more = _choose_regions(settings.regions, usable)
    return MeasuredDataset(Fingerprint(usable, regions, has_hu), skipped, (*notes, *more))


def _hold_no_hu(measured: list[_Measured]) -> bool:
    """Whether no image holds HU, and no header says that one of them is a CT."""
    return bool(measured) and all(one.not_hu and not one.is_ct for one in measured)


def _measure(settings: CheckSettings, case: Case) -> _Measured:
    """Measure a case in a worker; errors are returned as text, because some cannot be pickled."""
    try:
        return _measure_case(settings, case)
    except LiverSegError as error:
        return _Measured(error=str(error))
    except MemoryError:
        return _Measured(error="not enough memory to read the case: use fewer workers")
    except Exception as error:  # a bug must not stop the other cases
        return _Measured(error=f"unexpected {type(error).__name__}: {error}")


def _measure_case(settings: CheckSettings, case: Case) -> _Measured:
    image, mask = read_volumes(case, settings.channel)
    annotation = settings.annotations.of(case.name)
    measured = measure_volumes(
        image,
        mask,
        has_guessed_geometry(case, image),
        settings.has_hu,
        settings.trunk_labels,
        annotation,
    )
    issues = apply_rules(case.name, measured, settings)
    errors = [issue for issue in issues if issue.severity == ERROR]
    against_hu = [issue.text for issue in errors if issue.kind in _HU_RULES]
    others = [issue.line for issue in errors if issue.kind not in _HU_RULES]
    if others or mask is None:
        return _Measured(error="; ".join(others) or "the case has no mask")
    fingerprint = fingerprint_case(
        case.name,
        (image, annotation.mark_unlabelled_slices(mask)),
        measured,
        annotation,
        settings.regions,
        settings.has_hu and not against_hu,
    )
    return _Measured(fingerprint, "", "; ".join(against_hu), measured.modality == "CT")


def _choose_regions(
    regions: Regions, cases: tuple[CaseFingerprint, ...]
) -> tuple[Regions, list[str]]:
    """Leave out the regions that occur in no case; return notes about them and other labels."""
    found = {name for case in cases for name in case.regions}
    kept = [item for item in regions.items if item[0] in found]
    if not kept:
        raise LiverSegError(
            f"Expected masks with labels of {regions}. Received none in "
            f"{count(len(cases), 'case')}: name the labels of your masks with --region."
        )
    notes = [
        f"The region {name} occurs in no case and is left out."
        for name in regions.names
        if name not in found
    ]
    unnamed = sorted({label for case in cases for label in case.unnamed_labels})
    if unnamed:
        listed = ", ".join(map(str, unnamed[:_LISTED])) + (", ..." if unnamed[_LISTED:] else "")
        word = "label" if len(unnamed) == 1 else "labels"
        belongs = "belongs" if len(unnamed) == 1 else "belong"
        notes.append(
            f"The {word} {listed} {belongs} to no region; --region NAME=LABEL adds a region."
        )
    return Regions(kept), notes
