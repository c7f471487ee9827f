"""A store of tiles: cases cut with one spec, and how they are split."""

import shutil
from dataclasses import dataclass, replace
from pathlib import Path

from liverseg_tf import __version__
from liverseg_tf.atomic import read_json, write_json
from liverseg_tf.dataset.dataset_part import DatasetPart
from liverseg_tf.dataset.split import SplitRule, fold_split
from liverseg_tf.errors import LiverSegError, SettingsError
from liverseg_tf.tiles import hdf5, png
from liverseg_tf.tiles.case_tiles import CaseTiles
from liverseg_tf.tiles.spec import TileSpec

FORMAT = 1
STORAGES = {
    "hdf5": (hdf5, hdf5.write_tiles),
    "hdf5-gzip": (hdf5, hdf5.write_compressed_tiles),
    "png": (png, png.write_tiles),
}


@dataclass(frozen=True)
class TileStore:
    """The contents of a store's `store.json`.

    Args:
        folder: the store.
        spec: every case's.
        storage: 'hdf5', 'hdf5-gzip' or 'png'.
        cases: record of each whole case by name.
        split: 'train', 'val' and 'test', each a list of names.
        rule: what the split was drawn by, for the record.

    Raises:
        SettingsError: when PNG can't hold the windows.
    """

    folder: Path
    spec: TileSpec
    storage: str = "hdf5"
    cases: dict[str, dict] | None = None
    split: dict[str, list[str]] | None = None
    rule: dict | None = None

    def __post_init__(self) -> None:
        if self.storage == "png" and self.spec.channels not in png.MODES:
            raise SettingsError(
                "Expected 1 or 3 windows for a PNG store. "
                f"Received {self.spec.channels} (take HDF5 instead)."
            )

    @classmethod
    def open(cls, folder: Path) -> "TileStore":
        """The store in a folder.

        Raises:
            LiverSegError: when there is none, it is of another format, or holds no whole case.
        """
        folder = Path(folder)
        if not (folder / "store.json").is_file():
            raise LiverSegError(
                f"Expected a tile store (with store.json) at {folder}. Received "
                f"{'a folder without one' if folder.is_dir() else 'no such folder'}."
            )
        store = cls._from_json(folder, read_json(folder / "store.json"))
        if not store.cases:
            raise LiverSegError(f"Expected cases in the store {folder}. Received none.")
        return store

    def create(self, recut: bool = False) -> "TileStore":
        """Make the store, or check that the one that is there was cut alike.

        Args:
            recut: empty a store of another spec or storage.

        Raises:
            SettingsError: when a store of another spec or storage is there, and not `recut`.
        """
        path = self.folder / "store.json"
        if not path.exists():
            self.save()
            return self
        old = self._from_json(self.folder, read_json(path))
        mine = self.spec.to_json() | {"storage": self.storage}
        others = old.spec.to_json() | {"storage": old.storage}
        differing = [key for key in mine if mine[key] != others[key]]
        if differing and recut:
            shutil.rmtree(self.folder / "cases", ignore_errors=True)
            self.save()
        elif differing:
            key = differing[0]
            raise SettingsError(
                f"Expected a store with {key} {mine[key]} at {self.folder}. Received one that "
                f"was cut with {others[key]}: choose another folder, or --recut."
            )
        return self

    @property
    def checksums(self) -> dict[str, str]:
        """Checksum of the tiles by case name."""
        return {name: case["checksum"] for name, case in (self.cases or {}).items()}

    def check_unchanged(self, before: dict[str, str]) -> None:
        """Check that the store still holds the tiles that a run began with.

        Args:
            before: `checksums` at that time.

        Raises:
            LiverSegError: naming the first case that is missing or differs.
        """
        for name, checksum in before.items():
            if self.checksums.get(name) != checksum:
                what = "other tiles of" if name in self.checksums else "no"
                raise LiverSegError(
                    f"Expected the store {self.folder} to stay as it was when the run began. "
                    f"Received {what} case {name}."
                )

    def in_fold(self, fold: str) -> "TileStore":
        """The same tiles, split for one fold of a cross-validation.

        Args:
            fold: 'K/N', the K-th of N.

        Raises:
            SettingsError: when there is no such fold; see `fold_split`.
        """
        part, rule = DatasetPart.parse(fold), SplitRule(**self.rule or {})
        return replace(self, split=fold_split(self.split, rule, part.index, part.count))

    def save(self) -> None:
        """Write `store.json`, whole or not at all."""
        write_json(
            self.folder / "store.json",
            {
                "format": FORMAT,
                "liverseg_tf": __version__,
                "spec": self.spec.to_json(),
                "storage": self.storage,
                "split": self.split or {"train": [], "val": [], "test": []},
                "split_rule": self.rule,
                "cases": self.cases or {},
            },
        )

    def path(self, name: str) -> Path:
        """File or folder of a case."""
        return self.folder / "cases" / (name + STORAGES[self.storage][0].SUFFIX)

    def write(self, name: str, tiles: CaseTiles) -> None:
        """Write one case, whole or not at all."""
        STORAGES[self.storage][1](self.path(name), tiles)

    def read(self, name: str) -> CaseTiles:
        """The tiles of a case; see `hdf5.read_tiles` and `png.read_tiles`."""
        return STORAGES[self.storage][0].read_tiles(self.path(name))

    def read_record(self, name: str) -> dict | None:
        """The record of a case that is there whole; None where it isn't."""
        try:
            return STORAGES[self.storage][0].read_record(self.path(name))
        except LiverSegError:
            return None

    @classmethod
    def _from_json(cls, folder: Path, value: dict) -> "TileStore":
        if value.get("format") != FORMAT or value.get("storage") not in STORAGES:
            raise LiverSegError(
                f"Expected a store of format {FORMAT} at {folder}. Received format "
                f"{value.get('format')!r}, storage {value.get('storage')!r}."
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
            raise LiverSegError(f"Expected {error} in {folder / 'store.json'}.") from error
