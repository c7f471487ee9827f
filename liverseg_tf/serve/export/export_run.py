"""Export of a run as `OUT/NAME/VERSION/`, a SavedModel for model servers, written atomically."""

import json
import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.metadata import version as package_version
from operator import methodcaller
from pathlib import Path

import tensorflow as tf

from liverseg_tf import __version__
from liverseg_tf.atomic import replacing, write_json
from liverseg_tf.choices import LITERT_TYPES
from liverseg_tf.errors import LiverSegError, SettingsError
from liverseg_tf.locks import exclusive_lock
from liverseg_tf.model import export_record
from liverseg_tf.predict.models.saved_model_check import check_saved_model
from liverseg_tf.serve.export.averaged_runs import ExportedRun, load_run, run_properties
from liverseg_tf.serve.export.convert import (
    calibration_tiles,
    check_onnx,
    to_litert,
    write_onnx,
)
from liverseg_tf.serve.export.quantize import quantize_weights
from liverseg_tf.serve.export.server_files import docker_command, write_server_files
from liverseg_tf.serve.export.server_version import find_oldest_server
from liverseg_tf.serve.export.signatures import build_signatures
from liverseg_tf.serve.export.warmup import write_warmup
from liverseg_tf.serve.export.web.export_page import export_page
from liverseg_tf.serve.export.write_errors import as_write_errors


@dataclass(frozen=True)
class ExportSettings:
    """Settings of an export.

    Args:
        name: Name of the model, which is part of its address.
        version: Version number, at least 1. None takes the number after the latest version.
        weights: Type of the weights in the SavedModel: 'none' (unchanged), 'float16' or 'int8'.
        litert: Types of the LiteRT files to write: 'float16', 'int8', both, or none of them.
        calibration: Folder of the store whose tiles determine the value ranges of an int8 file.
        onnx: Whether an ONNX file is written.
        web: Whether a page that segments in the browser is written.

    Raises:
        SettingsError: If the name cannot be part of an address, or int8 is requested without a
            store.
    """

    name: str
    version: int | None = None
    weights: str = "none"
    litert: tuple[str, ...] = ()
    calibration: Path | None = None
    onnx: bool = False
    web: bool = False

    def __post_init__(self) -> None:
        # a server would take a name of digits only for a version
        if not re.fullmatch(r"[A-Za-z0-9_.-]*[A-Za-z_][A-Za-z0-9_.-]*", self.name):
            raise SettingsError(
                "Expected a model name (--name) of letters, digits, '_', '-' and '.', with at "
                f"least one letter or '_'. Received '{self.name}'."
            )
        for weight_type in self.litert:
            if weight_type not in LITERT_TYPES:
                raise SettingsError(
                    f"Expected {' or '.join(LITERT_TYPES)} for LiteRT. Received {weight_type}."
                )
        if "int8" in self.litert and self.calibration is None:
            raise SettingsError(
                "Expected a store to calibrate the int8 file with (--calibrate STORE)."
            )


@dataclass(frozen=True)
class ExportResult:
    """The files of an export.

    Args:
        folder: Folder of the version.
        files: LiteRT and ONNX files, each with its record beside it, and the page.
        docker: Command that serves the model.
    """

    folder: Path
    files: tuple[Path, ...]
    docker: str


def export_run(run: Path, out: Path, settings: ExportSettings) -> ExportResult:
    """Export a run.

    `OUT/NAME/VERSION/` gets its name when it is complete, since servers watch for new versions.
    LiteRT and ONNX files are named `OUT/NAME-VERSION-TYPE.tflite` and `OUT/NAME-VERSION.onnx`, the
    page `OUT/NAME-VERSION.html`. No file is replaced. Those before one that fails stay.

    Args:
        run: Folder of the run, or of a cross-validation, whose probabilities are averaged.
        out: Folder of the models, which a server will read.
        settings: Settings of the export.

    Raises:
        SettingsError: If the version already exists.
        LiverSegError: If the run cannot be loaded, a file cannot be written, or another process is
            exporting a model of the same name to the same folder.
    """
    if settings.onnx or settings.web:
        check_onnx()
    predictor = load_run(run)
    out = Path(out)
    lock = out / f".{settings.name}.lock"
    with exclusive_lock(lock, f"the model {out / settings.name}", remove=True):
        return _export(run, predictor, out, settings)


def _export(run: Path, predictor: ExportedRun, out: Path, settings: ExportSettings) -> ExportResult:
    version = _choose_version(out, settings)
    folder = out / settings.name / str(version)
    model, network = predictor.model, predictor.network

    def make_record(kind: str, weights: str = "none") -> dict:
        # int8 weights are another model than the one whose masks were measured
        unknown: dict = {"trust": {}} if weights == "int8" else {}
        return (
            run_properties(run, predictor)
            | unknown
            | {
                "fingerprint": f"{predictor.fingerprint}-{kind}-{weights}",
                "export": {
                    "format": export_record.FORMAT,
                    "kind": kind,
                    "name": settings.name,
                    "version": version,
                    "weights": weights,
                    "liverseg_tf": __version__,
                    "tensorflow": package_version("tensorflow"),
                    "warnings": list(predictor.warnings),
                },
            }
        )

    written: list[Path] = []
    with _telling_what_is_written(written):
        with as_write_errors(folder), replacing(folder, overwrite=False) as partial:
            record = make_record(export_record.SAVED_MODEL, settings.weights)
            _write_saved_model(partial, predictor, settings, record)
        written.append(folder)
        write_server_files(out, settings.name)
        for weight_type in settings.litert:
            tiles = None
            if weight_type == "int8":
                assert settings.calibration is not None, "checked by ExportSettings"
                tiles = calibration_tiles(settings.calibration, network)
            path = out / f"{settings.name}-{version}-{weight_type}.tflite"
            content = to_litert(model, tiles)
            record = make_record(export_record.LITERT, weight_type)
            _write_file(path, methodcaller("write_bytes", content), record)
            written.append(path)
        if settings.onnx:
            path = out / f"{settings.name}-{version}.onnx"
            _write_file(path, lambda p: write_onnx(model, p), make_record(export_record.ONNX))
            written.append(path)
        if settings.web:
            path = out / f"{settings.name}-{version}.html"
            with as_write_errors(path), replacing(path, overwrite=False) as partial:
                export_page(partial, predictor, settings.name, version)
            written.append(path)
    return ExportResult(folder, tuple(written[1:]), docker_command(out))


def _write_saved_model(
    folder: Path, predictor: ExportedRun, settings: ExportSettings, record: dict
) -> None:
    network = predictor.network
    thresholds = predictor.postprocessing.thresholds(network.regions)
    quantized = quantize_weights(predictor.model, settings.weights)
    signatures = build_signatures(network, quantized, json.dumps(record), thresholds)
    module = tf.Module()
    # traced here, because TensorFlow would trace other functions once more while it saves them
    functions = {
        signature.name: tf.function(
            signature.function, input_signature=signature.inputs, autograph=False
        ).get_concrete_function()
        for signature in signatures
    }
    for name, function in functions.items():
        setattr(module, name, function)
    used = (variable for function in functions.values() for variable in function.variables)
    module.saved_variables = list({id(variable): variable for variable in used}.values())
    tf.saved_model.save(module, str(folder), functions)
    extra = folder / "assets.extra"
    extra.mkdir()
    write_warmup(extra, settings.name, signatures, network)
    check_saved_model(folder)  # `liverseg predict` would refuse it, too
    export = record["export"] | {"min_server": find_oldest_server(folder)}
    _write_record(extra / "run.json", record | {"export": export}, folder)


def _choose_version(out: Path, settings: ExportSettings) -> int:
    """Return the number of a version that does not exist, by default the one after the latest."""
    pattern = rf"{re.escape(settings.name)}-([1-9][0-9]{{0,17}})(-\w+)?\.(tflite|onnx|html)"
    files = (re.fullmatch(pattern, path.name) for path in out.glob("*") if path.is_file())
    versions = {int(path.name) for path in export_record.list_versions(out / settings.name)}
    versions |= {int(match[1]) for match in files if match}
    if settings.version is None:
        return max(versions, default=0) + 1
    if settings.version in versions:
        raise SettingsError(
            f"Expected a new version of the model {out / settings.name}, but version "
            f"{settings.version} already exists. Choose another --version, or omit it for the next "
            "number."
        )
    return settings.version


@contextmanager
def _telling_what_is_written(written: list[Path]) -> Iterator[None]:
    """Add the files that are complete, and stay, to an error about the next one."""
    try:
        yield
    except LiverSegError as error:
        if not written:
            raise
        complete = ", ".join(map(str, written))
        raise type(error)(f"{error} Complete: {complete}.") from error


def _write_file(path: Path, write: Callable[[Path], object], record: dict) -> None:
    """Write a new file and its record; if one of them fails, neither is there."""
    with as_write_errors(path), replacing(path, overwrite=False) as partial:
        write(partial)
    try:
        _write_record(export_record.record_path(path), record, path)
    except LiverSegError:
        path.unlink()
        raise


def _write_record(path: Path, record: dict, model: Path) -> None:
    export = record["export"] | {"digest": export_record.compute_checksum(model)}
    write_json(path, record | {"export": export})
