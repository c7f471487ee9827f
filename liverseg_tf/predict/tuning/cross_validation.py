"""Cross-validation: several runs, each of them validated on the cases of its own fold."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from liverseg_tf.atomic import read_json, write_csv, write_json
from liverseg_tf.bootstrap import DEFINITION as INTERVAL
from liverseg_tf.errors import LiverSegError
from liverseg_tf.model.run_lock import run_lock
from liverseg_tf.model.run_record import RunRecord, write_postprocessing
from liverseg_tf.predict.tuning.gains import Gain
from liverseg_tf.predict.tuning.selection import select_postprocessing
from liverseg_tf.predict.tuning.tuning_result import TuningResult
from liverseg_tf.predict.tuning.validation_masks import ValidationMasks, predict_validation_masks
from liverseg_tf.tiles.store import TileStore

RECORD_FILE = "crossval.json"
TABLE_FILE = "crossval.csv"
DEFINITIONS = {
    "dice": "threshold 0.5, no post-processing",
    "dice_tuned": "with the post-processing that was chosen on the cases of all folds",
    "gain": (
        "Dice with the thresholds and post-processing that were chosen without the fold of the "
        "case, minus Dice with the threshold 0.5 and the largest component; a region that is empty "
        "in prediction and reference counts as a Dice of 1 if it is so on one side only"
    ),
    "gain_low, gain_high": INTERVAL,
}


@dataclass(frozen=True)
class CrossValidationResult:
    """The result of a cross-validation.

    Args:
        tuning: Post-processing that was selected on the cases of all folds together, and the Dice
            of these cases before and after.
        fold_by_case: Number of the fold, from 1, that validated each case.
    """

    tuning: TuningResult
    fold_by_case: dict[str, int]

    def rows(self) -> list[dict]:
        """Return one row per case and region: fold, case, region, dice, dice_tuned and gain."""
        return [
            {
                "fold": fold,
                "case": case,
                "region": region,
                "dice": dice,
                "dice_tuned": self.tuning.dice_after[case][region],
                "gain": self.tuning.held_out_gains[case][region],
            }
            for case, fold in self.fold_by_case.items()
            for region, dice in self.tuning.dice_before[case].items()
        ]

    def means(self) -> list[dict]:
        """Return mean scores: a row per fold and region, and a row per region over all folds.

        In the rows over all folds, `fold` is None. `gain_low` and `gain_high` are the ends of the
        interval of the mean gain; see `DEFINITIONS`.
        """
        rows = self.rows()
        means = []
        for fold in (*sorted(set(self.fold_by_case.values())), None):
            for region in dict.fromkeys(row["region"] for row in rows):
                chosen = [r for r in rows if r["region"] == region and fold in (r["fold"], None)]
                mean = {key: _mean([row[key] for row in chosen]) for key in ("dice", "dice_tuned")}
                gain = Gain.of(row["gain"] for row in chosen)
                mean |= {"gain": gain.mean, "gain_low": gain.low, "gain_high": gain.high}
                scored = [r for r in chosen if np.isfinite([r["dice"], r["dice_tuned"]]).any()]
                means.append({"fold": fold, "region": region, "cases": len(scored)} | mean)
        return means


def cross_validate(folder: Path, store: TileStore, runs: Sequence[Path]) -> CrossValidationResult:
    """Select one post-processing for all runs, on the validation cases of all folds.

    The post-processing is written into every run. The folder gets `crossval.json` and
    `crossval.csv`; after that it can be used as a model that averages all runs.

    Args:
        folder: Folder of the cross-validation.
        store: Store from which the runs were trained.
        runs: Folders of the runs inside `folder`, one per fold.

    Returns:
        The selected post-processing and the Dice of each case.

    Raises:
        LiverSegError: If a run cannot be loaded, has not finished or has no validation cases, if
            two runs validated the same case, or if another process is writing the folder.
    """
    with run_lock(folder):
        return _cross_validate(Path(folder), store, runs)


def _cross_validate(folder: Path, store: TileStore, runs: Sequence[Path]) -> CrossValidationResult:
    from liverseg_tf.predict.models.run import RunPredictor

    fold_by_case: dict[str, int] = {}
    cases: list[ValidationMasks] = []
    for fold, run in enumerate(runs, 1):
        record = RunRecord.read(run)
        record.check_finished(run)
        names = record.split["val"]
        repeated = sorted(fold_by_case.keys() & set(names))
        if repeated or not names:
            received = (
                f"case {repeated[0]} of fold {fold_by_case[repeated[0]]}"
                if repeated
                else "no validation cases"
            )
            raise LiverSegError(
                f"Expected runs in {folder} with different validation cases. "
                f"Received {run} with {received}."
            )
        predictor = RunPredictor(run)
        cases += predict_validation_masks(predictor, store, names)
        fold_by_case |= dict.fromkeys(names, fold)
    tuning = select_postprocessing(cases, predictor.network.regions, fold_by_case)
    for run in runs:
        with run_lock(run):
            write_postprocessing(run, tuning.postprocessing)
    result = CrossValidationResult(tuning, fold_by_case)
    _write_result(folder, runs, result)
    return result


def list_runs(folder: Path) -> list[Path]:
    """Return the runs of a finished cross-validation; an empty list for any other folder.

    Args:
        folder: Folder of the cross-validation.

    Raises:
        LiverSegError: If `crossval.json` is invalid.
    """
    path = Path(folder) / RECORD_FILE
    if not path.is_file():
        return []
    runs = read_json(path).get("runs")
    if not isinstance(runs, list) or not all(
        isinstance(run, str) and run == Path(run).name and run not in ("", ".", "..")
        for run in runs
    ):
        raise LiverSegError(
            f"Expected a list of folder names as the runs in {path}. Run crossval again."
        )
    return [Path(folder) / run for run in runs]


def _write_result(folder: Path, runs: Sequence[Path], result: CrossValidationResult) -> None:
    rows = result.rows()
    write_csv(folder / TABLE_FILE, list(rows[0]), rows)
    write_json(
        folder / RECORD_FILE,
        {
            "runs": [run.name for run in runs],
            "postprocessing": result.tuning.postprocessing.to_json(),
            "notes": list(result.tuning.notes),
            "dice": result.means(),
            "definitions": DEFINITIONS,
        },
    )


def _mean(values: Sequence[float]) -> float:
    finite = [value for value in values if np.isfinite(value)]
    return sum(finite) / len(finite) if finite else float("nan")
