"""`OUT/NAME/VERSION/` of a run: a SavedModel as a model server wants it, whole or not at all."""

import json
import re
from collections.abc import Callable
from dataclasses import dataclass
from importlib.metadata import version as version_of
from pathlib import Path

import keras

from liverseg_tf import __version__
from liverseg_tf.atomic import read_json, replacing, write_json
from liverseg_tf.errors import SettingsError
from liverseg_tf.model import export_record
from liverseg_tf.predict.models.run import RunPredictor
from liverseg_tf.serve.export.convert import LITERT_KINDS, calibration_tiles, to_litert, write_onnx
from liverseg_tf.serve.export.quantize import with_weights
from liverseg_tf.serve.export.server_files import docker_line, write_server_files
from liverseg_tf.serve.export.signatures import signatures_of
from liverseg_tf.serve.export.warmup import write_warmup


@dataclass(frozen=True)
class ExportSettings:
    """What is exported.

    Args:
        name: of the model, part of addresses.
        version: from 1; None takes the next one that is free.
        weights: of the SavedModel, 'none' (as they are), 'float16' or 'int8'.
        litert: 'float16', 'int8', both or none.
        calibration: store whose tiles tell an int8 file its ranges.
        onnx: whether an ONNX file is written.

    Raises:
        SettingsError: on a name that is no part of an address, or int8 without a store.
    """

    name: str
    version: int | None = None
    weights: str = "none"
    litert: tuple[str, ...] = ()
    calibration: Path | None = None
    onnx: bool = False

    def __post_init__(self) -> None:
        # a name of digits alone would be taken for a version
        if not re.fullmatch(r"[A-Za-z0-9_.-]*[A-Za-z_][A-Za-z0-9_.-]*", self.name):
            raise SettingsError(
                "Expected a name of letters, digits, '_', '-' and '.' for the model (--name). "
                f"Received {self.name!r}."
            )
        for kind in self.litert:
            if kind not in LITERT_KINDS:
                raise SettingsError(
                    f"Expected LiteRT of {' or '.join(LITERT_KINDS)}. Received {kind!r}."
                )
        if "int8" in self.litert and self.calibration is None:
            raise SettingsError(
                "Expected a store to calibrate int8 with (--calibrate STORE). Received none."
            )


@dataclass(frozen=True)
class ExportResult:
    """What was written.

    Args:
        folder: of the version.
        files: LiteRT and ONNX, each with its record beside it.
        docker: a command that serves them.
    """

    folder: Path
    files: tuple[Path, ...]
    docker: str


def export_run(run: Path, out: Path, settings: ExportSettings) -> ExportResult:
    """Export a run.

    `OUT/NAME/VERSION/` gets its name once it is whole, since servers look for new versions;
    LiteRT and ONNX become `OUT/NAME-VERSION-….tflite` and `OUT/NAME-VERSION.onnx`.

    Args:
        run: its folder.
        out: folder of the models, which a server gets.
        settings: what.

    Raises:
        SettingsError: when the version is there.
        LiverSegError: when the run can't be loaded, or files can't be written.
    """
    predictor = RunPredictor(run, "float32")
    folder = _new_version(Path(out) / settings.name, settings.version)
    version = int(folder.name)
    model, network = predictor.model, predictor.network
    thresholds = predictor.postprocessing.thresholds(network.regions)

    def record(kind: str, weights: str = "none") -> dict:
        return _record(run, predictor) | {
            "fingerprint": f"{predictor.fingerprint}-{kind}-{weights}",
            "export": {
                "format": export_record.FORMAT,
                "kind": kind,
                "name": settings.name,
                "version": version,
                "weights": weights,
                "liverseg_tf": __version__,
                "tensorflow": version_of("tensorflow"),
            },
        }

    files = []
    with replacing(folder) as partial:
        own = record(export_record.SAVED_MODEL, settings.weights)
        served = with_weights(model, settings.weights)
        signatures = signatures_of(network, served, json.dumps(own), thresholds)
        archive = keras.export.ExportArchive()
        # the variables that endpoints use are saved; `track` would save those of a model twice
        for each in signatures:
            archive.add_endpoint(each.name, each.function, list(each.inputs))
        archive.write_out(partial, verbose=False)
        extra = partial / "assets.extra"
        extra.mkdir()
        write_warmup(extra, settings.name, signatures, network)
        _write_record(extra / "run.json", own, partial)
        for kind in settings.litert:
            tiles = calibration_tiles(settings.calibration, network) if kind == "int8" else None
            path = Path(out) / f"{settings.name}-{version}-{kind}.tflite"
            content = to_litert(model, tiles)
            _write_file(
                path, lambda p, c=content: p.write_bytes(c), record(export_record.LITERT, kind)
            )
            files.append(path)
        if settings.onnx:
            path = Path(out) / f"{settings.name}-{version}.onnx"
            _write_file(path, lambda p: write_onnx(model, p), record(export_record.ONNX))
            files.append(path)
    write_server_files(Path(out), settings.name)
    return ExportResult(folder, tuple(files), docker_line(out))


def _new_version(model: Path, version: int | None) -> Path:
    """The folder of a version that isn't there; by default the one after the highest."""
    if version is None:
        version = max((int(path.name) for path in export_record.versions_in(model)), default=0) + 1
    folder = model / str(version)
    if folder.exists():
        raise SettingsError(
            f"Expected a new version of the model. Received {folder}, which is there."
        )
    return folder


def _record(run: Path, predictor: RunPredictor) -> dict:
    """The run's record without names of cases: they may be patients', and a server tells it all."""
    value = read_json(Path(run) / "run.json")
    kept = ("format", "settings", "parameters", "versions")
    return {
        **{key: value[key] for key in kept if key in value},
        "network": predictor.network.to_json(),
        "postprocessing": predictor.postprocessing.to_json(),
    }


def _write_file(path: Path, write: Callable[[Path], object], record: dict) -> None:
    """A file, then its record; between the two the old record doesn't match and is refused."""
    with replacing(path) as partial:
        write(partial)
    _write_record(export_record.record_path(path), record, path)


def _write_record(path: Path, record: dict, of: Path) -> None:
    export = record["export"] | {"digest": export_record.digest_of(of)}
    write_json(path, record | {"export": export})
