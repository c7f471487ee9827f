"""PNG storage: one folder per case and one file per slice, which any tool can read."""

import os
import stat
from pathlib import Path

import numpy as np
from PIL import Image

from liverseg_tf.atomic import replacing
from liverseg_tf.errors import LiverSegError, reason_of
from liverseg_tf.tiles.case_record import format_record, parse_record
from liverseg_tf.tiles.case_tiles import CaseTiles

SUFFIX = ""
MODES = {1: "L", 3: "RGB"}  # image mode by number of windows
_MAX_RECORD_BYTES = 64 * 1024**2


class PngSlices:
    """The PNG files of a folder as a read-only uint8 array; a slice is read when it is indexed.

    Args:
        folder: Folder with the files 0000.png, 0001.png, …, numbered by z.
        shape: Shape (z, h, w) or (z, h, w, windows) of the array.

    Raises:
        LiverSegError: If the folder does not hold these files and nothing else.
    """

    dtype = np.dtype(np.uint8)

    def __init__(self, folder: Path, shape: tuple[int, ...]):
        self.folder, self.shape = folder, shape
        self._check_files()

    def __len__(self) -> int:
        return self.shape[0]

    def __getitem__(self, z: int) -> np.ndarray:
        path = self._path(range(len(self))[z])
        rows, cols, *channels = self.shape[1:]
        mode = MODES[channels[0] if channels else 1]
        try:
            with Image.open(path, formats=["PNG"]) as picture:
                if (picture.size, picture.mode) != ((cols, rows), mode):  # before it is decoded
                    raise LiverSegError(
                        f"Expected a tile of {rows} x {cols} pixels ({mode}) at {path}. Received "
                        f"{picture.height} x {picture.width} ({picture.mode}): preprocess the data "
                        "set again."
                    )
                pixels = np.asarray(picture)
        except LiverSegError:
            raise
        except Exception as error:  # a broken picture raises many classes
            reason = reason_of(error)
            raise LiverSegError(
                f"Expected a tile at {path}. Received: {reason} (preprocess the data set again)."
            ) from error
        return pixels.reshape(self.shape[1:])

    def __array__(self, dtype=None, copy=None) -> np.ndarray:
        return np.stack([self[z] for z in range(len(self))]).astype(dtype or self.dtype)

    def _path(self, z: int) -> Path:
        return self.folder / f"{z:04d}.png"

    def _check_files(self) -> None:
        found = set(_regular_files(self.folder))
        missing = [z for z in range(len(self)) if self._path(z).name not in found]
        if missing or len(found) > len(self):
            what = f"no {self._path(missing[0]).name}" if missing else f"{len(found)} files"
            raise LiverSegError(
                f"Expected the {len(self)} tiles of a case in {self.folder}. Received {what}: "
                "preprocess the data set again."
            )


def write_tiles(path: Path, tiles: CaseTiles) -> None:
    """Write the folder of a case atomically, as grey (1 window) or RGB (3 windows) files."""
    with replacing(path) as partial:
        for name, array in (("image", tiles.image), ("mask", tiles.mask)):
            (partial / name).mkdir(parents=True)
            for z in range(len(array)):
                plane = array[z]
                picture = Image.fromarray(
                    np.squeeze(plane, -1) if plane.shape[-1:] == (1,) else plane
                )
                picture.save(partial / name / f"{z:04d}.png", compress_level=1)
        (partial / "record.json").write_text(format_record(tiles.record))


def read_tiles(path: Path) -> CaseTiles:
    """Open the tiles of a case; a slice is decoded when it is indexed.

    Raises:
        LiverSegError: If the folder is missing or incomplete.
    """
    path = Path(path)
    if "record.json" not in _regular_files(path):
        raise LiverSegError(
            f"Expected a case of tiles at {path}. Received a folder without record.json."
        )
    source = path / "record.json"
    try:
        with open(source, "rb") as file:
            text = file.read(_MAX_RECORD_BYTES)
    except OSError as error:
        raise LiverSegError(
            f"Expected a file at {source}. Received: {reason_of(error)}."
        ) from error
    content, record = parse_record(text, source)
    if record.image_shape[-1] not in MODES:
        raise LiverSegError(
            f"Expected 1 or 3 windows in {source}. Received {record.image_shape[-1]}: preprocess "
            "the data set again."
        )
    image, mask = (
        PngSlices(path / name, shape)
        for name, shape in (("image", record.image_shape), ("mask", record.mask_shape))
    )
    return CaseTiles(image, mask, content)


def read_record(path: Path) -> dict:
    """Read the record of a case, and check that all of its files are there.

    Raises:
        LiverSegError: As `read_tiles`.
    """
    return read_tiles(path).record


def _regular_files(folder: Path) -> list[str]:
    """List the names of the files in a folder; links are none, and the folder must be none.

    Raises:
        LiverSegError: If there is no such folder.
    """
    try:
        if not stat.S_ISDIR(os.lstat(folder).st_mode):
            raise LiverSegError(
                f"Expected a folder of tiles at {folder}. Received a link or a file."
            )
        with os.scandir(folder) as entries:
            return [entry.name for entry in entries if entry.is_file(follow_symlinks=False)]
    except OSError as error:
        raise LiverSegError(
            f"Expected a folder of tiles at {folder}. Received: {reason_of(error)}."
        ) from error
