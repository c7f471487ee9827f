"""MetaImage headers (.mha, .mhd)."""

from pathlib import Path
from typing import BinaryIO

import numpy as np

from liverseg_tf.ct.itk.itk_header import (
    HeaderError,
    ItkHeader,
    get_field,
    open_header,
    parse_integers,
    parse_numbers,
    read_file_list,
    read_line,
)
from liverseg_tf.ct.itk.voxel_files import VoxelFiles
from liverseg_tf.ct.regular_file import neighbouring_file
from liverseg_tf.errors import LiverSegError

_DTYPES = {
    "MET_CHAR": "i1",
    "MET_UCHAR": "u1",
    "MET_SHORT": "i2",
    "MET_USHORT": "u2",
    "MET_INT": "i4",
    "MET_UINT": "u4",
    "MET_LONG": "i4",
    "MET_ULONG": "u4",
    "MET_LONG_LONG": "i8",
    "MET_ULONG_LONG": "u8",
    "MET_FLOAT": "f4",
    "MET_DOUBLE": "f8",
}
_UNIT_MM = {"mm": 1.0, "um": 0.001, "cm": 10.0, "?": 1.0}
_MODALITIES = {"MET_MOD_CT": "CT", "MET_MOD_MR": "MR", "MET_MOD_NM": "NM", "MET_MOD_US": "US"}
_MATRIX_FIELDS = ("TransformMatrix", "Rotation", "Orientation")
_OFFSET_FIELDS = ("Offset", "Position", "Origin")
_LPS_TO_RAS = np.diag([-1.0, -1.0, 1.0])


def read_metaimage_header(path: Path) -> ItkHeader:
    """Read the header of a MetaImage file.

    Raises:
        LiverSegError: If the file is missing, the header is damaged, or the image is not a 3D
            image with one number per voxel and a known spacing.
    """
    with open_header(path) as stream:
        try:
            fields = _read_fields(stream)
            shape = _shape(fields)
            dtype = _dtype(fields)
            affine, lacks_orientation = _affine(fields, len(shape))
            voxels = _voxel_files(fields, stream, path, shape[:3], dtype)
        except HeaderError as error:
            raise LiverSegError(
                f"Expected a MetaImage file at {path}. Received {error}."
            ) from error
    modality = _MODALITIES.get(fields.get("Modality", ""), "")
    return ItkHeader(voxels, affine, modality, lacks_orientation)


def _read_fields(stream: BinaryIO) -> dict[str, str]:
    """Read the fields up to ElementDataFile, which is the last one."""
    fields: dict[str, str] = {}
    while "ElementDataFile" not in fields:
        line = read_line(stream)
        if line is None:
            if not fields:
                raise HeaderError("an empty file" if not stream.tell() else "another file")
            raise HeaderError("a truncated header, without ElementDataFile")
        key, equals, value = line.partition("=")
        key = key.strip()
        if not equals:
            if line.strip():
                raise HeaderError("another file, or a damaged header")
            continue
        if key in fields:
            raise HeaderError(f"the field {key} twice")
        fields[key] = value.strip()
    return fields


def _shape(fields: dict[str, str]) -> tuple[int, ...]:
    if fields.get("ObjectType", "Image") != "Image":
        raise HeaderError("an object that is not an image (ObjectType)")
    (axes,) = parse_integers(get_field(fields, "NDims"), "NDims", 1)
    shape = tuple(parse_integers(get_field(fields, "DimSize"), "DimSize"))
    if len(shape) != axes:
        raise HeaderError(f"a DimSize of {len(shape)} numbers and {axes} axes (NDims)")
    if axes < 3 or min(shape) < 1 or set(shape[3:]) > {1} or (axes > 3 and set(shape[3:]) != {1}):
        raise HeaderError(f"the shape {shape}, which is not 3D")
    return shape


def _dtype(fields: dict[str, str]) -> np.dtype:
    (channels,) = parse_integers(
        fields.get("ElementNumberOfChannels", "1"), "ElementNumberOfChannels", 1
    )
    name = get_field(fields, "ElementType")
    if channels != 1 or name.endswith("_ARRAY"):
        raise HeaderError("several values per voxel (a colour or vector image)")
    if name not in _DTYPES:
        raise HeaderError(f"the unknown ElementType {name}")
    orders = {
        _flag(fields, key)
        for key in ("BinaryDataByteOrderMSB", "ElementByteOrderMSB")
        if key in fields
    }
    if len(orders) == 2:
        raise HeaderError("two byte orders that contradict each other")
    for key, neutral in (
        ("ElementToIntensityFunctionSlope", 1),
        ("ElementToIntensityFunctionOffset", 0),
    ):
        if parse_numbers(fields.get(key, str(neutral)), key, 1) != [neutral]:
            raise HeaderError(f"{key} of {fields[key]}, which other readers ignore: apply it first")
    return np.dtype((">" if True in orders else "<") + _DTYPES[name])


def _affine(fields: dict[str, str], axes: int) -> tuple[np.ndarray, bool]:
    if "ElementSpacing" not in fields:
        raise HeaderError("a header without ElementSpacing")
    spacing = np.array(parse_numbers(fields["ElementSpacing"], "ElementSpacing", axes))
    if spacing[:3].min() <= 0:
        raise HeaderError(f"ElementSpacing of '{fields['ElementSpacing']}', which is not above 0")
    unit = fields.get("DistanceUnits", "mm").lower()
    if unit not in _UNIT_MM:
        raise HeaderError(f"the unknown unit of length {unit} (DistanceUnits)")
    matrix = _one_of(fields, _MATRIX_FIELDS)
    directions = np.eye(axes)
    if matrix is not None:  # a row for each axis of the file
        directions = np.reshape(parse_numbers(fields[matrix], matrix, axes**2), (axes, axes))
    offset = _one_of(fields, _OFFSET_FIELDS)
    if "CenterOfRotation" in fields:  # only the file's direction is used, as ITK does
        parse_numbers(fields["CenterOfRotation"], "CenterOfRotation", axes)
    origin = [0.0] * axes if offset is None else parse_numbers(fields[offset], offset, axes)
    affine = np.eye(4)
    affine[:3, :3] = _LPS_TO_RAS @ directions[:3, :3].T * spacing[:3]
    affine[:3, 3] = _LPS_TO_RAS @ origin[:3]
    affine[:3] *= _UNIT_MM[unit]
    return affine, matrix is None


def _voxel_files(
    fields: dict[str, str],
    stream: BinaryIO,
    path: Path,
    shape: tuple[int, ...],
    dtype: np.dtype,
) -> VoxelFiles:
    name = fields["ElementDataFile"]
    (skip,) = parse_integers(fields.get("HeaderSize", "0"), "HeaderSize", 1)
    encoding = "raw" if _flag(fields, "BinaryData", True) else "text"
    size = None
    if _flag(fields, "CompressedData"):
        if encoding == "text":
            raise HeaderError("compressed data that are not binary (BinaryData)")
        encoding = "zlib"
        if "CompressedDataSize" in fields:
            (size,) = parse_integers(fields["CompressedDataSize"], "CompressedDataSize", 1)
    if skip < -1 or (skip and encoding != "raw"):
        raise HeaderError(f"a HeaderSize of {skip}")
    if name.upper() == "LOCAL":
        if skip > 0:
            raise HeaderError(f"a HeaderSize of {skip} for voxels in the same file")
        files: tuple[Path, ...] = (path,)
        skip = stream.tell()
    elif name.upper().split()[:1] == ["LIST"]:
        if encoding != "raw":
            raise HeaderError("a list of files that are not raw")
        if name.upper().split()[1:] not in ([], ["2"], ["2D"]):
            raise HeaderError(f"the list '{name}' instead of one file for each slice")
        files = read_file_list(stream, path, shape[2])
    else:
        files = (neighbouring_file(path, name),)
    return VoxelFiles(files, encoding, dtype, shape, skip, compressed_bytes=size)


def _flag(fields: dict[str, str], key: str, default: bool = False) -> bool:
    value = fields.get(key, str(default)).lower()
    if value not in ("true", "false", "1", "0"):
        raise HeaderError(f"{key} of '{value}' instead of True or False")
    return value in ("true", "1")


def _one_of(fields: dict[str, str], keys: tuple[str, ...]) -> str | None:
    present = [key for key in keys if key in fields]
    if len(present) > 1:
        raise HeaderError(f"both {present[0]} and {present[1]}")
    return present[0] if present else None
