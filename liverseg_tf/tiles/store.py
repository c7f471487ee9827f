"""The tile store: a folder with the tiles of all cases, cut with one spec, and their split."""

import shutil
from dataclasses import dataclass, field, replace
from pathlib import Path

from liverseg_tf import __version__
from liverseg_tf.atomic import read_json, write_json
from liverseg_tf.choices import STORAGES
from liverseg_tf.dataset.dataset_part import DatasetPart
from liverseg_tf.dataset.split import SplitRule, split_for_fold
from liverseg_tf.errors import LiverSegError, SettingsError
from liverseg_tf.tiles import hdf5, png
from liverseg_tf.tiles.case_tiles import CaseTiles
from liverseg_tf.tiles.spec import TileSpec

FORMAT = 2  # 2: the record of a case has `transform` instead of `grid`
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

    Raises:
        SettingsError: If PNG cannot hold the number of windows.
    """

    folder: Path
    spec: TileSpec
    storage: str = "hdf5"
    cases: dict[str, dict] = field(default_factory=dict)
    split: dict[str, list[str]] = field(default_factory=dict)
    split_rule: dict | None = None

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
            LiverSegError: If there is no store, it has another format, or it contains no complete
                case.
        """
        folder = Path(folder)
        if not (folder / "store.json").is_file():
            raise LiverSegError(
                f"Expected a tile store (with store.json) at {folder}. Received "
                f"{'a folder without one' if folder.is_dir() else 'no such folder'}."
            )
        store = cls._from_json(folder, read_json(folder / "store.json"))
        if not store.cases:
            raise LiverSegError(f"Expected cases in the store {folder}. Received an empty store.")
        return store

    def create(self, overwrite: bool = False) -> "TileStore":
        """Create the store, or check that the existing one has the same settings.

        Args:
            overwrite: Delete the cases of an existing store with other settings.

        Raises:
            SettingsError: If a store with other settings exists and `overwrite` is False.
        """
        path = self.folder / "store.json"
        if not path.exists():
            self.save()
            return self
        existing = self._from_json(self.folder, read_json(path))
        if (existing.spec, existing.storage) == (self.spec, self.storage):
            return self
        if overwrite:
            shutil.rmtree(self.folder / "cases", ignore_errors=True)
            self.save()
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
        """Checksum of the tiles by case name."""
        return {name: case["checksum"] for name, case in self.cases.items()}

    def check_unchanged(self, before: dict[str, str]) -> None:
        """Check that the store contains the same tiles as at an earlier time.

        Args:
            before: `checksums` at that time.

        Raises:
            LiverSegError: If a case is missing or differs; it names the first one.
        """
        now = self.checksums
        for name, checksum in before.items():
            if now.get(name) != checksum:
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
        part, rule = DatasetPart.parse(fold), SplitRule(**self.split_rule or {})
        return replace(self, split=split_for_fold(self.split, rule, part.index, part.count))

    def save(self) -> None:
        """Write `store.json` atomically."""
        write_json(
            self.folder / "store.json",
            {
                "format": FORMAT,
                "liverseg_tf": __version__,
                "spec": self.spec.to_json(),
                "storage": self.storage,
                "split": self.split or {"train": [], "val": [], "test": []},
                "split_rule": self.split_rule,
                "cases": self.cases,
            },
        )

    def path(self, name: str) -> Path:
        """Path of the file or folder of a case."""
        return self.folder / "cases" / (name + _FILE_FORMATS[self.storage][0].SUFFIX)

    def write(self, name: str, tiles: CaseTiles) -> None:
        """Write a case atomically."""
        _FILE_FORMATS[self.storage][1](self.path(name), tiles)

    def read(self, name: str) -> CaseTiles:
        """Read the tiles of a case; see `hdf5.read_tiles` and `png.read_tiles`."""
        return _FILE_FORMATS[self.storage][0].read_tiles(self.path(name))

    def read_record(self, name: str) -> dict | None:
        """Read the record of a case. None if the case is missing or damaged."""
        try:
            return _FILE_FORMATS[self.storage][0].read_record(self.path(name))
        except LiverSegError:
            return None

    @classmethod
    def _from_json(cls, folder: Path, value: dict) -> "TileStore":
        version, storage = value.get("format"), value.get("storage")
        if version != FORMAT or storage not in STORAGES:
            raise LiverSegError(
                f"Expected a store of format {FORMAT} at {folder}. Received format {version}, "
                f"storage {storage}: preprocess the data set into another folder."
            )
        try:
            return cls(
                folder,
                TileSpec.from_json(value["spec"]),
                value["storage"],
                value["cases"],
                value["split"],
                value["split_rule"],
            )
        except KeyError as error:
            raise LiverSegError(
                f"Expected the key {error} in {folder / 'store.json'}. Received a file without it."
            ) from error
