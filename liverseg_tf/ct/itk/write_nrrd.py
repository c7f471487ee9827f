"""Writing of NRRD files, which 3D Slicer and OHIF read."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from types import MappingProxyType

import numpy as np
from isal import igzip

from liverseg_tf.atomic import replacing
from liverseg_tf.ct.volume import Volume
from liverseg_tf.errors import LiverSegError

_TYPES = {
    "i1": "signed char",
    "u1": "unsigned char",
    "i2": "short",
    "u2": "unsigned short",
    "i4": "int",
    "u4": "unsigned int",
    "f4": "float",
    "f8": "double",
}
_GZIP_LEVEL = 2


def write_nrrd(path: Path, volume: Volume, compress: bool = True) -> None:
    """Write a volume as NRRD, atomically.

    The header states the whole affine, in the space left-posterior-superior, which ITK reads
    exactly. `read_itk` gives the same array and affine back.

    Args:
        path: .nrrd file.
        volume: Volume (z, row, col) of integers of at most 32 bits, or of floats.
        compress: Whether the voxels are compressed as gzip; OHIF reads only raw voxels.

    Raises:
        LiverSegError: If the data type or the suffix is wrong, or the file cannot be written.
    """
    path = Path(path)
    if not path.name.endswith(".nrrd"):
        raise LiverSegError(f"Expected a file name ending in .nrrd. Received {path}.")
    code = volume.array.dtype.str[1:]
    if code not in _TYPES:
        raise LiverSegError(
            f"Expected integers of at most 32 bits or floats for {path}. "
            f"Received {volume.array.dtype}."
        )
    array = np.ascontiguousarray(volume.array, volume.array.dtype.newbyteorder("<"))
    voxels = array.data.cast("B")
    with replacing(path) as partial, open(partial, "wb") as file:
        file.write(_header(volume, _TYPES[code], compress))
        file.write(igzip.compress(voxels, _GZIP_LEVEL, mtime=0) if compress else voxels)


def write_layers(
    path: Path, grid: Volume, layers: Sequence[np.ndarray], keys: Mapping[str, str]
) -> None:
    """Write label maps on one grid as the layers of an NRRD file, atomically, compressed.

    A single layer is an ordinary NRRD image; several are a list of images, as 3D Slicer reads and
    writes them.

    Args:
        path: .nrrd file.
        grid: Volume whose grid they have.
        layers: Label maps (z, row, col) uint8, at least one.
        keys: Keys of the header and their values. Line breaks are not allowed.

    Raises:
        LiverSegError: If the file cannot be written.
    """
    voxels = np.ascontiguousarray(layers[0] if len(layers) == 1 else np.stack(layers, axis=-1))
    header = _header(grid, _TYPES["u1"], True, len(layers), keys)
    with replacing(path) as partial, open(partial, "wb") as file:
        file.write(header)
        file.write(igzip.compress(voxels.data.cast("B"), _GZIP_LEVEL, mtime=0))


def _header(
    volume: Volume,
    type_name: str,
    compress: bool,
    layers: int = 1,
    keys: Mapping[str, str] = MappingProxyType({}),
) -> bytes:
    lps = np.diag([-1.0, -1.0, 1.0, 1.0]) @ volume.affine
    directions = " ".join(_vector(lps[:3, axis]) for axis in range(3))
    listed = layers > 1
    lines = (
        "NRRD0004",
        f"type: {type_name}",
        f"dimension: {3 + listed}",
        "space: left-posterior-superior",
        f"sizes: {f'{layers} ' * listed}{' '.join(map(str, volume.array.shape[::-1]))}",
        f"space directions: {'none ' * listed}{directions}",
        f"kinds: {'list ' * listed}domain domain domain",
        "endian: little",
        f"encoding: {'gzip' if compress else 'raw'}",
        f"space origin: {_vector(lps[:3, 3])}",
        *(f"{key}:={value}" for key, value in keys.items()),
    )
    return ("\n".join(lines) + "\n\n").encode()


def _vector(values: np.ndarray) -> str:
    """Format a vector with as many digits as give the same float64 again."""
    return f"({','.join(repr(float(value) + 0.0) for value in values)})"
