"""PNG storage: one folder per case and one file per slice, which any tool can read."""

import json
from pathlib import Path

import numpy as np
from PIL import Image

from liverseg_tf.atomic import read_json, replacing
from liverseg_tf.errors import LiverSegError
from liverseg_tf.tiles.case_tiles import CaseTiles

SUFFIX = ""
MODES = {1: "L", 3: "RGB"}  # image mode by number of windows


class PngSlices:
    """The PNG files of a folder as a read-only uint8 array; a slice is read when it is indexed.

    Args:
        folder: Folder with the files 0000.png, 0001.png, …, numbered by z.
        shape: Shape (z, h, w) or (z, h, w, windows) of the array.
    """

    dtype = np.dtype(np.uint8)

    def __init__(self, folder: Path, shape: tuple[int, ...]):
        self.folder, self.shape = folder, shape

    def __len__(self) -> int:
        return self.shape[0]

    def __getitem__(self, z: int) -> np.ndarray:
        path = self.folder / f"{range(len(self))[z]:04d}.png"
        try:
            with Image.open(path) as picture:
                pixels = np.asarray(picture)
        except (OSError, SyntaxError) as error:
            raise LiverSegError(f"Expected a tile at {path}. Received: {error}.") from error
        if pixels.size != np.prod(self.shape[1:]):
            raise LiverSegError(
                f"Expected a tile of {_size(self.shape[1:])} values at {path}. "
                f"Received {_size(pixels.shape)}."
            )
        return pixels.reshape(self.shape[1:])

    def __array__(self, dtype=None, copy=None) -> np.ndarray:
        return np.stack([self[z] for z in range(len(self))]).astype(dtype or self.dtype)


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
        (partial / "record.json").write_text(json.dumps(tiles.record))


def read_tiles(path: Path) -> CaseTiles:
    """Open the tiles of a case; a slice is decoded when it is indexed.

    Raises:
        LiverSegError: If the folder is missing or incomplete.
    """
    record = read_record(path)
    shape = (record["slices"], *record["transform"]["shape"])
    channels = len(record["transform"]["windows"])
    return CaseTiles(
        PngSlices(Path(path) / "image", (*shape, channels)),
        PngSlices(Path(path) / "mask", shape),
        record,
    )


def read_record(path: Path) -> dict:
    """Read only the record of a case."""
    return read_json(Path(path) / "record.json")


def _size(shape: tuple[int, ...]) -> str:
    return " x ".join(map(str, shape))
