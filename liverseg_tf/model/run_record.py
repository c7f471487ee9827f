"""`run.json`: what a trained run is and how it was made. No other module reads or writes it."""

import platform
from collections.abc import Iterable
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from liverseg_tf.atomic import read_json, write_json
from liverseg_tf.errors import LiverSegError
from liverseg_tf.model.export_record import ExportRecord, kind_of
from liverseg_tf.model.postprocessing import PostProcessing
from liverseg_tf.model.spec import NetworkSpec

RUN_FILE = "run.json"
MODEL_FILE = "model.keras"
FORMAT = 1
PACKAGES = ("liverseg_tf", "tensorflow", "keras", "jax", "numpy")


@dataclass(frozen=True)
class RunRecord:
    """What `run.json` says about a run.

    Args:
        network: what the model takes and gives.
        split: names of the cases it was trained, validated and not seen on.
        postprocessing: what was chosen on the validation cases; nothing where nothing was.
        mirrored: whether it has learnt from tiles mirrored left to right.
    """

    network: NetworkSpec
    split: dict[str, list[str]]
    postprocessing: PostProcessing = PostProcessing()  # noqa: RUF009 (frozen)
    mirrored: bool = False

    @classmethod
    def read(cls, folder: Path) -> "RunRecord":
        """Read it.

        Raises:
            LiverSegError: when the folder holds no run, or one of another format.
        """
        path = Path(folder) / RUN_FILE
        if not path.is_file():
            raise LiverSegError(
                f"Expected a run (with run.json and model.keras) at {folder}. Received "
                f"{'a folder without one' if Path(folder).is_dir() else 'no such folder'}."
            )
        value = read_json(path)
        if value.get("format") != FORMAT:
            raise LiverSegError(
                f"Expected a run of format {FORMAT} at {folder}. "
                f"Received format {value.get('format')!r}."
            )
        try:
            record = cls(
                NetworkSpec.from_json(value["network"]),
                value["store"]["split"],
                PostProcessing.from_json(value.get("postprocessing", {})),
                bool(value.get("settings", {}).get("mirror", False)),
            )
            record.postprocessing.check(record.network.regions)
            return record
        except (KeyError, TypeError, AttributeError) as error:
            raise LiverSegError(f"Expected {error} in {path}. Received none.") from error


def read_record(path: Path) -> RunRecord | ExportRecord:
    """What a run or an export says about itself; no model is loaded.

    Raises:
        LiverSegError: when it is neither, or of another format.
    """
    return RunRecord.read(path) if kind_of(path) is None else ExportRecord.read(path)


def write_run_record(folder: Path, network: NetworkSpec, backend: str, **sections: object) -> None:
    """Write `run.json`, complete or not at all.

    Args:
        folder: of the run.
        network: input and output of the model.
        backend: Keras backend that trained it.
        sections: further JSON values by name: `settings`, `store`, `hardware`, `parameters`, and
            `result` once the run has finished.

    Raises:
        LiverSegError: when the file can't be written.
    """
    versions = {**dict(_installed(PACKAGES)), "python": platform.python_version()}
    record = {
        "format": FORMAT,
        "network": network.to_json(),
        **sections,
        "versions": versions | {"backend": backend},
    }
    write_json(Path(folder) / RUN_FILE, record)


def read_finished_run(folder: Path) -> dict | None:
    """The contents of `run.json` of a run that has finished; None for every other folder.

    Raises:
        LiverSegError: when there is a `run.json` that can't be read.
    """
    path = Path(folder) / RUN_FILE
    if not path.exists():
        return None
    record = read_json(path)
    return record if "result" in record else None


def write_postprocessing(folder: Path, postprocessing: PostProcessing) -> None:
    """Replace the post-processing in a run's `run.json`.

    Raises:
        LiverSegError: when the file can't be read or written.
    """
    path = Path(folder) / RUN_FILE
    write_json(path, read_json(path) | {"postprocessing": postprocessing.to_json()})


def _installed(packages: Iterable[str]) -> Iterable[tuple[str, str]]:
    for name in packages:
        try:
            yield name, version(name)
        except PackageNotFoundError:
            continue
