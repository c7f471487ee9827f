"""Evaluation of many cases, one after another or in parallel."""

import functools
from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from pathlib import Path

from liverseg_tf.dataset.case_annotations import CaseAnnotations
from liverseg_tf.dataset.labelled_slices import (
    find_labelled_slices,
    folders_of,
    read_labelled_slices,
)
from liverseg_tf.errors import LiverSegError
from liverseg_tf.evaluate.coverage import Coverage
from liverseg_tf.evaluate.evaluation import Evaluation, Failure
from liverseg_tf.evaluate.origin import read_mask_record
from liverseg_tf.evaluate.pairs import Pair, find_pairs
from liverseg_tf.evaluate.protocols.scoring import Scoring
from liverseg_tf.evaluate.score_case import CaseResult, score_case
from liverseg_tf.evaluate.split_sides import SplitSides, describe_learnt_cases
from liverseg_tf.plural import count, name_some
from liverseg_tf.workers import Workers, run_jobs, run_jobs_here

OnCase = Callable[[str, int, int], None]


def evaluate_folder(
    truth: Path, prediction: Path, scoring: Scoring | None = None, on_case: OnCase | None = None
) -> Evaluation:
    """Score every pair of a ground truth mask and a prediction.

    A case that cannot be scored is a failure of the evaluation and does not stop it, and so is a
    mask without a counterpart. `report.tables.write_tables` and `report.write_report.write_report`
    write the result to files. A list of labelled slices is used like those of `liverseg evaluate`.

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
    scoring = scoring or Scoring()
    path = find_labelled_slices(folders_of(truth))
    slices = None if path is None else read_labelled_slices(path)
    annotations = CaseAnnotations.parse((), scoring.regions, None, slices)
    pairs = [
        replace(pair, annotation=annotations.of(pair.case))
        for pair in find_pairs(truth, prediction)
    ]
    return evaluate_pairs(pairs, scoring, on_case)


def evaluate_pairs(
    pairs: list[Pair],
    scoring: Scoring | None = None,
    on_case: OnCase | None = None,
    workers: Workers | None = None,
    predicted_only: bool = False,
    split: SplitSides | None = None,
) -> Evaluation:
    """Score pairs from `find_pairs`, in this process or in parallel.

    Args:
        pairs: Pairs from `find_pairs`, or those of one side of a split.
        scoring: See `evaluate_folder`.
        on_case: See `evaluate_folder`.
        workers: Processes that score the cases; None for this one.
        predicted_only: Whether cases without a prediction are left out, and counted in the
            coverage, instead of being failures.
        split: Split of the model. None takes the sides of the cases from the records beside the
            masks.
    """
    scoring = scoring or Scoring()
    jobs = [
        pair
        for pair in pairs
        if pair.truth is not None and not (predicted_only and pair.prediction is None)
    ]
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
    evaluation = _collect(pairs, [results[index] for index in range(len(jobs))], scoring)
    warnings = [] if (text := evaluation.coverage.describe()) is None else [text]
    warnings += _warn_of_learnt_cases(evaluation.pairs, split)
    return replace(evaluation, warnings=tuple(warnings))


def _collect(pairs: list[Pair], cases: list[CaseResult], scoring: Scoring) -> Evaluation:
    notes = [note for case in cases for note in case.notes]
    failures = [Failure(case.case, case.failure) for case in cases if case.failure]
    failures += [
        Failure(
            pair.case,
            f"No ground truth found for {pair.prediction or f'case {pair.case} of the split'}: "
            "a mask of the same name is needed.",
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
        _measure_coverage(pairs, cases, scoring),
    )


def _measure_coverage(pairs: list[Pair], cases: list[CaseResult], scoring: Scoring) -> Coverage:
    """Count the cases that should have been scored, and those that were."""
    missing = [pair.case for pair in pairs if pair.truth and not pair.prediction]
    failed = [case.case for case in cases if case.failure and case.case not in missing]
    coverage = Coverage(
        sum(not case.failure for case in cases),
        tuple(missing),
        tuple(failed),
        tuple(pair.case for pair in pairs if not (pair.truth or pair.prediction)),
        tuple(case.case for case in cases if case.failure and case.regions),
    )
    unscored = {case for case, _ in coverage.unscored()}
    left_out = {
        name: sum(pair.case in unscored and pair.annotation.knows(labels) for pair in pairs)
        for name, labels in scoring.regions.items
    }
    return replace(coverage, left_out=left_out)


def _warn_of_learnt_cases(pairs: Iterable[Pair], split: SplitSides | None) -> list[str]:
    """Warnings about scored cases that the model has learnt from."""
    sides = dict(split.sides) if split is not None else {}
    source = "" if split is None else split.source
    learnt = {}
    for pair in pairs:
        learnt[pair.case] = sides.get(pair.case, "")
        record = read_mask_record(pair)
        if record is not None and learnt[pair.case] != "train":
            learnt[pair.case] = record.side or learnt[pair.case]
            source = source or record.model
    return describe_learnt_cases(learnt, source or "the model")


def _count_unlabelled(pairs: list[Pair], scoring: Scoring) -> list[str]:
    """Remarks on the cases that are left out since their ground truth does not label a region."""
    scored = [pair for pair in pairs if pair.truth is not None]
    notes = []
    for name, labels in scoring.regions.items:
        left_out = [pair.case for pair in scored if not pair.annotation.knows(labels)]
        if left_out:
            notes.append(
                f"{name}: {len(left_out)} of {count(len(scored), 'case')} left out, whose ground "
                f"truth does not label it ({name_some(left_out)})."
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
