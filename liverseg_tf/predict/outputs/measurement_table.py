"""The measurements of all cases of a folder: a table, and one line per case."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from liverseg_tf.atomic import write_csv
from liverseg_tf.dataset.provenance import FOLDER, MaskRecords
from liverseg_tf.errors import LiverSegError
from liverseg_tf.locks import lock_if_supported
from liverseg_tf.predict.outputs.measurements import format_ml
from liverseg_tf.printable import printable, spreadsheet_text
from liverseg_tf.records import read_record

TABLE = "measurements.csv"
_COLUMNS = (
    *("case", "region", "volume_ml", "voxels", "intensity_mean", "intensity_sd", "components"),
    *("largest_component_ml", "cut_by", "agreement", "confidence", "check", "score", "threshold"),
    *("model", "version", "fingerprint", "software"),
)


@dataclass(frozen=True)
class _Region:
    voxels: int
    volume_ml: float
    intensity_mean: float | None
    intensity_sd: float | None
    components: int
    largest_components_ml: list[float]
    cut_by: list[str]
    agreement: float | None = None
    confidence: float | None = None
    check: bool | None = None
    score: Literal["", "confidence", "agreement"] = ""
    threshold: float | None = None


@dataclass(frozen=True)
class _Measurements:
    """The JSON values of a case that the table contains."""

    regions: dict[str, _Region]
    model: dict[str, str] = field(default_factory=dict)
    software: str = ""


def write_measurement_table(folder: Path) -> Path:
    """Write the measurements of every case of a folder to `measurements.csv`, atomically.

    There is one row for each case and region. Several processes may do so at the same time, as in
    array jobs: the last one writes all cases.

    Args:
        folder: Folder of the masks, with `NAME.json` for each case.

    Returns:
        Path of the table.

    Raises:
        LiverSegError: If the table cannot be written.
    """
    folder = Path(folder)
    lock = folder / FOLDER / ".table.lock"
    with lock_if_supported(lock, f"the table of {folder}", wait=True):
        write_csv(folder / TABLE, _COLUMNS, _rows(folder))
    return folder / TABLE


def describe_volumes(folder: Path, name: str) -> str | None:
    """Return the volumes of a case in one line, such as "liver 1276 ml, tumour 6.4 ml".

    A region that the field of view cuts is marked, and so is a mask that must be checked.

    Args:
        folder: Folder of the masks.
        name: Name of the case.

    Returns:
        None if the case was not measured.
    """
    measured = _read(Path(folder), name)
    if measured is None:
        return None
    words = []
    for region, values in measured.regions.items():
        cut = f" (cut: {', '.join(values.cut_by)})" if values.cut_by else ""
        check = " (check this mask)" if values.check else ""
        words.append(f"{region} {format_ml(values.volume_ml)} ml{cut}{check}")
    return printable(", ".join(words))


def _read(folder: Path, name: str) -> _Measurements | None:
    try:
        return read_record(folder / f"{name}.json", _Measurements)
    except LiverSegError:
        return None


def _rows(folder: Path) -> Iterator[dict[str, object]]:
    records = MaskRecords(folder)
    for path in sorted((folder / FOLDER).glob("*.json")):
        name = path.stem
        record = records.read(name)
        if record is None or f"{printable(name)}.json" not in record.files:
            continue  # it was not measured, or its outputs are being written
        measured = _read(folder, name)
        if measured is None:
            continue
        for region, values in measured.regions.items():
            yield {
                "case": spreadsheet_text(name),
                "region": spreadsheet_text(region),
                "volume_ml": values.volume_ml,
                "voxels": values.voxels,
                "intensity_mean": values.intensity_mean,
                "intensity_sd": values.intensity_sd,
                "components": values.components,
                "largest_component_ml": next(iter(values.largest_components_ml), None),
                "cut_by": " ".join(values.cut_by),
                "agreement": values.agreement,
                "confidence": values.confidence,
                "check": None if values.check is None else "yes" if values.check else "no",
                "score": values.score,
                "threshold": values.threshold,
                "model": spreadsheet_text(measured.model.get("name", "")),
                "version": spreadsheet_text(measured.model.get("version", "")),
                "fingerprint": spreadsheet_text(measured.model.get("fingerprint", "")),
                "software": spreadsheet_text(measured.software),
            }
