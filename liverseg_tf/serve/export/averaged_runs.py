"""The model that is exported: that of a run, or the mean over the runs of a cross-validation."""

import hashlib
from collections.abc import Sequence
from pathlib import Path

import keras

from liverseg_tf.model.run_record import read_run
from liverseg_tf.predict.models.ensemble import Ensemble
from liverseg_tf.predict.models.run import RunPredictor
from liverseg_tf.predict.tuning.cross_validation import list_runs


class AveragedRuns:
    """The runs of a cross-validation as one model, which averages their probabilities.

    It has what an export needs of a `RunPredictor`.

    Args:
        folders: Folders of at least two runs.

    Attributes:
        model: Keras model from tiles to the mean of the probabilities, in float32.

    Raises:
        SettingsError: If the runs differ in their input or output.
        LiverSegError: If a run cannot be loaded.
    """

    def __init__(self, folders: Sequence[Path]):
        predictors = [RunPredictor(folder, "float32") for folder in folders]
        ensemble = Ensemble(predictors)
        self.network, self.postprocessing = ensemble.network, ensemble.postprocessing
        self.warnings, self.training_range = ensemble.warnings, ensemble.training_range
        digest = hashlib.blake2b(ensemble.fingerprint.encode(), digest_size=16)
        self.fingerprint = digest.hexdigest()
        self.model = average_models([predictor.model for predictor in predictors])


ExportedRun = RunPredictor | AveragedRuns


def load_run(folder: Path) -> ExportedRun:
    """Load a run, or all runs of a cross-validation, in float32.

    Args:
        folder: Folder of a run or of a cross-validation.

    Raises:
        LiverSegError: If a run cannot be loaded.
    """
    runs = list_runs(folder)
    return AveragedRuns(runs) if len(runs) > 1 else RunPredictor([*runs, folder][0], "float32")


def run_properties(folder: Path, predictor: ExportedRun) -> dict:
    """Return the record of a run without the names of its cases, of several that of the first one.

    Names of cases may identify patients, and a server shows the record to every client.

    Args:
        folder: Folder of the run or of the cross-validation.
        predictor: The loaded run.
    """
    runs = list_runs(folder)
    value = read_run([*runs, folder][0])
    names = ("format", "settings", "parameters", "versions")
    record = {name: value[name] for name in names if name in value}
    if len(runs) > 1:
        record["parameters"], record["averaged_runs"] = predictor.model.count_params(), len(runs)
    return {
        **record,
        "network": predictor.network.to_json(),
        "postprocessing": predictor.postprocessing.to_json(),
        # the mean of several runs was not measured as a single pass
        "trust": predictor.trust.to_json() if isinstance(predictor, RunPredictor) else {},
        "training_range": predictor.training_range.to_json(),
    }


def average_models(models: Sequence[keras.Model]) -> keras.Model:
    """Return a model that computes the mean of the outputs of several models.

    It adds and divides in the order of `average_passes`, so that local prediction with all models
    gives the same masks.

    Args:
        models: Models of the same input and output.
    """
    tiles = keras.Input((None, None, models[0].input_shape[-1]), name="tiles")
    # copies that share the weights, with different names
    folds = [
        keras.Model(model.input, model.output, name=f"fold_{number}")
        for number, model in enumerate(models, 1)
    ]
    total = folds[0](tiles)
    for fold in folds[1:]:
        total = keras.layers.Add()([total, fold(tiles)])
    return keras.Model(tiles, keras.ops.divide(total, float(len(folds))))
