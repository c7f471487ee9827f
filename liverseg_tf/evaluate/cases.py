"""Score predicted masks against the truth, case by case."""

import functools
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from liverseg_tf.ct.bounding_box import bounding_box
from liverseg_tf.ct.nifti import read_labels
from liverseg_tf.ct.orientation import to_canonical
from liverseg_tf.ct.regions import Regions
from liverseg_tf.ct.volume import Volume, check_same_grid
from liverseg_tf.errors import LiverSegError
from liverseg_tf.evaluate.evaluation import Evaluation, Failure, Row
from liverseg_tf.evaluate.pairs import Pair, find_pairs
from liverseg_tf.evaluate.protocols.lits import LitsCase, score_lits_case
from liverseg_tf.evaluate.protocols.scoring import Scoring, score_region
from liverseg_tf.evaluate.report.tables import write_tables
from liverseg_tf.workers import Workers, run_each, run_here

OnCase = Callable[[str, int, int], None]


@dataclass(frozen=True)
class CaseScores:
    """What one case came to.

    Args:
        case: its name.
        rows: its regions' scores.
        lits: the challenge's figures, under that protocol.
        notes: what the user should know, one line each.
        failure: why it, or its prediction, could not be scored.
    """

    case: str
    rows: tuple[Row, ...] = ()
    lits: LitsCase | None = None
    notes: tuple[str, ...] = ()
    failure: str | None = None


def evaluate_folder(
    truth: Path,
    prediction: Path,
    out: Path,
    scoring: Scoring | None = None,
    on_case: OnCase | None = None,
) -> Evaluation:
    """Score every pair of masks and write scores.csv, scores.json and the protocol's files.

    A case that can't be scored, or has no prediction, is a failure of the evaluation; all
    others are scored and written. A prediction without a truth is noted.

    Args:
        truth: a mask, a folder of masks, or a data set.
        prediction: a mask or a folder of masks.
        out: folder of the tables.
        scoring: how; overlap and distances of liver and tumour where None.
        on_case: called with (case, number of cases done, number of cases) after each case.

    Raises:
        LiverSegError: when nothing can be paired, or the tables can't be written.

    Example:
        >>> evaluation = evaluate_folder("labelsTr", "predictions", "scores")  # doctest: +SKIP
        >>> evaluation.summary()["liver"]["dice"].mean  # doctest: +SKIP
        0.953
    """
    return evaluate_pairs(find_pairs(truth, prediction), out, scoring, on_case)


def evaluate_pairs(
    pairs: list[Pair],
    out: Path,
    scoring: Scoring | None = None,
    on_case: OnCase | None = None,
    workers: Workers | None = None,
) -> Evaluation:
    """Score pairs that are known, here or by workers; see `evaluate_folder`."""
    scoring = scoring or Scoring()
    _make_folder(Path(out))
    due = [pair for pair in pairs if pair.truth is not None]
    found: list[CaseScores | None] = [None] * len(due)
    score = functools.partial(score_case, scoring=scoring)
    alone = workers is None or len(due) <= 1
    outcomes = run_here(score, due) if alone else run_each(score, due, workers)
    for done, (index, outcome) in enumerate(outcomes, start=1):
        case = due[index].case
        if isinstance(outcome, LiverSegError):
            outcome = CaseScores(case, failure=str(outcome.about(case)))
        found[index] = outcome
        if on_case is not None:
            on_case(case, done, len(due))
    evaluation = _collect(
        pairs, dict(zip((pair.case for pair in due), found, strict=True)), scoring
    )
    write_tables(evaluation, Path(out))
    return evaluation


def score_case(pair: Pair, scoring: Scoring) -> CaseScores:
    """Read the masks of a case and score them; what is wrong with them comes as `failure`."""
    try:
        truth = to_canonical(read_labels(pair.truth))
    except LiverSegError as error:
        return CaseScores(pair.case, failure=str(error.about(pair.case)))
    except MemoryError:
        return CaseScores(pair.case, failure=_no_memory(pair.case))
    failure = None
    try:
        prediction = _read_prediction(pair, truth)
    except LiverSegError as error:
        prediction, failure = None, str(error.about(pair.case))
        if not scoring.counts_missing:
            return CaseScores(pair.case, failure=failure)
    try:
        return _score(pair, truth, prediction, scoring, failure)
    except MemoryError:
        return CaseScores(pair.case, failure=_no_memory(pair.case))


def score_masks(
    case: str, truth: Volume, prediction: Volume, regions: Regions, scoring: Scoring | None = None
) -> list[Row]:
    """Score each region of two label maps.

    The same voxels in another axis order (a tool that writes RAS) are compared exactly.

    Args:
        case: its name.
        truth: array (z, row, col) uint8; its spacing gives volumes and distances.
        prediction: array uint8, on the truth's grid.
        regions: what is compared.
        scoring: which surface is measured; none where None.

    Raises:
        LiverSegError: when the masks are on different grids.
    """
    scoring = scoring or Scoring(distances=False)
    truth, prediction = to_canonical(truth), to_canonical(prediction)
    check_same_grid(truth, prediction)
    box = bounding_box(truth.array, prediction.array)
    rows = []
    for region in regions.names:
        masks = (regions.mask(volume.array[box], region) for volume in (truth, prediction))
        overlap, scores = score_region(*masks, truth.spacing_mm, scoring)
        rows.append(Row(case, region, overlap, scores, truth.array.size))
    return rows


def _score(
    pair: Pair, truth: Volume, prediction: Volume | None, scoring: Scoring, failure: str | None
) -> CaseScores:
    missing = prediction is None
    empty = truth.with_array(np.zeros_like(truth.array)) if missing else prediction
    rows = score_masks(pair.case, truth, empty, scoring.regions, scoring)
    if missing:  # not even a region that is empty in the truth was found to be so
        worst = {"dice": 0.0, "jaccard": 0.0, "nsd": 0.0}
        rows = [
            Row(row.case, row.region, row.overlap, _with(row.scores, worst), row.grid_voxels)
            for row in rows
        ]
    lits = None
    if scoring.protocol == "lits":
        array = None if missing else prediction.array
        lits = score_lits_case(pair.case, truth.array, array, truth.spacing_mm, scoring.compat)
    notes = [
        note
        for path, volume in ((pair.truth, truth), (pair.prediction, prediction))
        if volume is not None and (note := _strange_labels(path, volume.array, scoring))
    ]
    return CaseScores(pair.case, tuple(rows), lits, tuple(notes), failure)


def _read_prediction(pair: Pair, truth: Volume) -> Volume:
    if pair.prediction is None:
        raise LiverSegError(f"Expected a prediction for {pair.truth}. Received none.")
    try:
        prediction = to_canonical(read_labels(pair.prediction))
    except MemoryError as error:
        raise LiverSegError(_no_memory(pair.case)) from error
    check_same_grid(truth, prediction)
    return prediction


def _strange_labels(path: Path, array: np.ndarray, scoring: Scoring) -> str | None:
    seen = np.zeros(256, bool)
    seen[array[bounding_box(array)]] = True
    known = {label for _, labels in scoring.regions.items for label in labels}
    strange = sorted(set(np.flatnonzero(seen).tolist()) - known - {0})
    if not strange:
        return None
    # the challenge takes any label from 1 for liver
    counted = (
        "count as liver in the challenge's figures only"
        if scoring.protocol == "lits"
        else "count as background"
    )
    names = ", ".join(map(str, strange))
    return f"Expected labels of the regions in {path}. Received {names}, which {counted}."


def _collect(pairs: list[Pair], found: dict[str, CaseScores], scoring: Scoring) -> Evaluation:
    notes = [note for one in found.values() for note in one.notes]
    failures = [Failure(one.case, one.failure) for one in found.values() if one.failure]
    failures += [
        Failure(pair.case, f"Expected a truth for {pair.prediction}. Received none.")
        for pair in pairs
        if pair.truth is None
    ]
    if scoring.knows_all:  # nobody chose to leave these labels out
        failures += [Failure(one.case, note) for one in found.values() for note in one.notes]
        notes = []
    empty = [one.case for one in found.values() if one.failure and one.rows]
    if empty:
        notes.append(
            f"Counted as an empty prediction (Dice 0, protocol {scoring.protocol}): "
            f"{', '.join(empty)}."
        )
    return Evaluation(
        scoring.regions,
        tuple(row for one in found.values() for row in one.rows),
        tuple(pair for pair in pairs if pair.case in found and not found[pair.case].failure),
        tuple(failures),
        tuple(notes),
        scoring,
        tuple(one.lits for one in found.values() if one.lits is not None),
    )


def _with(scores, others) -> dict[str, float]:
    return {name: others.get(name, value) for name, value in scores.items()}


def _no_memory(case: str) -> str:
    return f"Expected enough memory to score the masks. Received none (case {case})"


def _make_folder(folder: Path) -> None:
    """Make it before the work rather than fail after it."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise LiverSegError(
            f"Expected to write into {folder}. Received: {error.strerror}."
        ) from error
