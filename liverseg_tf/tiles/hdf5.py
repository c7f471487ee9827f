"""HDF5 storage: one file per case, which is memory-mapped when it is read."""

import io
import json
from pathlib import Path

import h5py
import numpy as np

from liverseg_tf.atomic import replacing
from liverseg_tf.errors import LiverSegError
from liverseg_tf.tiles.case_tiles import CaseTiles

SUFFIX = ".h5"


def write_tiles(path: Path, tiles: CaseTiles) -> None:
    """Write a case uncompressed and contiguous, atomically."""
    _write(path, tiles, {})


def write_compressed_tiles(path: Path, tiles: CaseTiles) -> None:
    """Write a case atomically with gzip, one chunk per tile: half the size, slower to read."""
    _write(
        path, tiles, {"chunks": True, "compression": "gzip", "compression_opts": 1, "shuffle": True}
    )


def read_tiles(path: Path) -> CaseTiles:
    """Open the tiles of a case as memory maps; compressed tiles are read at once.

    Raises:
        LiverSegError: If the file is missing, truncated or not a case of tiles.
    """
    with _open(path) as file:
        return CaseTiles(_array(file["image"]), _array(file["mask"]), _record(file))


def read_record(path: Path) -> dict:
    """Read only the record of a case."""
    with _open(path) as file:
        return _record(file)


def _write(path: Path, tiles: CaseTiles, options: dict) -> None:
    # created in memory first: h5py aborts the process if the disk becomes full while it writes
    content = io.BytesIO()
    with h5py.File(content, "w") as file:
        for name, array in (("image", tiles.image), ("mask", tiles.mask)):
            if "chunks" in options:
                options = {**options, "chunks": (1, *array.shape[1:])}
            file.create_dataset(name, data=array, **options)
        # a dataset, because an attribute is limited to 64 KiB
        file.create_dataset("record", data=json.dumps(tiles.record))
    with replacing(path) as partial:
        partial.write_bytes(content.getbuffer())


def _open(path: Path) -> h5py.File:
    try:
        file = h5py.File(path, "r")
    except OSError as error:
        reason = "a truncated or other file" if Path(path).exists() else "no such file"
        raise LiverSegError(f"Expected a case of tiles at {path}. Received {reason}.") from error
    missing = {"image", "mask", "record"} - file.keys()
    if missing:
        file.close()
        raise LiverSegError(
            f"Expected image, mask and record in {path}. "
            f"Received a file without {' and '.join(sorted(missing))}."
        )
    return file


def _array(dataset: h5py.Dataset) -> np.ndarray:
    offset = dataset.id.get_offset()
    if offset is None:  # chunks cannot be memory-mapped
        return dataset[()]
    return np.memmap(dataset.file.filename, dataset.dtype, "r", offset, dataset.shape)


def _record(file: h5py.File) -> dict:
    return json.loads(file["record"][()])
