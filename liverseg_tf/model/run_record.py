"""`run.json`: settings and properties of a trained run. Only this module reads and writes it."""

import platform
from collections.abc import Iterable
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from liverseg_tf.atomic import read_json, write_json
from liverseg_tf.errors import LiverSegError
from liverseg_tf.model.export_record import ExportRecord, find_export_kind, reading_record
from liverseg_tf.model.postprocessing import PostProcessing
from liverseg_tf.model.spec import NetworkSpec

RUN_FILE = "run.json"
MODEL_FILE = "model.keras"
FORMAT = 1
PACKAGES = ("liverseg_tf", "tensorflow", "keras", "jax", "numpy")


@dataclass(frozen=True)
class RunRecord:
    """The part of `run.json` that prediction and export need.

    Args:
        network: Input and output of the model.
        split: Names of the cases on each side of the split: train, val and test.
        postprocessing: Steps that were chosen on the validation cases.
        mirrored: Whether the model was trained on tiles mirrored left to right.
    """

    network: NetworkSpec
    split: dict[str, list[str]]
    postprocessing: PostProcessing = PostProcessing()
    mirrored: bool = False

    def __repr__(self) -> str:
        cases = ", ".join(f"{len(names)} {side}" for side, names in self.split.items())
        return (
            f"RunRecord(regions: {', '.join(self.network.regions.names)}; cases: {cases}; "
            f"post-processing: {self.postprocessing}; mirrored: {'yes' if self.mirrored else 'no'})"
        )

    @classmethod
    def read(cls, folder: Path) -> "RunRecord":
        """Read the record of a run.

        Raises:
            LiverSegError: If the folder holds no run, or one of another format.
        """
        path = Path(folder) / RUN_FILE
        if not path.is_file():
            reason = "has no run.json" if Path(folder).is_dir() else "does not exist"
            raise LiverSegError(
                f"Expected a run (a folder with run.json and model.keras) at {folder}, "
                f"but this folder {reason}."
            )
        value = read_json(path)
        if value.get("format") != FORMAT:
            raise LiverSegError(
                f"Expected a run of format {FORMAT} at {folder}. "
                f"Received format {value.get('format')}."
            )
        with reading_record(path):
            record = cls(
                NetworkSpec.from_json(value["network"]),
                value["store"]["split"],
                PostProcessing.from_json(value.get("postprocessing", {})),
                bool(value.get("settings", {}).get("mirror", False)),
            )
            record.postprocessing.check(record.network.regions)
        return record


def read_record(path: Path) -> RunRecord | ExportRecord:
    """Read the record of a run or of an exported model, without loading the model.

    Raises:
        LiverSegError: If the path is neither, or its record has another format.
    """
    return RunRecord.read(path) if find_export_kind(path) is None else ExportRecord.read(path)


def write_run_record(folder: Path, network: NetworkSpec, backend: str, **sections: object) -> None:
    """Write `run.json` atomically.

    Args:
        folder: Folder of the run.
        network: Input and output of the model.
        backend: Keras backend that trained the model.
        sections: Further JSON values by name: `settings`, `store`, `hardware`, `parameters`, and
            `result` once the run has finished.

    Raises:
        LiverSegError: If the file cannot be written.
    """
    versions = {**dict(_installed_versions(PACKAGES)), "python": platform.python_version()}
    record = {
        "format": FORMAT,
        "network": network.to_json(),
        **sections,
        "versions": versions | {"backend": backend},
    }
    write_json(Path(folder) / RUN_FILE, record)


def read_run(folder: Path) -> dict:
    """Read the contents of a run's `run.json`.

    Raises:
        LiverSegError: If the file is missing or cannot be read.
    """
    return read_json(Path(folder) / RUN_FILE)


def read_finished_run(folder: Path) -> dict | None:
    """Return the contents of `run.json` of a finished run, or None for any other folder.

    Raises:
        LiverSegError: If there is a `run.json` that cannot be read.
    """
    path = Path(folder) / RUN_FILE
    if not path.exists():
        return None
    record = read_json(path)
    return record if "result" in record else None


def write_postprocessing(folder: Path, postprocessing: PostProcessing) -> None:
    """Replace the post-processing in the `run.json` of a run.

    Raises:
        LiverSegError: If the file cannot be read or written.
    """
    path = Path(folder) / RUN_FILE
    write_json(path, read_json(path) | {"postprocessing": postprocessing.to_json()})


def _installed_versions(packages: Iterable[str]) -> Iterable[tuple[str, str]]:
    for name in packages:
        try:
            yield name, version(name)
        except PackageNotFoundError:
            continue
