"""The record of an exported model: a JSON file beside the model's file, or in its folder."""

import hashlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from liverseg_tf.ct.regular_file import regular_file_size
from liverseg_tf.errors import LiverSegError, SettingsError, reason_of
from liverseg_tf.model.postprocessing import PostProcessing
from liverseg_tf.model.run_entries import TrainingSettings
from liverseg_tf.model.spec import NetworkSpec
from liverseg_tf.model.training_range import TrainingRange
from liverseg_tf.model.trust_record import TrustRecord
from liverseg_tf.printable import printable
from liverseg_tf.records import read_record as read_json_record

FORMAT = 1
SAVED_MODEL, LITERT, ONNX = "saved_model", "litert", "onnx"
SUFFIXES = {".tflite": LITERT, ".onnx": ONNX}


@dataclass(frozen=True)
class ExportRecord:
    """The record of an exported model.

    It is stored in `assets.extra/run.json` of a SavedModel, or in a .json file beside a .tflite
    or .onnx file.

    Args:
        path: Path of the model's file, or of the version folder of a SavedModel.
        network: Input and output of the model.
        postprocessing: Steps that were chosen on the validation cases of the run.
        fingerprint: Identifier that changes whenever the model does.
        mirrored: Whether the model was trained on tiles mirrored left to right.
        warnings: What must be known before the model is used, one line each.
        trust: When not to trust its masks; empty if it was not measured.
        training_range: What its training cases were like; empty if that is not known.
    """

    path: Path
    network: NetworkSpec
    postprocessing: PostProcessing
    fingerprint: str
    mirrored: bool = False
    warnings: tuple[str, ...] = ()
    trust: TrustRecord = field(default_factory=TrustRecord)
    training_range: TrainingRange = field(default_factory=TrainingRange)

    @property
    def split(self) -> dict[str, list[str]]:
        """The split of the run, which an export does not contain: names may identify patients.

        Raises:
            SettingsError: Always.
        """
        raise SettingsError(
            f"Expected a run for its training, validation or test cases. Received {self.path}: an "
            "exported model does not know the split. Name the run, or the cases themselves."
        )

    @property
    def name(self) -> str:
        """Name of the model: of its file, or of the folder of its versions."""
        path = self.path.resolve()
        return path.parent.name if self.version else path.stem

    @property
    def version(self) -> str:
        """Number of the version folder of a SavedModel; otherwise an empty string."""
        path = self.path.resolve()
        return path.name if path.name.isdecimal() and path.is_dir() else ""

    def __repr__(self) -> str:
        return (
            f"ExportRecord({self.path}; regions: {', '.join(self.network.regions.names)}; "
            f"post-processing: {self.postprocessing}; mirrored: {'yes' if self.mirrored else 'no'})"
        )

    @classmethod
    def read(cls, path: Path) -> "ExportRecord":
        """Read the record of an exported model and compare the model's files with its checksum.

        Args:
            path: Path of a .tflite or .onnx file, of a version folder of a SavedModel, or of the
                folder of its versions, of which the latest is taken.

        Raises:
            LiverSegError: If there is no record, it has another format, or the model's files are
                not those that were exported.
        """
        path = latest_version(Path(path))
        record_file = record_path(path)
        if not record_file.is_file():
            raise LiverSegError(
                f"Expected {record_file}, which describes {path}, but there is no such file. "
                "Export the model again, or copy this file as well."
            )
        entries = read_json_record(record_file, _Entries)
        export, kind = entries.export, find_export_kind(path)
        if export.format != FORMAT or export.kind != kind:
            raise LiverSegError(
                f"Expected a {kind} export of format {FORMAT}. Received a {printable(export.kind)} "
                f"export of format {export.format} (file {record_file})."
            )
        with reading_record(record_file):
            record = cls(
                path,
                NetworkSpec.from_json(entries.network),
                PostProcessing.from_json(entries.postprocessing),
                entries.fingerprint,
                entries.settings.is_mirrored,
                tuple(map(printable, export.warnings)),
                TrustRecord.from_json(entries.trust),
                TrainingRange.from_json(entries.training_range),
            )
            record.postprocessing.check(record.network.regions)
            record.trust.check(record.network.regions)
            record.training_range.check(record.network.regions)
        if compute_checksum(path) != export.digest:
            raise LiverSegError(
                f"Expected {path} as it was exported, but it does not match the checksum in "
                f"{record_file.name}: files are truncated, modified or from another export."
            )
        return record


@dataclass(frozen=True)
class _Export:
    format: int
    kind: str
    digest: str
    warnings: list[str] = field(default_factory=list)


@dataclass(frozen=True)
class _Entries:
    """The JSON values of a record that prediction needs."""

    export: _Export
    network: dict[str, Any]
    fingerprint: str
    postprocessing: dict[str, Any] = field(default_factory=dict)
    settings: TrainingSettings = field(default_factory=TrainingSettings)
    trust: dict[str, Any] = field(default_factory=dict)
    training_range: dict[str, Any] = field(default_factory=dict)


@contextmanager
def reading_record(path: Path) -> Iterator[None]:
    """Add the path of a record to errors that arise while it is parsed.

    Raises:
        LiverSegError: If an entry is missing or has a wrong value.
    """
    try:
        yield
    except LiverSegError as error:
        raise type(error)(f"{error} (file {path})") from error


def find_export_kind(path: Path) -> str | None:
    """Return the kind of an exported model by its suffix or contents, or None for other paths."""
    path = Path(path)
    if path.suffix.lower() in SUFFIXES:
        return SUFFIXES[path.suffix.lower()]
    return SAVED_MODEL if (latest_version(path) / "saved_model.pb").is_file() else None


def latest_version(path: Path) -> Path:
    """Return the latest version in a folder of versions; any other path is returned unchanged."""
    if not path.is_dir() or (path / "saved_model.pb").is_file():
        return path
    return max(list_versions(path), key=lambda version: int(version.name), default=path)


def list_versions(folder: Path) -> list[Path]:
    """Return the version folders of a model. As for model servers, their names are numbers."""
    if not folder.is_dir():
        return []
    return [path for path in folder.iterdir() if path.name.isdecimal() and path.is_dir()]


def record_path(path: Path) -> Path:
    """Return the path of the record of an exported model."""
    if path.suffix.lower() in SUFFIXES:
        return path.with_suffix(".json")
    return path / "assets.extra" / "run.json"


def compute_checksum(path: Path) -> str:
    """Compute the checksum of a file, or of the graph and variables of a SavedModel.

    Returns:
        BLAKE2b hash, 32 hexadecimal digits.

    Raises:
        LiverSegError: If the files cannot be read.
    """
    files = [path]
    if path.is_dir():
        files = [path / "saved_model.pb", *sorted((path / "variables").glob("*"))]
    checksum = hashlib.blake2b(digest_size=16)
    try:
        for file in files:
            size = regular_file_size(file)
            if path.is_dir():
                checksum.update(f"{file.name} {size}\n".encode())
            with open(file, "rb") as content:
                checksum.update(
                    hashlib.file_digest(content, lambda: hashlib.blake2b(digest_size=16)).digest()
                )
    except OSError as error:
        raise LiverSegError(f"Cannot read {error.filename}: {reason_of(error)}.") from error
    return checksum.hexdigest()
