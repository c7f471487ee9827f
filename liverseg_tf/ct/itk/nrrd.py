"""NRRD headers (.nrrd, .nhdr); see https://teem.sourceforge.net/nrrd/format.html."""

import re
from pathlib import Path
from typing import BinaryIO

import numpy as np

from liverseg_tf.ct.itk.itk_header import (
    HeaderError,
    ItkHeader,
    get_field,
    open_header,
    parse_integers,
    read_file_list,
    read_line,
)
from liverseg_tf.ct.itk.nrrd_grid import read_grid
from liverseg_tf.ct.itk.voxel_files import VoxelFiles
from liverseg_tf.ct.regular_file import neighbouring_file
from liverseg_tf.errors import LiverSegError

_MAGIC = re.compile(r"NRRD000[1-5]")
_NAMES = {
    "i1": "signed char|int8|int8_t",
    "u1": "uchar|unsigned char|uint8|uint8_t",
    "i2": "short|short int|signed short|signed short int|int16|int16_t",
    "u2": "ushort|unsigned short|unsigned short int|uint16|uint16_t",
    "i4": "int|signed int|int32|int32_t",
    "u4": "uint|unsigned int|uint32|uint32_t",
    "i8": "longlong|long long|long long int|signed long long|signed long long int|int64|int64_t",
    "u8": "ulonglong|unsigned long long|unsigned long long int|uint64|uint64_t",
    "f4": "float",
    "f8": "double",
}
_DTYPES = {name: code for code, names in _NAMES.items() for name in names.split("|")}
_ENCODINGS = {
    **dict.fromkeys(("txt", "text", "ascii"), "text"),
    **dict.fromkeys(("gz", "gzip"), "gzip"),
    **dict.fromkeys(("bz2", "bzip2"), "bzip2"),
    "raw": "raw",
}


def read_nrrd_header(path: Path) -> ItkHeader:
    """Read the header of an NRRD file.

    Raises:
        LiverSegError: If the file is missing, the header is damaged, or the image is not a 3D
            image with one number per voxel and a known spacing.
    """
    return _read_header(path, layered=False)[0]


def read_layered_header(path: Path) -> tuple[ItkHeader, dict[str, str]]:
    """Read the header of an NRRD file of several layers on one grid, as 3D Slicer writes segments.

    Returns:
        The header, whose voxels have the shape (layers, i, j, k), and its keys with their values.

    Raises:
        LiverSegError: As `read_nrrd_header`.
    """
    return _read_header(path, layered=True)


def read_keys(path: Path) -> dict[str, str]:
    """Return the keys of an NRRD header with their values; none if it is damaged or no NRRD file.

    Raises:
        LiverSegError: If the file is missing or no regular file.
    """
    with open_header(path) as stream:
        try:
            return _read_fields(stream)[1]
        except HeaderError:  # reading the voxels reports it
            return {}


def _read_header(path: Path, layered: bool) -> tuple[ItkHeader, dict[str, str]]:
    with open_header(path) as stream:
        try:
            fields, keys = _read_fields(stream)
            shape = _shape(fields)
            is_list = fields.get("kinds", "").lower().split()[:1] in (["list"], ["vector"])
            layers = shape[0] if layered and is_list and len(shape) == 4 else 1
            grid = read_grid(fields, (1, *shape[1:]) if layers > 1 else shape)
            stored = (layers, *grid.shape) if layered else grid.shape
            voxels = _voxel_files(fields, stream, path, stored)
        except HeaderError as error:
            raise LiverSegError(f"Expected an NRRD file at {path}. Received {error}.") from error
    modality = keys.get("modality", "").upper()
    modality = "MR" if "MR" in modality else modality if modality == "CT" else ""
    notes = ("old min and old max of the header ignored",) if "oldmin" in fields else ()
    return ItkHeader(voxels, grid.affine, modality, grid.lacks_orientation, notes), keys


def _read_fields(stream: BinaryIO) -> tuple[dict[str, str], dict[str, str]]:
    """Read the fields, by name in lower case without blanks, and the keys with their values.

    The stream is left at the first byte after the header.
    """
    first = read_line(stream)
    if first is None:
        raise HeaderError("an empty file")
    if not _MAGIC.fullmatch(first.strip()):
        raise HeaderError("another file (no NRRD header)")
    fields: dict[str, str] = {}
    keys: dict[str, str] = {}
    while line := read_line(stream):
        if line.startswith("#"):
            continue
        key, separator, value = line.partition(":")
        if not separator:
            raise HeaderError(f"the line '{line[:40]}', which is no field")
        if value.startswith("="):
            keys[key] = value[1:]
            continue
        name = key.replace(" ", "").lower()
        if name in fields:
            raise HeaderError(f"the field '{key}' twice")
        fields[name] = value.strip()
        if name == "datafile" and fields[name].upper().split()[:1] == ["LIST"]:
            break  # the rest of the header are names of files
    return fields, keys


def _shape(fields: dict[str, str]) -> tuple[int, ...]:
    (axes,) = parse_integers(get_field(fields, "dimension"), "dimension", 1)
    if not 1 <= axes <= 16:
        raise HeaderError(f"{axes} dimensions")
    shape = tuple(parse_integers(get_field(fields, "sizes"), "sizes", axes))
    if min(shape) < 1:
        raise HeaderError(f"the shape {shape}")
    return shape


def _voxel_files(
    fields: dict[str, str], stream: BinaryIO, path: Path, shape: tuple[int, ...]
) -> VoxelFiles:
    name, encoding = get_field(fields, "type").lower(), get_field(fields, "encoding").lower()
    if name not in _DTYPES:
        raise HeaderError(f"the data type '{name}', which is not read")
    if encoding not in _ENCODINGS:
        raise HeaderError(f"the encoding '{encoding}', which is not read: write it raw or as gzip")
    dtype, encoding = np.dtype(_DTYPES[name]), _ENCODINGS[encoding]
    if dtype.itemsize > 1 and encoding != "text":
        endian = fields.get("endian", "").lower()
        if endian not in ("little", "big"):
            raise HeaderError("a header without the byte order (endian)")
        dtype = dtype.newbyteorder("<" if endian == "little" else ">")
    (lines,) = parse_integers(fields.get("lineskip", "0"), "line skip", 1)
    (skip,) = parse_integers(fields.get("byteskip", "0"), "byte skip", 1)
    if lines:
        raise HeaderError(f"a line skip of {lines}, which is not read")
    if skip < -1 or (skip == -1 and encoding != "raw") or (skip and encoding == "text"):
        raise HeaderError(f"a byte skip of {skip}")
    start = -1 if skip == -1 else 0
    data = fields.get("datafile")
    if data is None:
        files: tuple[Path, ...] = (path,)
        start = start or stream.tell()
    elif data.upper().split()[:1] == ["LIST"]:
        if data.split()[1:] not in ([], ["2"]):
            raise HeaderError(f"the list '{data}' instead of one file for each slice")
        files = read_file_list(stream, path, shape[-1])
    else:
        files = (neighbouring_file(path, data),)
    return VoxelFiles(files, encoding, dtype, shape, start, max(skip, 0))
