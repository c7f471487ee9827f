"""Thresholds and post-processing of one run, chosen on its validation cases."""

from collections.abc import Sequence
from pathlib import Path

from liverseg_tf.errors import LiverSegError
from liverseg_tf.model.run_lock import run_lock
from liverseg_tf.model.run_record import RunRecord, write_postprocessing
from liverseg_tf.predict.models.predictor import Predictor
from liverseg_tf.predict.tuning.selection import select_postprocessing
from liverseg_tf.predict.tuning.tuning_result import TuningResult
from liverseg_tf.predict.tuning.validation_masks import predict_validation_masks
from liverseg_tf.tiles.store import TileStore


def tune_run(folder: Path, store: TileStore, unfinished: bool = False) -> TuningResult:
    """Select the post-processing of a run and write it into its `run.json`.

    Args:
        folder: Folder of the run.
        store: Store from which the run was trained.
        unfinished: Whether to accept a run that has not finished.

    Returns:
        The selected post-processing.

    Raises:
        LiverSegError: If the run cannot be loaded, has not finished, or is being written by
            another process; see also `tune_postprocessing`.
    """
    from liverseg_tf.predict.models.run import RunPredictor

    record = RunRecord.read(folder)
    if not unfinished:
        record.check_finished(folder)
    with run_lock(folder):
        result = tune_postprocessing(RunPredictor(folder), store, record.split["val"])
        write_postprocessing(folder, result.postprocessing)
    return result


def tune_postprocessing(
    predictor: Predictor, store: TileStore, names: Sequence[str]
) -> TuningResult:
    """Select the post-processing on the validation cases of a model.

    Args:
        predictor: Model that predicts the probabilities of tiles.
        store: Store from which the model was trained.
        names: Names of its validation cases.

    Returns:
        The selected post-processing; see `select_postprocessing`.

    Raises:
        LiverSegError: If there are no validation cases, or the tiles of the store differ from
            those of the model.
    """
    if not names:
        raise LiverSegError(
            f"Expected validation cases in {store.folder}, but the split of the run has none. "
            "Train with a validation split to tune."
        )
    cases = predict_validation_masks(predictor, store, names)
    return select_postprocessing(cases, predictor.network.regions)
