"""Evaluation of many cases, one after another or in parallel."""

import functools
from collections.abc import Callable, Iterator
from pathlib import Path

from liverseg_tf.errors import LiverSegError
from liverseg_tf.evaluate.evaluation import Evaluation, Failure
from liverseg_tf.evaluate.pairs import Pair, find_pairs
from liverseg_tf.evaluate.protocols.scoring import Scoring
from liverseg_tf.evaluate.score_case import CaseResult, score_case
from liverseg_tf.plural import count
from liverseg_tf.workers import Workers, run_jobs, run_jobs_here

OnCase = Callable[[str, int, int], None]


def evaluate_folder(
    truth: Path, prediction: Path, scoring: Scoring | None = None, on_case: OnCase | None = None
) -> Evaluation:
    """Score every pair of a ground truth mask and a prediction.

    A case that cannot be scored is a failure of the evaluation and does not stop it, and so is a
    mask without a counterpart. `report.tables.write_tables` and `report.write_report.write_report`
    write the result to files.

    Args:
        truth: Mask, folder of masks, or data set.
        prediction: Mask or folder of masks.
        scoring: Settings; None computes overlap and distances of liver and tumour.
        on_case: Function called with (case, number of cases done, number of cases) after each
            case.

    Raises:
        LiverSegError: If nothing can be paired.

    Example:
        >>> evaluation = evaluate_folder("labelsTr", "predictions")  # doctest: +SKIP
        >>> evaluation.summary()["liver"]["dice"].mean  # doctest: +SKIP
        0.953
    """
    return evaluate_pairs(find_pairs(truth, prediction), scoring, on_case)


def evaluate_pairs(
    pairs: list[Pair],
    scoring: Scoring | None = None,
    on_case: OnCase | None = None,
    workers: Workers | None = None,
) -> Evaluation:
    """Score pairs from `find_pairs`, in this process or in parallel; see `evaluate_folder`."""
    scoring = scoring or Scoring()
    jobs = [pair for pair in pairs if pair.truth is not None]
    score = functools.partial(score_case, scoring=scoring)
    outcomes: Iterator[tuple[int, CaseResult | LiverSegError]]
    if workers is None or len(jobs) <= 1:
        outcomes = run_jobs_here(score, jobs)
    else:
        outcomes = run_jobs(score, jobs, workers)
    results: dict[int, CaseResult] = {}
    for done, (index, outcome) in enumerate(outcomes, start=1):
        case = jobs[index].case
        if isinstance(outcome, LiverSegError):
            outcome = CaseResult(case, failure=str(outcome.about(case)))
        results[index] = outcome
        if on_case is not None:
            on_case(case, done, len(jobs))
    return _collect(pairs, [results[index] for index in range(len(jobs))], scoring)


def _collect(pairs: list[Pair], cases: list[CaseResult], scoring: Scoring) -> Evaluation:
    notes = [note for case in cases for note in case.notes]
    failures = [Failure(case.case, case.failure) for case in cases if case.failure]
    failures += [
        Failure(
            pair.case,
            f"No ground truth found for {pair.prediction}: a mask of the same name is needed.",
        )
        for pair in pairs
        if pair.truth is None
    ]
    if scoring.has_default_regions:  # the user did not decide to leave these labels out
        failures += [Failure(case.case, note) for case in cases for note in case.notes]
        notes = []
    notes += _group_origins(cases)
    notes += _count_unlabelled(pairs, scoring)
    empty = [case.case for case in cases if case.failure and case.regions]
    if empty:
        notes.append(
            f"Counted as an empty prediction (Dice 0, protocol {scoring.protocol}): "
            f"{', '.join(empty)}."
        )
    readable = {case.case for case in cases if not case.failure}
    return Evaluation(
        scoring.regions,
        tuple(result for case in cases for result in case.regions),
        tuple(pair for pair in pairs if pair.case in readable),
        tuple(failures),
        tuple(notes),
        scoring,
        tuple(case.lits for case in cases if case.lits is not None),
    )


def _count_unlabelled(pairs: list[Pair], scoring: Scoring) -> list[str]:
    """Remarks on the cases that are left out since their ground truth does not label a region."""
    scored = [pair for pair in pairs if pair.truth is not None]
    notes = []
    for name, labels in scoring.regions.items:
        left_out = [pair.case for pair in scored if not pair.annotation.knows(labels)]
        if left_out:
            shown = ", ".join(left_out[:3]) + (", ..." if len(left_out) > 3 else "")
            notes.append(
                f"{name}: {len(left_out)} of {count(len(scored), 'case')} left out, whose ground "
                f"truth does not label it ({shown})."
            )
    return notes


def _group_origins(cases: list[CaseResult]) -> list[str]:
    """Remarks on the origin of predictions, each of them once, with its cases."""
    by_remark: dict[str, list[str]] = {}
    for case in cases:
        for remark in case.origins:
            by_remark.setdefault(remark, []).append(case.case)
    return [
        f"{remark} ({'case' if len(names) == 1 else 'cases'} {', '.join(names)})"
        for remark, names in by_remark.items()
    ]
