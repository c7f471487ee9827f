"""Images that are to be segmented, read and looked at."""

from collections.abc import Mapping
from pathlib import Path

import numpy as np

from liverseg_tf.ct.dicom.series import DicomSeries
from liverseg_tf.ct.images import read_image
from liverseg_tf.ct.volume import Volume, check_finite
from liverseg_tf.errors import LiverSegError

_MASK_VALUES = 16
# of neighbours in a row, in label maps of many organs; in images of 8 bits it is about a tenth
_MASK_ALIKE = 0.75
_ROUNDING = 1e-3


def read_input(source: Path | DicomSeries, channel: int | None = None) -> Volume:
    """Read an image that is no mask.

    Args:
        source: see `read_image`.
        channel: of a 4D image, the volume that is read.

    Raises:
        LiverSegError: when it can't be read, is a mask, or holds NaN or infinity.
    """
    image = read_image(source, channel)
    check_image(image)
    return image


def check_image(image: Volume) -> None:
    """Raise a `LiverSegError` for a mask, and for NaN or infinity."""
    _check_is_no_mask(image)
    check_finite(image)


def check_not_replaced(images: Mapping[str, Path | DicomSeries], folder: Path) -> None:
    """Refuse to write masks, `NAME.nii.gz`, into a folder where one would replace an image.

    Raises:
        LiverSegError: with the first such image.
    """
    folder = Path(folder).resolve()
    masks = {folder / f"{name}.nii.gz" for name in images}
    for image in images.values():
        if isinstance(image, DicomSeries):
            continue
        if {image.resolve(), image.parent.resolve() / image.name} & masks:
            raise LiverSegError(
                f"Expected a folder for the masks that isn't the images'. Received {folder}, "
                f"where a mask would replace {image}."
            )


def _check_is_no_mask(image: Volume) -> None:
    """Refuse label maps: whole numbers of 0 to 255 which are few, or alike in neighbours."""
    array = image.array
    if not (array.min() >= 0 and array.max() <= 255):  # also where there are NaN
        return
    values = np.zeros(256, bool)
    alike = labelled = 0
    for plane in array:
        whole = np.rint(plane).astype(np.uint8)
        if np.abs(whole - plane).max() > _ROUNDING:
            return
        values[whole] = True
        inside = whole[:, 1:] != np.bincount(whole.ravel()).argmax()  # not the background
        alike += np.count_nonzero((whole[:, 1:] == whole[:, :-1]) & inside)
        labelled += np.count_nonzero(inside)
    found = np.flatnonzero(values)
    # an image of a few voxels has few values as well
    few = len(found) <= min(_MASK_VALUES, array.size // 8)
    if few or alike > _MASK_ALIKE * labelled:
        listed = ", ".join(map(str, found[:4])) + (", ..." if len(found) > 4 else "")
        raise LiverSegError(
            f"Expected an image. Received what looks like a mask: no values but {listed}."
        )
