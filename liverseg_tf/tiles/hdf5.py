"""HDF5 storage: one file per case, which is memory-mapped when it is read.

A store may come from a stranger, and HDF5 files can refer to other files, hold objects of Python or
name memory that they do not have. Only what `write_tiles` writes is read.
"""

import io
import math
import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from os import strerror
from pathlib import Path

import h5py
import numpy as np

from liverseg_tf.atomic import replacing
from liverseg_tf.errors import LiverSegError
from liverseg_tf.tiles.case_record import CaseRecord, format_record, parse_record
from liverseg_tf.tiles.case_tiles import CaseTiles

SUFFIX = ".h5"
_MAX_RECORD_BYTES = 64 * 1024**2
_MAX_EXPANSION = 1100  # deflate shrinks data to 1/1032 at most
_FILTERS = {h5py.h5z.FILTER_DEFLATE, h5py.h5z.FILTER_SHUFFLE}


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
        content, record = _record(file, path)
        image = _array(file, "image", record.image_shape, path)
        mask = _array(file, "mask", record.mask_shape, path)
    return CaseTiles(image, mask, content)


def read_record(path: Path) -> dict:
    """Read the record of a case, and check that its tiles are there, without reading them.

    Raises:
        LiverSegError: As `read_tiles`.
    """
    with _open(path) as file:
        content, record = _record(file, path)
        _checked(file, "image", record.image_shape, path)
        _checked(file, "mask", record.mask_shape, path)
    return content


def check_mapped(*arrays: object) -> None:
    """Check that the file of memory maps still has all of its bytes.

    Reading beyond the end of a file that was cut short would end the process.

    Args:
        arrays: Memory maps of one file; other arrays pass.

    Raises:
        LiverSegError: If the file is shorter or missing.
    """
    maps = [array for array in arrays if isinstance(array, np.memmap)]
    if not maps:
        return
    path = str(maps[0].filename)
    try:
        found = os.stat(path)
    except OSError:
        found = None
    if found is None or not stat.S_ISREG(found.st_mode):
        raise LiverSegError(
            f"The file {path} was removed during training: leave the store as it is until the run "
            "ends, and start it again."
        )
    if found.st_size < max(array.offset + array.nbytes for array in maps):
        raise LiverSegError(
            f"Expected {path} to be unchanged since it was opened. Received a file of "
            f"{found.st_size} bytes, which is too short: preprocess the data set again."
        )


def _write(path: Path, tiles: CaseTiles, options: dict) -> None:
    # created in memory first: h5py aborts the process if the disk becomes full while it writes
    content = io.BytesIO()
    with h5py.File(content, "w") as file:
        for name, array in (("image", tiles.image), ("mask", tiles.mask)):
            if "chunks" in options:
                options = {**options, "chunks": (1, *array.shape[1:])}
            file.create_dataset(name, data=array, **options)
        # a dataset, because an attribute is limited to 64 KiB
        file.create_dataset("record", data=format_record(tiles.record))
    with replacing(path) as partial:
        partial.write_bytes(content.getbuffer())


@contextmanager
def _open(path: Path) -> Iterator[h5py.File]:
    """Open a file; errors of the library become the package's own."""
    path = Path(path)
    if path.is_symlink() or path.is_dir() or path.is_fifo():
        raise LiverSegError(
            f"Expected a case of tiles at {path}. Received a link or something else that is not "
            "a regular file."
        )
    try:
        with h5py.File(path, "r") as file:
            yield file
    except (OSError, RuntimeError, KeyError, ValueError, TypeError, MemoryError) as error:
        number = getattr(error, "errno", None)  # missing, no permission, too many open files
        reason = "a truncated or other file" if number is None else f"an error: {strerror(number)}"
        raise LiverSegError(f"Expected a case of tiles at {path}. Received {reason}.") from error


def _dataset(file: h5py.File, name: str, path: Path) -> h5py.Dataset:
    """Return a data set that lies in the file itself, not one that refers to another place."""
    link = file.get(name, getlink=True)
    found = file.get(name, getclass=True) if isinstance(link, h5py.HardLink) else None
    if found is not h5py.Dataset:
        received = "a file without it" if link is None else "something else"
        raise _refuse(path, f"the data set {name}", received)
    dataset = file[name]
    if dataset.external or dataset.is_virtual:
        raise _refuse(path, f"{name} in the file itself", "a reference to other files")
    return dataset


def _array(file: h5py.File, name: str, shape: tuple[int, ...], path: Path) -> np.ndarray:
    """Map an array of uint8, or read it if it is compressed."""
    dataset = _checked(file, name, shape, path)
    if dataset.chunks is not None:
        return dataset[()]
    return np.memmap(path, np.uint8, "r", dataset.id.get_offset(), shape)


def _checked(file: h5py.File, name: str, shape: tuple[int, ...], path: Path) -> h5py.Dataset:
    """Return a data set of uint8 with the shape of the record, all of it inside the file."""
    dataset = _dataset(file, name, path)
    if not dataset.id.get_type().equal(h5py.h5t.STD_U8LE):
        raise _refuse(path, f"{name} of uint8", "another type")
    if dataset.shape != shape:
        raise _refuse(path, f"{name} of shape {_text(shape)}", f"{_text(dataset.shape)}")
    size, file_size = math.prod(shape), os.path.getsize(path)
    if dataset.chunks is None:
        offset = dataset.id.get_offset()
        if offset is None or offset + size > file_size:
            raise _refuse(path, f"all of the {size} bytes of {name}", "a file that is too short")
        return dataset
    plist = dataset.id.get_create_plist()
    filters = {plist.get_filter(number)[0] for number in range(plist.get_nfilters())}
    if not filters <= _FILTERS:
        raise _refuse(path, f"{name} with gzip compression", "another compression")
    if size > _MAX_EXPANSION * min(dataset.id.get_storage_size(), file_size):
        raise _refuse(path, f"{size} bytes of {name}", "a file that is too short for them")
    return dataset


def _record(file: h5py.File, path: Path) -> tuple[dict, CaseRecord]:
    dataset = _dataset(file, "record", path)
    kind = h5py.check_string_dtype(dataset.dtype)
    if kind is None or kind.length is not None or dataset.shape != ():
        raise _refuse(path, "a record of text", "another type")
    content = dataset[()]
    if not isinstance(content, bytes) or len(content) > _MAX_RECORD_BYTES:
        raise _refuse(path, "a record of text", "a longer one")
    return parse_record(content, path)


def _refuse(path: Path, expected: str, received: str) -> LiverSegError:
    return LiverSegError(
        f"Expected {expected} in {path}. Received {received}: preprocess the data set again."
    )


def _text(shape: tuple[int, ...]) -> str:
    return " x ".join(map(str, shape)) or "none"
