"""Writing of NRRD files, which 3D Slicer and OHIF read."""

from pathlib import Path

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


def _header(volume: Volume, type_name: str, compress: bool) -> bytes:
    lps = np.diag([-1.0, -1.0, 1.0, 1.0]) @ volume.affine
    directions = " ".join(_vector(lps[:3, axis]) for axis in range(3))
    lines = (
        "NRRD0004",
        f"type: {type_name}",
        "dimension: 3",
        "space: left-posterior-superior",
        f"sizes: {' '.join(map(str, volume.array.shape[::-1]))}",
        f"space directions: {directions}",
        "kinds: domain domain domain",
        "endian: little",
        f"encoding: {'gzip' if compress else 'raw'}",
        f"space origin: {_vector(lps[:3, 3])}",
    )
    return ("\n".join(lines) + "\n\n").encode("ascii")


def _vector(values: np.ndarray) -> str:
    """Format a vector with as many digits as give the same float64 again."""
    return f"({','.join(repr(float(value) + 0.0) for value in values)})"
