"""Stored values of a slice to HU or MR units, with padding as air."""

import numpy as np

from liverseg_tf.ct.dicom.slices import DicomSlice
from liverseg_tf.ct.rescale import rescale
from liverseg_tf.errors import LiverSegError

AIR_HU = -1024
# Padding in this range is air already, as scanners store it: -1024, -2000, -3024.
_AIR_LIKE_HU = (-4096, -900)
_HIGHEST_TISSUE_HU = 3071


def to_units(stored: np.ndarray, current: DicomSlice) -> np.ndarray:
    """Rescale stored values; padding becomes air.

    The padding of a CT becomes -1024 HU unless it is air already. In other images, it becomes the
    lowest value of the slice. Bits above BitsStored are ignored.

    Args:
        stored: (row, col) integers as stored, all bits of them.
        current: Slice that they belong to.

    Returns:
        (row, col) in HU or MR units; the dtype is that of `rescale`.

    Raises:
        LiverSegError: If the header declares values of tissue as padding, and they are not at the
            corners of the slice, where padding is.
    """
    values = _meaningful_bits(stored, current)
    padding = _find_padding(stored, values, current)
    if padding is None:
        return rescale(values, current.slope, current.intercept)
    inside = values[~padding]
    if not inside.size:
        return np.full(values.shape, AIR_HU if current.modality == "CT" else 0, np.int16)
    values = np.where(padding, inside.min(), values)
    rescaled = rescale(values, current.slope, current.intercept)
    if current.modality == "CT":
        rescaled = rescaled.astype(np.promote_types(rescaled.dtype, np.int16), copy=False)
        rescaled[padding] = AIR_HU
    else:
        rescaled[padding] = rescaled.min()
    return rescaled


def _meaningful_bits(stored: np.ndarray, current: DicomSlice) -> np.ndarray:
    """Clear the bits above BitsStored, or set them to the sign."""
    unused = 8 * stored.dtype.itemsize - current.pixels.bits_stored
    return (stored << unused) >> unused if unused > 0 else stored


def _find_padding(stored: np.ndarray, values: np.ndarray, current: DicomSlice) -> np.ndarray | None:
    """Return where the padding is, (row, col) bool; None if nothing needs to be replaced."""
    if current.pixels.padding is None:
        return None
    # Padding may have more bits than BitsStored: both are compared.
    padding = _is_padding(stored, current) | _is_padding(values, current)
    if not padding.any():
        return None
    if current.modality != "CT":
        others = values[~padding]
        above = (
            not others.size or (int(values[padding].max()) - int(others.min())) * current.slope > 0
        )
        return padding if above else None
    units = values[padding] * np.float64(current.slope) + current.intercept
    lowest, highest = float(units.min()), float(units.max())
    if lowest >= _AIR_LIKE_HU[0] and highest <= _AIR_LIKE_HU[1]:
        return None
    tissue = (units > _AIR_LIKE_HU[1]) & (units <= _HIGHEST_TISSUE_HU)
    if tissue.any() and not padding[:: len(padding) - 1 or 1, :: padding.shape[1] - 1 or 1].any():
        raise LiverSegError(
            f"Expected PixelPaddingValue in {current.file} to be no value of tissue. Received "
            f"{units[tissue][0]:g} HU inside the slice and not at its corners: correct or remove "
            "PixelPaddingValue and PixelPaddingRangeLimit."
        )
    return padding


def _is_padding(stored: np.ndarray, current: DicomSlice) -> np.ndarray:
    assert current.pixels.padding is not None
    first, last = current.pixels.padding
    half = 1 << (8 * stored.dtype.itemsize - 1)
    # the header may state -2000 as 63536, and the other way round
    signed = first < 0 or (last < half and current.pixels.signed)
    bits = stored.view(f"{'i' if signed else 'u'}{stored.dtype.itemsize}")
    return (bits >= first) & (bits <= last)
