"""The tile store: a folder with the tiles of all cases, cut with one spec, and their split."""

import json
from dataclasses import dataclass, field, fields, replace
from pathlib import Path

from liverseg_tf.ct.regions import Regions
from liverseg_tf.dataset.dataset_part import DatasetPart
from liverseg_tf.dataset.split import SplitRule, split_for_fold
from liverseg_tf.errors import LiverSegError, SettingsError
from liverseg_tf.partials import remove_at_once
from liverseg_tf.records import convert_record
from liverseg_tf.tiles import hdf5, png
from liverseg_tf.tiles.case_patients import patients_of
from liverseg_tf.tiles.case_record import CUTTER_VERSION, record_checksum
from liverseg_tf.tiles.case_tiles import CaseTiles, checksum
from liverseg_tf.tiles.spec import TileSpec
from liverseg_tf.tiles.store_record import (
    STORE_FILE,
    check_case_name,
    read_store,
    write_store,
)

_FILE_FORMATS = {  # the module that reads a case, and the function that writes one
    "hdf5": (hdf5, hdf5.write_tiles),
    "hdf5-gzip": (hdf5, hdf5.write_compressed_tiles),
    "png": (png, png.write_tiles),
}


@dataclass(frozen=True)
class TileStore:
    """A tile store, with the contents of its `store.json`.

    Args:
        folder: Folder of the store.
        spec: Settings of the tiles of every case.
        storage: File format, one of `choices.STORAGES`.
        cases: Record of each complete case by name; see `CaseTiles`.
        split: Names of the cases in 'train', 'val' and 'test'.
        split_rule: Settings from which the split was made; see `SplitRule`.
        sides: Side of each patient, which it keeps when cases are added. Patients of whom no case
            is complete yet are included.
        regions: Regions as dataset.json names them, with which a run is trained unless it is given
            others; None for liver and tumour.

    Raises:
        SettingsError: If PNG cannot hold the number of windows.
    """

    folder: Path
    spec: TileSpec
    storage: str = "hdf5"
    cases: dict[str, dict] = field(default_factory=dict)
    split: dict[str, list[str]] = field(default_factory=dict)
    split_rule: dict | None = None
    sides: dict[str, str] = field(default_factory=dict)
    regions: Regions | None = None

    def __post_init__(self) -> None:
        if self.storage == "png" and self.spec.channels not in png.MODES:
            raise SettingsError(
                "Expected 1 or 3 windows for a PNG store. "
                f"Received {self.spec.channels}: use HDF5 instead."
            )

    def __repr__(self) -> str:
        counts = ", ".join(f"{len(names)} {side}" for side, names in self.split.items())
        return (
            f"TileStore(folder: {self.folder}; storage: {self.storage}; "
            f"cases: {len(self.cases)}; split: {counts or 'none'})"
        )

    @classmethod
    def open(cls, folder: Path) -> "TileStore":
        """Open the store in a folder.

        Raises:
            LiverSegError: If there is no store, it is damaged or has another format, or it contains
                no complete case.
        """
        folder = Path(folder)
        if not (folder / STORE_FILE).is_file():
            raise LiverSegError(
                f"Expected a tile store (with store.json) at {folder}. Received "
                f"{'a folder without one' if folder.is_dir() else 'no such folder'}."
            )
        store = cls(folder, **read_store(folder))
        if not store.cases:
            raise LiverSegError(f"Expected cases in the store {folder}. Received an empty store.")
        return store

    def create(self, overwrite: bool = False) -> "TileStore":
        """Create the store, or check that the existing one has the same settings.

        Args:
            overwrite: Delete the cases of an existing store with other settings.

        Raises:
            SettingsError: If a store with other settings exists and `overwrite` is False.
            LiverSegError: If the earlier tiles cannot be removed.
        """
        if not (self.folder / STORE_FILE).exists():
            self.save()
            return self
        existing = TileStore(self.folder, **read_store(self.folder))
        if (existing.spec, existing.storage) == (self.spec, self.storage):
            return self
        if overwrite:
            remove_at_once(self.folder / "cases")
            # patients keep their sides: a network may have learnt from them
            replace(self, sides=existing.sides, split_rule=existing.split_rule).save()
            return self
        settings, others = (
            store.spec.to_json() | {"storage": store.storage} for store in (self, existing)
        )
        key = next(key for key in settings if settings[key] != others[key])
        mine, theirs = (
            (store.spec.describe() | {"storage": store.storage})[key] for store in (self, existing)
        )
        raise SettingsError(
            f"Expected a store with {key} {mine} at {self.folder}. Received one with {theirs}: "
            "choose another folder, or replace its tiles with --overwrite."
        )

    @property
    def checksums(self) -> dict[str, str]:
        """Checksum of the tiles, and of what their mask labels, by case name."""
        return {name: record_checksum(case) for name, case in self.cases.items()}

    def check_unchanged(self, before: dict[str, str]) -> None:
        """Check that the store contains the same tiles as at an earlier time.

        Args:
            before: `checksums` at that time.

        Raises:
            LiverSegError: If a case is missing or differs; it names the first one.
        """
        now = self.checksums
        for name, earlier in before.items():
            if now.get(name) != earlier:
                what = "other tiles of" if name in now else "no"
                raise LiverSegError(
                    f"Expected the store {self.folder} to be unchanged since the run began. "
                    f"Received {what} case {name}."
                )

    def check_spec(self, expected: TileSpec) -> None:
        """Check that the tiles of the store were made with a specification.

        Args:
            expected: Specification of the tiles that a network takes.

        Raises:
            LiverSegError: If the specification differs; it names the settings that differ.
        """
        if self.spec == expected:
            return
        settings, stored = expected.describe(), self.spec.describe()
        differences = [
            f"{name} {stored[name]} instead of {setting}"
            for name, setting in settings.items()
            if stored[name] != setting
        ]
        raise LiverSegError(
            f"Expected a store of the network's tiles at {self.folder}. "
            f"Received tiles with {', '.join(differences)}."
        )

    def in_fold(self, fold: str) -> "TileStore":
        """Return the same store with the split of one cross-validation fold.

        Args:
            fold: Fold K of N, as 'K/N'.

        Raises:
            SettingsError: If there is no such fold; see `split_for_fold`.
        """
        part = DatasetPart.parse(fold)
        rule = convert_record(self.split_rule or {}, SplitRule, f"the store {self.folder}")
        split = split_for_fold(self.split, rule, part.index, part.count, patients_of(self.cases))
        return replace(self, split=split)

    def save(self) -> None:
        """Write `store.json` atomically."""
        write_store(self.folder, {one.name: getattr(self, one.name) for one in fields(self)[1:]})

    def path(self, name: str) -> Path:
        """Path of the file or folder of a case; an error if the name leads to another folder."""
        check_case_name(name, self.folder)
        folder = self.folder / "cases"
        if folder.is_symlink():
            raise LiverSegError(f"Expected a folder at {folder}. Received a link: replace it.")
        return folder / (name + _FILE_FORMATS[self.storage][0].SUFFIX)

    def write(self, name: str, tiles: CaseTiles) -> None:
        """Write a case atomically."""
        _FILE_FORMATS[self.storage][1](self.path(name), tiles)

    def read(self, name: str, compare: bool = True) -> CaseTiles:
        """Read the tiles of a case and compare them with their checksum.

        HDF5 tiles are mapped into memory, and PNG tiles are decoded when a slice is indexed.

        Args:
            name: Name of the case.
            compare: Whether to compare the tiles: about a second for each uncompressed GB.

        Raises:
            LiverSegError: If the case is missing or damaged, or its tiles are not those that
                `store.json` lists or were cut with other settings.
        """
        tiles = _FILE_FORMATS[self.storage][0].read_tiles(self.path(name))
        self._check_settings(name, tiles.record)
        listed = json.loads(json.dumps(self.cases.get(name, tiles.record)))  # tuples become lists
        wrong = "a record that differs from that in store.json" if listed != tiles.record else None
        if compare and checksum(tiles.image, tiles.mask) != tiles.record["checksum"]:
            wrong = "tiles with another checksum"
        if wrong is not None:
            raise LiverSegError(
                f"Expected the tiles of case {name} as `liverseg preprocess` cut them, in "
                f"{self.path(name)}. Received {wrong}: the store is damaged, so preprocess the "
                "data set again."
            )
        return tiles

    def read_record(self, name: str) -> dict:
        """Read the record of a case, and check that its tiles are there, without comparing them.

        Raises:
            LiverSegError: If the case is missing or incomplete, or was cut with other settings.
        """
        record = _FILE_FORMATS[self.storage][0].read_record(self.path(name))
        self._check_settings(name, record)
        return record

    def _check_settings(self, name: str, record: dict) -> None:
        spec, cutter = TileSpec.from_json(record["spec"]), record["cutter"]
        if spec != self.spec:
            raise LiverSegError(
                f"Expected tiles of {self.spec} for case {name} in {self.folder}. Received tiles "
                f"of {spec}: preprocess the data set again."
            )
        if cutter != CUTTER_VERSION:
            raise LiverSegError(
                f"Expected tiles of version {CUTTER_VERSION} for case {name} in {self.folder}. "
                f"Received version {cutter}: preprocess the data set again."
            )
