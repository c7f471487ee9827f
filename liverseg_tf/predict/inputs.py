"""Images that are to be segmented, read and looked at."""

from collections.abc import Mapping
from pathlib import Path

import numpy as np

from liverseg_tf.ct.dicom import DicomSeries
from liverseg_tf.ct.images import read_image
from liverseg_tf.ct.volume import Volume, check_finite
from liverseg_tf.errors import LiverSegError

_MASK_VALUES = 16


def read_input(source: Path | DicomSeries, channel: int | None = None) -> Volume:
    """Read an image that is no mask.

    Args:
        source: see `read_image`.
        channel: of a 4D image, the volume that is read.

    Raises:
        LiverSegError: when it can't be read, is a mask, or holds NaN or infinity.
    """
    image = read_image(source, channel)
    check_is_image(image)
    check_finite(image)
    return image


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


def check_is_image(image: Volume) -> None:
    """Refuse a label map: a few whole numbers from 0 upwards.

    Raises:
        LiverSegError: when there are at most 16 of them, none above 255.
    """
    array = image.array
    if not (array.min() >= 0 and array.max() <= 255):  # also where there are NaN
        return
    values = np.zeros(256, bool)
    for plane in array:
        whole = plane.astype(np.uint8)
        if not np.array_equal(whole, plane):
            return
        values[whole] = True
    found = np.flatnonzero(values)
    if 1 < len(found) <= _MASK_VALUES:
        listed = ", ".join(map(str, found[:4])) + (", ..." if len(found) > 4 else "")
        raise LiverSegError(
            f"Expected an image. Received what looks like a mask: no values but {listed}."
        )
