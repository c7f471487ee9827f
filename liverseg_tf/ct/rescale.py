"""Stored values to HU: slope, intercept, and the smallest dtype that holds the result."""

import numpy as np


def rescale(raw: np.ndarray, slope: float = 1.0, intercept: float = 0.0) -> np.ndarray:
    """Apply a slope and an intercept.

    Args:
        raw: Integers or floats as stored in a file, in the machine's byte order.
        slope: Slope from the header.
        intercept: Intercept from the header.

    Returns:
        float32 if `raw` has floats, or if slope or intercept is not an integer. Otherwise uint8
        (only if `raw` is uint8 and stays unchanged), int16, int32 or float32: the first that
        holds all values.
    """
    with np.errstate(over="ignore", invalid="ignore"):  # beyond float32: infinite
        return _rescale(raw, slope, intercept)


def peak_bytes(dtype: np.dtype, slope: float = 1.0, intercept: float = 0.0) -> int:
    """Return the bytes per voxel that exist at once while `rescale` works, at most.

    Args:
        dtype: Data type of the stored values.
        slope: Slope from the header.
        intercept: Intercept from the header.
    """
    stored, native = dtype.itemsize, dtype.newbyteorder("=")
    swapped = 0 if dtype.isnative else stored  # the copy in the machine's byte order
    if (slope, intercept) == (1, 0) and native in (np.int16, np.uint8):
        return stored + swapped
    if dtype.kind == "f" or slope != round(slope) or intercept != round(intercept):
        return stored + max(swapped, 4)
    return stored + max(swapped, 8 + 4 if stored > 2 else 4 + 2)


def _rescale(raw: np.ndarray, slope: float, intercept: float) -> np.ndarray:
    integer = raw.dtype.kind in "iu" and slope == round(slope) and intercept == round(intercept)
    if not integer:
        values = raw.astype(np.float32)
        if (slope, intercept) != (1, 0):
            values *= np.float32(slope)
            values += np.float32(intercept)
        return values
    if (slope, intercept) == (1, 0) and raw.dtype in (np.int16, np.uint8):
        return raw
    ends = [int(raw.min()) * slope + intercept, int(raw.max()) * slope + intercept]
    if max(map(abs, (*ends, slope, intercept))) >= 2**31:
        return (raw * np.float64(slope) + intercept).astype(np.float32)
    fits = min(ends) >= -(2**15) and max(ends) < 2**15
    values = np.multiply(raw, int(slope), dtype=np.int64 if raw.dtype.itemsize > 2 else np.int32)
    values += int(intercept)
    return values.astype(np.int16 if fits else np.int32, copy=False)
