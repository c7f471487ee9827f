"""`store.json`, the list of what a tile store contains; it may be damaged or untrusted."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from liverseg_tf import __version__
from liverseg_tf.atomic import write_json
from liverseg_tf.choices import STORAGES
from liverseg_tf.ct.regions import Regions
from liverseg_tf.dataset.split import SplitRule
from liverseg_tf.errors import LiverSegError
from liverseg_tf.partials import PARTIAL
from liverseg_tf.printable import printable
from liverseg_tf.records import convert_record, read_record
from liverseg_tf.tiles.case_record import CaseRecord
from liverseg_tf.tiles.spec import TileSpec

STORE_FILE = "store.json"
FORMAT = 3  # 3: the record of a case has `spec` and `cutter`
_SIDES = ("train", "val", "test")


@dataclass(frozen=True)
class _Version:
    format: Any = None
    storage: Any = None


@dataclass(frozen=True)
class _Entries:
    spec: dict[str, Any]
    cases: dict[str, CaseRecord]
    split: dict[str, list[str]]
    split_rule: SplitRule | None
    sides: dict[str, Literal["train", "val", "test"]] = field(default_factory=dict)
    regions: dict[str, list[int]] | None = None


def read_store(folder: Path) -> dict[str, Any]:
    """Read and check `store.json`.

    Returns:
        The fields of a `TileStore`, without its folder.

    Raises:
        LiverSegError: If it is missing or damaged, has another format, or contradicts itself.
    """
    path = folder / STORE_FILE
    value = read_record(path, dict[str, Any])
    version = convert_record(value, _Version, str(path))
    if version.format != FORMAT or version.storage not in STORAGES:
        raise LiverSegError(
            f"Expected a store of format {FORMAT} at {folder}. Received format "
            f"{printable(version.format)[:40]}, storage {printable(version.storage)[:40]}: "
            "preprocess the data set into another folder."
        )
    try:
        entries = convert_record(value, _Entries, str(path))
        spec = TileSpec.from_json(entries.spec)
        regions = None if entries.regions is None else Regions.from_json(entries.regions)
    except LiverSegError as error:  # also a `SettingsError`: no option of the user is wrong
        text = str(error)
        raise LiverSegError(text if str(path) in text else f"{text} (in {path})") from error
    for name, case in entries.cases.items():
        check_case_name(name, folder)
        case.check(path)
    _check_split(entries, path)
    keys = ("storage", "cases", "split", "split_rule")
    checked = {"spec": spec, "sides": entries.sides, "regions": regions}
    return checked | {key: value[key] for key in keys}


def write_store(folder: Path, fields: dict[str, Any]) -> None:
    """Write `store.json` atomically.

    Args:
        folder: Folder of the store.
        fields: The fields of a `TileStore`, without its folder.
    """
    header = {"format": FORMAT, "liverseg_tf": __version__, "spec": fields["spec"].to_json()}
    split = fields["split"] or {side: [] for side in _SIDES}
    named = fields.get("regions")
    regions = {} if named is None else {"regions": named.to_json()}
    others = {key: value for key, value in fields.items() if key != "regions"}
    write_json(folder / STORE_FILE, others | header | {"split": split} | regions)


def check_case_name(name: str, folder: Path) -> None:
    """Check that the files of a case lie in its store: a record may contain any name.

    Args:
        name: Name of the case.
        folder: Folder of the store, for the message.

    Raises:
        LiverSegError: If the name is no plain name of a file.
    """
    plain = name not in ("", ".", "..") and not any(char in name for char in "/\\\0")
    if not plain or Path(name).name != name or name.startswith(PARTIAL):
        raise LiverSegError(
            f"Expected plain names of cases in the store {folder}. Received '{printable(name)}', "
            "which could lead to another folder."
        )


def _check_split(entries: _Entries, path: Path) -> None:
    names = [name for side in entries.split.values() for name in side]
    wrong = None
    if set(entries.split) != set(_SIDES):
        wrong = "other sides than train, val and test"
    elif len(names) > len(set(names)):
        wrong = "a case twice"
    elif not entries.cases.keys() >= set(names):
        wrong = "a case that the store does not list"
    if wrong is not None:
        raise LiverSegError(
            f"Expected a split of the store's cases in {path}. Received {wrong}: preprocess the "
            "data set again."
        )
