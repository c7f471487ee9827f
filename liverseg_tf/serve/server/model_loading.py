"""The models of a server when it starts: those that it is given, or what was learnt since."""

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from liverseg_tf.errors import LiverSegError, SettingsError
from liverseg_tf.model.bundle.bundle_record import BUNDLE_FILE
from liverseg_tf.model.export_record import find_export_kind
from liverseg_tf.model.run_record import read_record
from liverseg_tf.predict.models.predictor import Predictor
from liverseg_tf.predict.outputs.case_outputs import file_safe_name
from liverseg_tf.records import read_record as read_json_record
from liverseg_tf.serve.server.fine_tuning_data import FineTuningFolder
from liverseg_tf.serve.server.models import Model

Load = Callable[[tuple[str, ...]], Predictor]


@dataclass(frozen=True)
class _Current:
    """The record of the version that takes the place of a model."""

    version: int
    base: str


def load_models(
    named: Mapping[str, Sequence[str]], load: Load, folder: Path, accepted: tuple[str, ...] = ()
) -> list[Model]:
    """Load the models of a server.

    A model that was fine-tuned by this server before is replaced by the version that is current,
    as long as it is the model from which that version was trained.

    Args:
        named: Paths or the address of each model, by its name in viewers.
        load: Function that loads the predictor of paths.
        folder: Folder of the fine-tuned models.
        accepted: Rules of `liverseg check` whose errors become warnings.

    Raises:
        LiverSegError: If a model cannot be loaded.
    """
    models = []
    for name, paths in named.items():
        model = load_model(name, paths, load)
        files = FineTuningFolder(Path(folder) / file_safe_name(name))
        current = find_current(files, model.predictor.fingerprint)
        if current is not None and model.run is not None:
            tuned = load_model(name, (str(files.run(current)),), load, current)
            model = dataclasses.replace(tuned, base=model.predictor.fingerprint)
        models.append(dataclasses.replace(model, accepted=accepted))
    return models


def load_model(name: str, paths: Sequence[str], load: Load, version: int = 0) -> Model:
    """Load one model; see `load_models`."""
    predictor = load(tuple(paths))
    if any("://" in path for path in paths):
        return Model(name, predictor, version=version)
    records = [read_record(Path(path)) for path in paths]
    is_run = len(paths) == 1 and find_export_kind(Path(paths[0])) is None
    run = Path(paths[0]).absolute() if is_run else None
    return Model(name, predictor, all(record.mirrored for record in records), run, version)


def find_current(files: FineTuningFolder, base: str) -> int | None:
    """Return the version that takes the place of a model, or None if there is none.

    Args:
        files: Folder of the fine-tunings.
        base: Fingerprint of the model.
    """
    with suppress(LiverSegError):
        current = read_json_record(files.current, _Current)
        if current.base == base and files.run(current.version).is_dir():
            return current.version
    return None


def name_models(resolved: Sequence[Sequence[str]], typed: Sequence[str]) -> dict[str, list[str]]:
    """Name each model after its folder, its file or its name on a server.

    Args:
        resolved: Paths or the address of each model.
        typed: The same as they were typed.

    Raises:
        SettingsError: If two models have the same name.
    """
    named: dict[str, list[str]] = {}
    for paths, text in zip(resolved, typed, strict=True):
        is_bundle = len(paths) == 1 and (Path(paths[0]) / BUNDLE_FILE).is_file()
        name = Path(paths[0]).name if is_bundle else _name_of(text)
        if name in named:
            raise SettingsError(
                f"Expected models with different names. Received two named {name}: rename the "
                "folder or file of one of them."
            )
        named[name] = list(paths)
    return named


def _name_of(text: str) -> str:
    if "://" in text:
        parts = [part for part in text.split("/") if part]
        return parts[-2] if parts[-1].isdecimal() and len(parts) > 3 else parts[-1]
    path = Path(text).resolve()
    name = path.parent.name if path.name.isdecimal() and path.is_dir() else path.name
    return name.removesuffix(".onnx").removesuffix(".tflite")
