"""`run.json`: settings and properties of a trained run. Only this module reads and writes it."""

import hashlib
import json
import platform
from collections.abc import Iterable
from dataclasses import asdict, dataclass, field
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from liverseg_tf.atomic import write_json
from liverseg_tf.errors import LiverSegError, reason_of
from liverseg_tf.model.custom_code import CodeOrigin
from liverseg_tf.model.export_record import ExportRecord, find_export_kind, reading_record
from liverseg_tf.model.postprocessing import PostProcessing
from liverseg_tf.model.run_entries import RunEntries
from liverseg_tf.model.spec import NetworkSpec
from liverseg_tf.model.training_range import TrainingRange
from liverseg_tf.model.trust_record import TrustRecord
from liverseg_tf.printable import printable
from liverseg_tf.records import convert_record
from liverseg_tf.records import read_record as read_json_record

RUN_FILE = "run.json"
MODEL_FILE = "model.keras"
FORMAT = 1
PACKAGES = ("liverseg_tf", "tensorflow", "keras", "jax", "torch", "numpy")


@dataclass(frozen=True)
class RunRecord:
    """The part of `run.json` that prediction and export need.

    Args:
        network: Input and output of the model.
        split: Names of the cases on each side of the split: train, val and test.
        postprocessing: Steps that were chosen on the validation cases.
        mirrored: Whether the model was trained on tiles mirrored left to right.
        precision: Precision of the training: one of `choices.PRECISIONS`.
        finished: Whether the run has finished. The model of another run is the best so far, and
            no post-processing has been chosen for it.
        checksum: Checksum of the model of a finished run; None if an earlier version trained it.
        custom: Where the parts of the training come from that the caller handed over.
        trust: When not to trust its masks; empty until it is measured.
        training_range: What its training cases were like; empty if an earlier version trained it.
    """

    network: NetworkSpec
    split: dict[str, list[str]]
    postprocessing: PostProcessing = PostProcessing()
    mirrored: bool = False
    precision: str = "float32"
    finished: bool = False
    checksum: str | None = None
    custom: dict[str, CodeOrigin] = field(default_factory=dict)
    trust: TrustRecord = field(default_factory=TrustRecord)
    training_range: TrainingRange = field(default_factory=TrainingRange)

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
        value = read_json_record(path, dict[str, Any])
        if value.get("format") != FORMAT:
            raise LiverSegError(
                f"Expected a run of format {FORMAT} at {folder}. "
                f"Received format {value.get('format')}."
            )
        entries = convert_record(value, RunEntries, str(path))
        with reading_record(path):
            record = cls(
                NetworkSpec.from_json(entries.network),
                asdict(entries.store.split),
                PostProcessing.from_json(entries.postprocessing),
                entries.settings.is_mirrored,
                entries.hardware.precision,
                entries.result is not None,
                None if entries.result is None else entries.result.checksum,
                entries.custom,
                TrustRecord.from_json(entries.trust),
                TrainingRange.from_json(entries.training_range),
            )
            record.postprocessing.check(record.network.regions)
            record.trust.check(record.network.regions)
            record.training_range.check(record.network.regions)
        return record

    def warnings(self, folder: Path) -> tuple[str, ...]:
        """Return what must be known before this run is used, one line each.

        Args:
            folder: Folder of the run.
        """
        if self.finished:
            return ()
        finish = "Repeat its train command to finish it."
        if self.custom:
            codes = ", ".join(f"{printable(name)} {code}" for name, code in self.custom.items())
            finish = f"Only Python can finish it, with its author's own code: {codes}."
        return (
            f"The run {folder} has not finished: its model is the best so far, and thresholds and "
            f"post-processing have not been chosen. {finish}",
        )

    def check_model(self, folder: Path) -> str:
        """Check that the model of the run is the one that the record describes.

        Args:
            folder: Folder of the run.

        Returns:
            The checksum of the model.

        Raises:
            LiverSegError: If it is another model, or there is none.
        """
        checksum = compute_model_checksum(folder)
        if self.checksum not in (None, checksum):
            raise LiverSegError(
                f"The model {Path(folder) / MODEL_FILE} is not the one whose training {RUN_FILE} "
                "describes: one of them was replaced or damaged. Copy both from the same run."
            )
        return checksum

    def check_finished(self, folder: Path) -> None:
        """Check that the run has finished.

        Args:
            folder: Folder of the run.

        Raises:
            LiverSegError: If the run was interrupted.
        """
        if not self.finished:
            raise LiverSegError(
                f"Expected a finished run at {folder}. Received a run that was interrupted: repeat "
                "its train command to finish it, or accept it with --unfinished."
            )


def compute_model_checksum(folder: Path) -> str:
    """Compute the checksum of a run's model: BLAKE2b, 32 hexadecimal digits.

    Raises:
        LiverSegError: If there is no model, or it cannot be read.
    """
    path = Path(folder) / MODEL_FILE
    try:
        with open(path, "rb") as file:
            return hashlib.file_digest(file, lambda: hashlib.blake2b(digest_size=16)).hexdigest()
    except OSError as error:
        reason = "no such file" if isinstance(error, FileNotFoundError) else reason_of(error)
        raise LiverSegError(f"Expected a Keras model at {path}. Received: {reason}.") from error


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
            `postprocessing` and `result` once the run has finished.

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
    return read_json_record(Path(folder) / RUN_FILE, dict[str, Any])


def read_finished_run(folder: Path) -> dict | None:
    """Return the contents of `run.json` of a finished run, or None for any other folder.

    Raises:
        LiverSegError: If there is a `run.json` that cannot be read.
    """
    path = Path(folder) / RUN_FILE
    if not path.exists():
        return None
    record = read_run(folder)
    return record if record.get("result") is not None else None


def write_postprocessing(folder: Path, postprocessing: PostProcessing) -> None:
    """Replace the post-processing in the `run.json` of a run.

    What was measured about the masks of another post-processing is removed.

    Raises:
        LiverSegError: If the file cannot be read or written.
    """
    record, steps = read_run(folder), postprocessing.to_json()
    if json.loads(json.dumps(steps)) != record.get("postprocessing", {}):
        record.pop("trust", None)
    write_json(Path(folder) / RUN_FILE, record | {"postprocessing": steps})


def _installed_versions(packages: Iterable[str]) -> Iterable[tuple[str, str]]:
    for name in packages:
        try:
            yield name, version(name)
        except PackageNotFoundError:
            continue
