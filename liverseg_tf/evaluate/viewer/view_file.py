"""Volumes as the viewer reads them: NIfTI files, packed for a page."""

import math

import nibabel as nib
import numpy as np
from isal import igzip

from liverseg_tf.ct.volume import Volume

_LOWEST, _HIGHEST = -1024, 32767  # HU; below air there is padding only
_STEPS = 32000
_GZIP_LEVEL = 2


def pack_image(image: Volume, is_ct: bool) -> bytes:
    """An image as int16 NIfTI, compressed.

    Args:
        image: array (z, row, col). HU are rounded and padding becomes air; MR units keep
            32,000 steps between their lowest and highest value. NaN becomes the lowest value.
        is_ct: whether its units are HU.

    Returns:
        gzip of the 352 bytes of header, all low bytes of the voxels, then all high bytes: the
        page puts them together. That is 13 % smaller than gzip of the pairs.
    """
    array = image.array
    if array.dtype.kind == "f":
        array = np.nan_to_num(array, nan=-math.inf, posinf=math.inf, neginf=-math.inf)
    slope, intercept = 1.0, 0.0
    if not is_ct and not (array.dtype.kind in "iu" and array.dtype.itemsize < 2):
        finite = array[np.isfinite(array)] if array.dtype.kind == "f" else array
        low, high = (float(finite.min()), float(finite.max())) if finite.size else (0.0, 1.0)
        slope, intercept = max(high - low, 1e-6) / _STEPS, low
        array = (np.clip(array, low, high) - intercept) / slope
    lowest = _LOWEST if is_ct else -(2**15)
    whole = np.clip(np.rint(array) if array.dtype.kind == "f" else array, lowest, _HIGHEST)
    voxels = np.ascontiguousarray(whole, "<i2")
    planes = voxels.reshape(-1).view(np.uint8).reshape(-1, 2).T
    return _gzip(_header(image, np.int16, slope, intercept) + planes.tobytes())


def pack_labels(labels: Volume) -> bytes:
    """A label map as uint8 NIfTI, compressed."""
    return _gzip(_header(labels, np.uint8) + np.ascontiguousarray(labels.array).tobytes())


def _gzip(data: bytes) -> bytes:
    return igzip.compress(data, _GZIP_LEVEL, mtime=0)


def _header(volume: Volume, dtype: type, slope: float = 1.0, intercept: float = 0.0) -> bytes:
    header = nib.Nifti1Header(endianness="<")
    header.set_data_dtype(dtype)
    header.set_data_shape(volume.array.shape[::-1])
    header.set_sform(volume.affine, code="scanner")
    header.set_qform(volume.affine, code="scanner")
    header.set_xyzt_units("mm")
    header.set_slope_inter(slope, intercept)
    header["magic"], header["vox_offset"] = b"n+1", 352
    return header.binaryblock + b"\0" * 4
