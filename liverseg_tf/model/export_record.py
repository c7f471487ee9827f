"""What an exported model says about itself: its record lies beside its file, or in its folder."""

import hashlib
from dataclasses import dataclass, field
from pathlib import Path

from liverseg_tf.atomic import read_json
from liverseg_tf.errors import LiverSegError
from liverseg_tf.model.postprocessing import PostProcessing
from liverseg_tf.model.spec import NetworkSpec

FORMAT = 1
SAVED_MODEL, LITERT, ONNX = "saved_model", "litert", "onnx"
SUFFIXES = {".tflite": LITERT, ".onnx": ONNX}


@dataclass(frozen=True)
class ExportRecord:
    """What `assets.extra/run.json` of a SavedModel, or the .json beside a file, says.

    Args:
        path: the SavedModel's folder of one version, or the file.
        network: what the model takes and gives.
        postprocessing: what was chosen on the run's validation cases.
        fingerprint: another text for another model.
        mirrored: whether the run has learnt from tiles mirrored left to right.
        split: empty: names of cases stay with the run.
    """

    path: Path
    network: NetworkSpec
    postprocessing: PostProcessing
    fingerprint: str
    mirrored: bool = False
    split: dict[str, list[str]] = field(
        default_factory=lambda: {"train": [], "val": [], "test": []}
    )

    @classmethod
    def read(cls, path: Path) -> "ExportRecord":
        """Read it, and check that the files are those that were exported.

        Args:
            path: a SavedModel's version, the folder of its versions (the highest is taken), a
                .tflite or a .onnx file.

        Raises:
            LiverSegError: when there is no record, it is of another format, or its files are
                truncated or others.
        """
        path = newest_version(Path(path))
        record = record_path(path)
        if not record.is_file():
            raise LiverSegError(
                f"Expected {record} to tell how to use {path} (liverseg export writes it). "
                "Received no such file."
            )
        value = read_json(record)
        try:
            export = value["export"]
            if export["format"] != FORMAT or export["kind"] != kind_of(path):
                raise LiverSegError(
                    f"Expected the record of a {kind_of(path)} of format {FORMAT} in {record}. "
                    f"Received {export['kind']} of format {export['format']!r}."
                )
            found = cls(
                path,
                NetworkSpec.from_json(value["network"]),
                PostProcessing.from_json(value.get("postprocessing", {})),
                str(value["fingerprint"]),
                bool(value.get("settings", {}).get("mirror", False)),
            )
            digest = export["digest"]
        except (KeyError, TypeError) as error:
            raise LiverSegError(f"Expected {error} in {record}. Received none.") from error
        found.postprocessing.check(found.network.regions)
        if digest_of(path) != digest:
            raise LiverSegError(
                f"Expected {path} as it was exported. Received other contents than {record.name} "
                "was written for: the files are truncated, changed or mixed up."
            )
        return found


def kind_of(path: Path) -> str | None:
    """Which kind of export a path is, by its name or contents; None where it is none."""
    path = Path(path)
    if path.suffix.lower() in SUFFIXES:
        return SUFFIXES[path.suffix.lower()]
    return SAVED_MODEL if (newest_version(path) / "saved_model.pb").is_file() else None


def newest_version(path: Path) -> Path:
    """Of a folder of versions, the highest; of anything else, itself."""
    if not path.is_dir() or (path / "saved_model.pb").is_file():
        return path
    return max(versions_in(path), key=lambda version: int(version.name), default=path)


def versions_in(folder: Path) -> list[Path]:
    """Folders that a model server takes for versions: their names are numbers."""
    if not folder.is_dir():
        return []
    return [path for path in folder.iterdir() if path.name.isdecimal() and path.is_dir()]


def record_path(path: Path) -> Path:
    """Where the record of an export lies."""
    if path.suffix.lower() in SUFFIXES:
        return path.with_suffix(".json")
    return path / "assets.extra" / "run.json"


def digest_of(path: Path) -> str:
    """Of a file, or of a SavedModel's graph and variables.

    Raises:
        LiverSegError: when they can't be read.
    """
    files = [path]
    if path.is_dir():
        files = [path / "saved_model.pb", *sorted((path / "variables").glob("*"))]
    digest = hashlib.blake2b(digest_size=16)
    try:
        for file in files:
            digest.update(f"{file.name} {file.stat().st_size}\n".encode() if path.is_dir() else b"")
            with open(file, "rb") as content:
                digest.update(
                    hashlib.file_digest(content, lambda: hashlib.blake2b(digest_size=16)).digest()
                )
    except OSError as error:
        raise LiverSegError(
            f"Expected a model at {error.filename}. Received: {error.strerror}."
        ) from error
    return digest.hexdigest()
