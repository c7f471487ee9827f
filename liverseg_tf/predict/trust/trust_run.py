"""When not to trust a run or a cross-validation, measured on cases that it has not seen."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from liverseg_tf.atomic import write_csv, write_json
from liverseg_tf.errors import LiverSegError
from liverseg_tf.model.run_record import RunRecord
from liverseg_tf.model.run_trust import write_trust
from liverseg_tf.model.training_cases import add_training_range
from liverseg_tf.model.trust_record import (
    ENSEMBLE,
    MIRRORED,
    SINGLE,
    RegionTrust,
    TrustRecord,
    common_trust,
)
from liverseg_tf.predict.models.ensemble import Ensemble, MirroredPredictor
from liverseg_tf.predict.models.predictor import Predictor
from liverseg_tf.predict.trust.draw_trust import draw_trust
from liverseg_tf.predict.trust.measure_cases import MeasuredRegion, measure_cases
from liverseg_tf.predict.trust.summarise import TrustSettings, summarise
from liverseg_tf.predict.tuning.cross_validation import list_runs
from liverseg_tf.printable import spreadsheet_text
from liverseg_tf.tiles.store import TileStore

TABLE_FILE, RECORD_FILE, PICTURE_FILE = "trust.csv", "trust.json", "trust.png"
DEFINITIONS = {
    "confidence": "soft Dice of the probabilities of a single pass with their own mask",
    "agreement": "mean Dice between the masks of all pairs of passes",
    "dice": "Dice of the mask with the ground truth, after post-processing, on the tile grid",
    "threshold": (
        "masks with a lower score are flagged: the highest score below which a further good mask, "
        "exchangeable with those that were measured, lies at most at the rate of false alarms"
    ),
    "aurc": "area under the risk-coverage curve: mean of 1 - Dice over all coverages",
    "temperature": (
        "divisor of the logits with the smallest log loss over the voxels with a probability of "
        "0.01 to 0.99"
    ),
    "before, after": (
        "the same voxels in ten bins; after the scaling, each case by the temperature of the others"
    ),
}


@dataclass(frozen=True)
class TrustResult:
    """What was measured.

    Args:
        record: What the model stores.
        measured: Results of all cases, by case, region and kind of passes.
        notes: What must be known about it, one line each.
        kinds: Kinds of passes that were measured this time.
    """

    record: TrustRecord
    measured: tuple[MeasuredRegion, ...]
    notes: tuple[str, ...]
    kinds: tuple[str, ...]


@dataclass(frozen=True)
class _Job:
    """A model and the cases that it has not seen."""

    runs: tuple[Path, ...]
    names: tuple[str, ...]
    fold: int = 0


def trust_run(
    folder: Path,
    store: TileStore,
    side: str | None = None,
    settings: TrustSettings | None = None,
    on_case: Callable[[str], None] = lambda name: None,
) -> TrustResult:
    """Measure when not to trust a model, and store it in each of its runs.

    Of a cross-validation, each run predicts the cases of its own fold; with `side='test'`, all
    runs together predict the test cases, which gives the threshold of their agreement. A single
    run predicts its validation and test cases, or those of one side.

    Besides the section `trust` of `run.json`, the folder gets `trust.csv`, `trust.json` and, from
    five cases on, `trust.png`. Runs of earlier versions also get the section `training_range`.

    Args:
        folder: Folder of a run or of a cross-validation.
        store: Store from which it was trained.
        side: Side of the split: val, test or None.
        settings: What counts as a bad mask; None for the defaults.
        on_case: Function that is called with the name of each case when it is done.

    Raises:
        LiverSegError: If there are no such cases, a run cannot be loaded or has not finished, the
            tiles differ from those of the model, or a file cannot be written.
        SettingsError: If a setting names a region that the model does not have.
    """
    folder, settings = Path(folder), settings or TrustSettings()
    runs = list_runs(folder) or [folder]
    records = [RunRecord.read(run) for run in runs]
    for run, record in zip(runs, records, strict=True):
        record.check_finished(run)
    regions, steps = records[0].network.regions, records[0].postprocessing
    regions.check_names(settings.min_dice_of)
    if any(record.postprocessing != steps for record in records):
        raise LiverSegError(
            f"Expected runs in {folder} with the same post-processing. Received different ones: "
            "run crossval again, which chooses one for all of them."
        )
    is_mirrored = all(record.mirrored for record in records)
    jobs, source = _list_jobs(folder, runs, records, side)
    measured: list[MeasuredRegion] = []
    for job in jobs:
        predictor, kinds = _load(job.runs, is_mirrored)
        measured += measure_cases(predictor, kinds, store, job.names, job.fold, on_case)
    if not measured:
        raise LiverSegError(
            f"Expected cases with masks of {', '.join(regions.names)} that {folder} has not learnt "
            "from. Received cases whose masks label none of these regions."
        )
    labelled = {one.region for one in measured}
    found: dict[str, dict[str, RegionTrust]] = {}
    notes = [f"{name}: no case labels it." for name in regions.names if name not in labelled]
    for kind in kinds:
        for name, threshold in zip(regions.names, steps.thresholds(regions), strict=True):
            cases = [one for one in measured if (one.passes, one.region) == (kind, name)]
            if not cases:
                continue
            trust, about = summarise(cases, threshold, source, settings)
            found.setdefault(kind, {})[name] = trust
            notes += [f"{name} ({kind}): {line}" for line in about]
    if source.startswith("validation"):
        notes.append(
            "the best weights and the post-processing were chosen on the validation cases: new "
            "cases may have lower scores and be flagged more often. A cross-validation or test "
            "cases tell more."
        )
    # other kinds of passes that were measured before stay
    earlier = common_trust([record.trust for record in records])
    trust_record = TrustRecord({**earlier.passes, **found})  # type: ignore[dict-item]
    for run in runs:
        write_trust(run, trust_record)
        add_training_range(run, store)
    result = TrustResult(trust_record, tuple(measured), tuple(notes), tuple(kinds))
    _write_files(folder, result)
    return result


def count_cases(folder: Path, side: str | None = None) -> int:
    """Return the number of cases on which `trust_run` measures.

    Raises:
        LiverSegError: If there are none.
    """
    runs = list_runs(folder) or [Path(folder)]
    jobs, _ = _list_jobs(folder, runs, [RunRecord.read(run) for run in runs], side)
    return sum(len(job.names) for job in jobs)


def _list_jobs(
    folder: Path, runs: Sequence[Path], records: Sequence[RunRecord], side: str | None
) -> tuple[list[_Job], str]:
    """Return which model predicts which cases, and where the cases come from."""
    splits = [record.split for record in records]
    if len(runs) > 1 and side != "test":
        jobs = [
            _Job((run,), tuple(split["val"]), fold)
            for fold, (run, split) in enumerate(zip(runs, splits, strict=True), 1)
        ]
        names = [name for job in jobs for name in job.names]
        if len(set(names)) < len(names):
            raise LiverSegError(
                f"Expected runs in {folder} with different validation cases. Received one that "
                "two runs share: run crossval again."
            )
        source = "cross-validation"
    else:
        sides = ("val", "test") if side is None else (side,)
        common = [
            name
            for name in dict.fromkeys(name for one in sides for name in splits[0][one])
            if all(any(name in split[one] for one in sides) for split in splits)
        ]
        jobs = [_Job(tuple(runs), tuple(common))]
        used = {"val": "validation", "test": "test"}
        source = " and ".join(used[one] for one in sides if splits[0][one])
    if not any(job.names for job in jobs):
        raise LiverSegError(
            f"Expected cases that {folder} has not learnt from. Received a split without "
            f"{'validation and test' if side is None else side} cases: train with a validation or "
            "test split, or use a cross-validation."
        )
    return [job for job in jobs if job.names], source


def _load(runs: Sequence[Path], is_mirrored: bool) -> tuple[Predictor, tuple[str, ...]]:
    """Load a model with the passes that are compared, and name their kinds."""
    from liverseg_tf.predict.models.run import RunPredictor

    predictors = [RunPredictor(run) for run in runs]
    if len(predictors) > 1:
        return Ensemble(predictors), (ENSEMBLE,)
    if is_mirrored:
        return MirroredPredictor(predictors[0]), (SINGLE, MIRRORED)
    return predictors[0], (SINGLE,)


def _write_files(folder: Path, result: TrustResult) -> None:
    rows = [
        {
            "case": spreadsheet_text(one.case),
            "fold": one.fold or None,
            "region": spreadsheet_text(one.region),
            "passes": one.passes,
            "score": one.score,
            "value": one.value,
            "dice": one.dice,
            "threshold": (known := result.record.passes[one.passes][one.region]).threshold,  # type: ignore[index]
            "flagged": {None: "", True: "yes", False: "no"}[known.flags(one.value)],
        }
        for one in result.measured
    ]
    write_csv(folder / TABLE_FILE, list(rows[0]), rows)
    value = result.record.to_json() | {"notes": list(result.notes), "definitions": DEFINITIONS}
    write_json(folder / RECORD_FILE, value)
    draw_trust(result.measured, result.record, folder / PICTURE_FILE)
