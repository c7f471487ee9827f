"""PNG storage: one folder a case, one picture a slice, readable by any tool."""

import json
from pathlib import Path

import numpy as np
from PIL import Image

from liverseg_tf.atomic import read_json, replacing
from liverseg_tf.errors import LiverSegError
from liverseg_tf.tiles.case_tiles import CaseTiles

SUFFIX = ""
MODES = {1: "L", 3: "RGB"}  # by the number of windows


class PngSlices:
    """The pictures of one folder as an array that is read slice by slice.

    Args:
        folder: holds 0000.png, 0001.png, …; the number is z.
        shape: (z, h, w) or (z, h, w, windows).
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
                f"Expected a tile of the shape {self.shape[1:]} at {path}. Received {pixels.shape}."
            )
        return pixels.reshape(self.shape[1:])

    def __array__(self, dtype=None, copy=None) -> np.ndarray:
        return np.stack([self[z] for z in range(len(self))]).astype(dtype or self.dtype)


def write_tiles(path: Path, tiles: CaseTiles) -> None:
    """Write a case's folder, whole or not at all; 1 window is grey, 3 are RGB."""
    with replacing(path) as partial:
        for name, array in (("image", tiles.image), ("mask", tiles.mask)):
            (partial / name).mkdir(parents=True)
            for z, plane in enumerate(array):
                picture = Image.fromarray(
                    np.squeeze(plane, -1) if plane.shape[-1:] == (1,) else plane
                )
                picture.save(partial / name / f"{z:04d}.png", compress_level=1)
        (partial / "record.json").write_text(json.dumps(tiles.record))


def read_tiles(path: Path) -> CaseTiles:
    """A case whose pictures are decoded when they are looked at.

    Raises:
        LiverSegError: when the folder is missing or incomplete.
    """
    record = read_record(path)
    shape = (record["slices"], *record["grid"]["shape"])
    channels = len(record["grid"]["windows"])
    return CaseTiles(
        PngSlices(Path(path) / "image", (*shape, channels)),
        PngSlices(Path(path) / "mask", shape),
        record,
    )


def read_record(path: Path) -> dict:
    """A case's record alone."""
    return read_json(Path(path) / "record.json")
