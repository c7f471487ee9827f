"""Loading of trained models, and their export."""

import warnings
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import keras

from liverseg_tf.model.run_record import RunRecord
from liverseg_tf.predict.bundles.locate import locate_model
from liverseg_tf.predict.models.load import load_predictor
from liverseg_tf.predict.models.predictor import Predictor, warnings_of


def load_model(
    model: Path | str | Iterable[Path | str],
    mirror: bool = False,
    precision: str | None = None,
    custom_objects: Mapping[str, Any] | None = None,
) -> Predictor:
    """Load a run or an exported model once, to segment many images with it.

    Args:
        model: Folder of a run, a SavedModel, a .tflite or .onnx file, or a model bundle (its file,
            name or address); or several of them, whose probabilities are averaged.
        mirror: Average over tiles and tiles mirrored left to right.
        precision: Precision of runs: 'float32', 'bfloat16' or 'float16'. None chooses it.
        custom_objects: Classes of your own layers by name, as in `keras.saving.load_model`. A run
            never imports them itself; it names those that it needs.

    Returns:
        The model, for `segment`. That of a run has the attribute `model`, the Keras model.

    Raises:
        SettingsError: If the models differ in their input or output, or an option does not suit
            them.
        LiverSegError: If a model cannot be loaded.

    Example:
        >>> import liverseg_tf as ls
        >>> predictor = ls.load_model("run")
        >>> predictor.network.regions
        Regions(liver: 1, 2; tumour: 2)
        >>> predictor.model.output_shape
        (None, None, None, 2)
    """
    paths = [model] if isinstance(model, str | Path) else list(model)
    with keras.saving.custom_object_scope(dict(custom_objects or {})):
        located = [locate_model(str(path)).path for path in paths]
        predictor = load_predictor(located, mirror, precision)
    for line in warnings_of(predictor):
        warnings.warn(line, stacklevel=2)
    return predictor


def export_model(
    run: Path | str,
    out: Path | str,
    name: str | None = None,
    custom_objects: Mapping[str, Any] | None = None,
    **settings: Any,
) -> Path:
    """Export a run for TensorFlow Serving, as `liverseg export` does.

    Args:
        run: Folder of a run that has finished.
        out: Folder of the models, which a server will read.
        name: Name of the model, which is part of its address. None takes that of the run.
        custom_objects: See `load_model`.
        settings: Further fields of `ExportSettings`: version, weights, litert, calibration, onnx,
            web.

    Returns:
        Folder OUT/NAME/VERSION with the SavedModel.

    Raises:
        SettingsError: If the version already exists, or the name cannot be part of an address.
        LiverSegError: If the run has not finished or cannot be loaded, or a file cannot be written.

    Example:
        >>> import liverseg_tf as ls
        >>> folder = ls.export_model("run", "models", "liver")
        >>> folder.as_posix(), (folder / "saved_model.pb").exists()
        ('models/liver/1', True)
    """
    from liverseg_tf.serve.export.export_run import ExportSettings, export_run

    run = Path(run)
    RunRecord.read(run).check_finished(run)
    options = ExportSettings(name or run.resolve().name, **settings)
    with keras.saving.custom_object_scope(dict(custom_objects or {})):
        return export_run(run, Path(out), options).folder
