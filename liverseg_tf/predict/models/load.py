"""Loading of runs and exported models for prediction."""

from collections.abc import Sequence
from pathlib import Path

from liverseg_tf.choices import PRECISIONS
from liverseg_tf.errors import SettingsError
from liverseg_tf.model.export_record import (
    LITERT,
    ONNX,
    SAVED_MODEL,
    ExportRecord,
    find_export_kind,
)
from liverseg_tf.model.run_record import RunRecord, read_record
from liverseg_tf.predict.models.ensemble import Ensemble, MirroredPredictor, combine_networks
from liverseg_tf.predict.models.predictor import Predictor
from liverseg_tf.predict.models.run import RunPredictor


def load_predictor(
    paths: Sequence[Path], mirror: bool = False, precision: str | None = None
) -> Predictor:
    """Load one model, or several models whose probabilities are averaged.

    Args:
        paths: Paths of runs, SavedModels (a version folder, or the folder of versions), .tflite
            and .onnx files.
        mirror: Average over tiles and tiles mirrored left to right.
        precision: Precision of runs, one of `choices.PRECISIONS`. None chooses it for the device;
            see `RunPredictor`.

    Raises:
        SettingsError: If the models differ in their input or output, if `mirror` is set and a
            model was not trained on mirrored tiles, or `precision` is set and a model is an export.
        LiverSegError: If a model cannot be loaded.
    """
    records = [read_record(path) for path in paths]  # checked before the slow loading
    combine_networks([record.network for record in records])
    if mirror:
        check_mirrored(paths, records)
    check_precision(paths, precision)
    predictors = [_load(path, precision) for path in paths]
    predictor = predictors[0] if len(predictors) == 1 else Ensemble(predictors)
    return MirroredPredictor(predictor) if mirror else predictor


def check_mirrored(paths: Sequence[Path], records: Sequence[RunRecord | ExportRecord]) -> None:
    """Check that all models were trained on mirrored tiles.

    Raises:
        SettingsError: If a model was not.
    """
    for path, record in zip(paths, records, strict=True):
        if not record.mirrored:
            raise SettingsError(
                f"Expected a run that was trained with --mirror, but {path} was not: it may "
                "take a mirrored organ for a different one."
            )


def check_precision(paths: Sequence[Path], precision: str | None) -> None:
    """Check that all models are runs if a precision is given.

    Raises:
        SettingsError: If the precision is unknown, or a model is an export.
    """
    if precision is None:
        return
    if precision not in PRECISIONS:
        raise SettingsError(
            f"Expected a precision of {', '.join(PRECISIONS)}. Received {precision}."
        )
    for path in paths:
        if find_export_kind(path) is not None:
            raise SettingsError(
                f"Expected runs together with --precision. Received {path}, an exported model, "
                "whose precision is fixed: leave --precision out, or name the run."
            )


def _load(path: Path, precision: str | None) -> Predictor:
    kind = find_export_kind(path)
    if kind == SAVED_MODEL:
        from liverseg_tf.predict.models.saved_model import SavedModelPredictor

        return SavedModelPredictor(path)
    if kind == LITERT:
        from liverseg_tf.predict.models.litert import LiteRtPredictor

        return LiteRtPredictor(path)
    if kind == ONNX:
        from liverseg_tf.predict.models.onnx import OnnxPredictor

        return OnnxPredictor(path)
    return RunPredictor(path, precision)
