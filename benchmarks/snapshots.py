"""Contents of an output folder in a form in which two runs of one command can be compared.

What differs between two unbroken runs of the same command (times, dates, random identifiers) is
left out: entries of JSON files, columns of tables, and, as a last resort, the contents of a file.
"""

import csv
import hashlib
import io
import json
import re
import zipfile
from pathlib import Path

LEFTOVERS = (".partial-",)
_LOCK = re.compile(r"\.[^/]*lock[^/]*")
_VERSION = re.compile(r"(?<=liver[/-])\d+(?=[-./]|$)")
_ANY = "differs between unbroken runs"

Snapshot = dict[str, object]


def take_snapshot(folder: Path) -> Snapshot:
    """Read all files of a folder; lock files are left out, and versions of a model are equal."""
    snapshot: Snapshot = {}
    for path in sorted(folder.rglob("*")):
        name = path.relative_to(folder).as_posix()
        if path.is_file() and not _LOCK.fullmatch(path.name):
            snapshot[_VERSION.sub("N", name)] = _content(path)
    return snapshot


def find_leftovers(folder: Path) -> list[str]:
    """Names of the temporary files that were not removed."""
    return [
        path.relative_to(folder).as_posix()
        for path in sorted(folder.rglob("*"))
        if path.name.startswith(LEFTOVERS)
    ]


def volatile_parts(first: Snapshot, second: Snapshot) -> Snapshot:
    """The parts in which two unbroken runs differ, to be left out of comparisons."""
    assert first.keys() == second.keys(), first.keys() ^ second.keys()
    return {
        name: _volatile(first[name], second[name]) for name in first if first[name] != second[name]
    }


def differences(expected: Snapshot, found: Snapshot, volatile: Snapshot) -> list[str]:
    """One line for each file that is missing, unexpected or different."""
    lines = [f"missing: {name}" for name in expected.keys() - found.keys()]
    lines += [f"unexpected: {name}" for name in found.keys() - expected.keys()]
    for name in expected.keys() & found.keys():
        parts = volatile.get(name)
        if parts != _ANY and _without(expected[name], parts) != _without(found[name], parts):
            lines.append(f"different: {name}")
    return sorted(lines)


def _content(path: Path) -> object:
    content = path.read_bytes()
    if path.suffix == ".json":
        return _flat(json.loads(content))
    if path.suffix == ".csv":
        rows = list(csv.DictReader(io.StringIO(content.decode())))
        return _flat(rows)
    if path.suffix in (".keras", ".npz"):
        with zipfile.ZipFile(io.BytesIO(content)) as archive:
            return {info.filename: info.CRC for info in archive.infolist()}
    return hashlib.blake2b(content).hexdigest()


def _flat(value: object, key: str = "") -> dict[str, object]:
    """Nested values by their path, such as {'a.0.b': 1}."""
    if isinstance(value, dict | list) and value:
        items = value.items() if isinstance(value, dict) else enumerate(value)
        return {
            path: leaf
            for name, item in items
            for path, leaf in _flat(item, f"{key}.{name}").items()
        }
    return {key: value}


def _volatile(first: object, second: object) -> object:
    if isinstance(first, dict) and isinstance(second, dict) and first.keys() == second.keys():
        return {_column(key) for key in first if first[key] != second[key]}
    return _ANY


def _without(value: object, parts: object) -> object:
    if not isinstance(value, dict) or not isinstance(parts, set):
        return value
    return {key: item for key, item in value.items() if _column(key) not in parts}


def _column(key: str) -> str:
    """The same entry of all rows of a table or a list has one name."""
    return re.sub(r"\.\d+(?=\.|$)", ".*", key)
