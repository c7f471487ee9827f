"""A cross-validation: several runs, each validated on the cases that it has not seen."""

import csv
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from liverseg_tf.atomic import read_json, replacing, write_json
from liverseg_tf.errors import LiverSegError
from liverseg_tf.model.run_record import write_postprocessing
from liverseg_tf.predict.tuning.tune import TuningResult, choose
from liverseg_tf.predict.tuning.validation_masks import predict_validation_masks
from liverseg_tf.tiles.store import TileStore

NAME = "crossval.json"


@dataclass(frozen=True)
class CrossValidationResult:
    """What a cross-validation found.

    Args:
        tuned: what was chosen on all cases together, and their Dice before and after.
        fold_of: case to the fold, from 1, that validated it.
    """

    tuned: TuningResult
    fold_of: dict[str, int]

    def rows(self) -> list[dict]:
        """A row for each case and region."""
        return [
            {"fold": fold, "case": case, "region": region, "dice": before, "dice_tuned": after}
            for case, fold in self.fold_of.items()
            for region, before in self.tuned.before[case].items()
            for after in (self.tuned.after[case][region],)
        ]

    def means(self) -> list[dict]:
        """A row for each fold and region, and for all folds together (fold None)."""
        rows = self.rows()
        regions = list(dict.fromkeys(row["region"] for row in rows))
        return [
            {"fold": fold, "region": region, "cases": len(of)}
            | {name: _mean([row[name] for row in of]) for name in ("dice", "dice_tuned")}
            for fold in (*sorted(set(self.fold_of.values())), None)
            for region in regions
            for of in ([r for r in rows if r["region"] == region and fold in (r["fold"], None)],)
        ]


def cross_validate(folder: Path, store: TileStore, runs: Sequence[Path]) -> CrossValidationResult:
    """Choose thresholds and post-processing on what each run has not seen, for all runs alike.

    It is written into the runs; the folder gets `crossval.json` and `crossval.csv`, after which
    it is a model of all runs together.

    Args:
        folder: of the cross-validation.
        store: of the runs.
        runs: inside the folder, one a fold.

    Raises:
        LiverSegError: when a run can't be used, or two of them validated the same case.
    """
    from liverseg_tf.model.run_record import RunRecord
    from liverseg_tf.predict.models.run import RunPredictor

    fold_of, held = {}, []
    for fold, run in enumerate(runs, 1):
        names = RunRecord.read(run).split["val"]
        twice = sorted(fold_of.keys() & set(names))
        if twice or not names:
            raise LiverSegError(
                f"Expected runs that validate cases of their own in {folder}. Received {run} with "
                f"{f'case {twice[0]} of fold {fold_of[twice[0]]}' if twice else 'none'}."
            )
        predictor = RunPredictor(run)
        held += predict_validation_masks(predictor, store, names)
        fold_of |= dict.fromkeys(names, fold)
    tuned = choose(held, predictor.network.regions)
    for run in runs:
        write_postprocessing(run, tuned.chosen)
    found = CrossValidationResult(tuned, fold_of)
    _write(folder, runs, found)
    return found


def runs_in(folder: Path) -> list[Path]:
    """The runs of a cross-validation; none where the folder holds no whole one."""
    path = Path(folder) / NAME
    if not path.is_file():
        return []
    runs = read_json(path).get("runs")
    if not isinstance(runs, list) or not all(
        isinstance(run, str) and run == Path(run).name and run not in ("", ".", "..")
        for run in runs
    ):
        raise LiverSegError(f"Expected names of runs in {path}. Received {runs!r}.")
    return [Path(folder) / run for run in runs]


def _write(folder: Path, runs: Sequence[Path], found: CrossValidationResult) -> None:
    rows = found.rows()
    with replacing(folder / "crossval.csv") as partial, open(partial, "w", newline="") as file:
        writer = csv.DictWriter(file, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)
    means = [
        {key: None if value != value else value for key, value in row.items()}
        for row in found.means()
    ]
    write_json(
        folder / NAME,
        {
            "runs": [run.name for run in runs],
            "postprocessing": found.tuned.chosen.to_json(),
            "dice": means,
        },
    )


def _mean(values: Sequence[float]) -> float:
    known = [value for value in values if np.isfinite(value)]
    return sum(known) / len(known) if known else float("nan")
