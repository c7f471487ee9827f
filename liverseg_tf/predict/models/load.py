"""Loads runs and exports to predict."""

from collections.abc import Sequence
from pathlib import Path

from liverseg_tf.errors import SettingsError
from liverseg_tf.model.export_record import LITERT, ONNX, SAVED_MODEL, kind_of
from liverseg_tf.model.run_record import RunRecord, read_record
from liverseg_tf.predict.models.ensemble import Ensemble, Mirrored, joint_network
from liverseg_tf.predict.models.predictor import Predictor
from liverseg_tf.predict.models.run import RunPredictor


def load_predictor(paths: Sequence[Path], mirror: bool = False) -> Predictor:
    """One model, or several that are averaged.

    Args:
        paths: of runs, SavedModels (a version, or the folder of versions), .tflite and .onnx
            files.
        mirror: whether left and right are mirrored as well, and both averaged.

    Raises:
        SettingsError: when the models take other tiles or find other regions, or one that is to
            see mirrored tiles has not learnt from them.
        LiverSegError: when one can't be loaded.
    """
    records = [read_record(path) for path in paths]  # before the loading
    joint_network([record.network for record in records])
    if mirror:
        check_mirrored(paths, records)
    predictors = [_load(path) for path in paths]
    predictor = predictors[0] if len(predictors) == 1 else Ensemble(predictors)
    return Mirrored(predictor) if mirror else predictor


def check_mirrored(folders: Sequence[Path], records: Sequence[RunRecord]) -> None:
    """Refuse to show mirrored tiles to runs that have not learnt from them.

    Raises:
        SettingsError: with the first such run.
    """
    for folder, record in zip(folders, records, strict=True):
        if not record.mirrored:
            raise SettingsError(
                f"Expected a run that was trained with --mirror. Received {folder}, which would "
                "take a mirrored organ for another."
            )


def _load(path: Path) -> Predictor:
    kind = kind_of(path)
    if kind == SAVED_MODEL:
        from liverseg_tf.predict.models.saved_model import SavedModelPredictor as Kind
    elif kind == LITERT:
        from liverseg_tf.predict.models.litert import LiteRtPredictor as Kind
    elif kind == ONNX:
        from liverseg_tf.predict.models.onnx import OnnxPredictor as Kind
    else:
        Kind = RunPredictor
    return Kind(path)
