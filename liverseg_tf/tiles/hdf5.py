"""HDF5 storage: one file a case, mapped into memory when it is read."""

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
    """Write a case contiguous and uncompressed, whole or not at all."""
    _write(path, tiles, {})


def write_compressed_tiles(path: Path, tiles: CaseTiles) -> None:
    """Write a case as gzip-1 + shuffle chunks of one tile: half the size, slower to read."""
    _write(
        path, tiles, {"chunks": True, "compression": "gzip", "compression_opts": 1, "shuffle": True}
    )


def read_tiles(path: Path) -> CaseTiles:
    """Map a case's tiles; nothing is read before it is looked at.

    Raises:
        LiverSegError: when the file is missing, truncated or no case.
    """
    with _open(path) as file:
        return CaseTiles(_array(file["image"]), _array(file["mask"]), _record(file))


def read_record(path: Path) -> dict:
    """A case's record alone."""
    with _open(path) as file:
        return _record(file)


def _write(path: Path, tiles: CaseTiles, options: dict) -> None:
    # made in memory: h5py ends the process where the disk fills up under an open file
    content = io.BytesIO()
    with h5py.File(content, "w") as file:
        for name, array in (("image", tiles.image), ("mask", tiles.mask)):
            if "chunks" in options:
                options = {**options, "chunks": (1, *array.shape[1:])}
            file.create_dataset(name, data=array, **options)
        # a data set, since an attribute holds 64 KiB at the most
        file.create_dataset("record", data=json.dumps(tiles.record))
    with replacing(path) as partial:
        partial.write_bytes(content.getbuffer())


def _open(path: Path) -> h5py.File:
    try:
        file = h5py.File(path, "r")
    except OSError as error:
        reason = "no such file" if not Path(path).exists() else "a truncated or foreign file"
        raise LiverSegError(f"Expected a case of tiles at {path}. Received {reason}.") from error
    missing = {"image", "mask", "record"} - file.keys()
    if missing:
        file.close()
        raise LiverSegError(f"Expected image, mask and record in {path}. Received no {missing}.")
    return file


def _array(dataset: h5py.Dataset) -> np.ndarray:
    offset = dataset.id.get_offset()
    if offset is None:  # chunked: no place to map
        return dataset[()]
    return np.memmap(dataset.file.filename, dataset.dtype, "r", offset, dataset.shape)


def _record(file: h5py.File) -> dict:
    return json.loads(file["record"][()])
