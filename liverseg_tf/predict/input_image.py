"""Reading and checking the images to segment."""

from collections.abc import Mapping
from pathlib import Path

import numpy as np

from liverseg_tf.ct.dicom.series import DicomSeries
from liverseg_tf.ct.grid_correction import lacks_geometry
from liverseg_tf.ct.images import read_image
from liverseg_tf.ct.volume import Volume, check_finite
from liverseg_tf.dataset.check.issues import Issue
from liverseg_tf.dataset.check.rules import CheckSettings, judge_volumes
from liverseg_tf.errors import LiverSegError

_MAX_MASK_VALUES = 16
# Fraction of horizontal neighbours with equal values: label maps of many organs are above it,
# 8-bit images reach about a tenth.
_MASK_EQUAL_NEIGHBOURS = 0.75
_ROUNDING = 1e-3


def read_input(
    source: Path | DicomSeries, channel: int | None = None, form: str | None = None
) -> Volume:
    """Read an image and check that it can be segmented.

    Args:
        source: File, folder or series; see `read_image`.
        channel: Index of the volume to read from a 4D image.
        form: The form to use if sform and qform of a NIfTI file disagree; see `read_volume`.

    Returns:
        Volume (z, row, col) in HU or MR units.

    Raises:
        LiverSegError: If the image cannot be read, is a mask, or contains NaN or infinity.
    """
    image = read_image(source, channel, form)
    check_image(image)
    return image


def check_image(image: Volume) -> None:
    """Check that a volume is an image with finite values.

    Raises:
        LiverSegError: If the volume is a mask, or contains NaN or infinity.
    """
    _check_not_a_mask(image)
    check_finite(image)


def judge_image(image: Volume, settings: CheckSettings) -> list[Issue]:
    """Apply the rules of `liverseg check` to an image.

    Args:
        image: Image in HU or MR units.
        settings: What the model takes, and the accepted rules; see `TileSpec.check_settings`.

    Returns:
        Warnings, accepted errors among them.

    Raises:
        LiverSegError: If a rule finds an error that is not accepted.
    """
    guessed_geometry = image.lacks_orientation or lacks_geometry(image)
    return judge_volumes("", (image, None), guessed_geometry, settings)


def check_images_not_overwritten(images: Mapping[str, Path | DicomSeries], folder: Path) -> None:
    """Check that no mask `NAME.nii.gz` in a folder would overwrite one of the images.

    Args:
        images: Images by case name.
        folder: Folder for the masks.

    Raises:
        LiverSegError: If a mask would overwrite an image; the message gives the first one.
    """
    folder = Path(folder).resolve()
    masks = {folder / f"{name}.nii.gz" for name in images}
    for image in images.values():
        if isinstance(image, DicomSeries):
            continue
        try:
            places = {image.resolve(), image.parent.resolve() / image.name}
        except (OSError, ValueError, RuntimeError):  # impossible names, links that form a loop
            continue  # reading the image will report the error
        if places & masks:
            raise LiverSegError(
                "Expected a folder for the masks that is not the folder of the images. "
                f"Received {folder}, where a mask would overwrite {image}."
            )


def _check_not_a_mask(image: Volume) -> None:
    """Refuse volumes of integers from 0 to 255 with few values, or with mostly equal neighbours."""
    array = image.array
    if not (array.min() >= 0 and array.max() <= 255):  # also returns if there is NaN
        return
    present = np.zeros(256, bool)
    equal = labelled = 0
    for plane in array:
        rounded = np.rint(plane).astype(np.uint8)
        if np.abs(rounded - plane).max() > _ROUNDING:
            return
        present[rounded] = True
        foreground = rounded[:, 1:] != np.bincount(rounded.ravel()).argmax()
        equal += int(np.count_nonzero((rounded[:, 1:] == rounded[:, :-1]) & foreground))
        labelled += int(np.count_nonzero(foreground))
    values = np.flatnonzero(present)
    # an image of few voxels has few values as well
    few = len(values) <= min(_MAX_MASK_VALUES, array.size // 8)
    if few or equal > _MASK_EQUAL_NEIGHBOURS * labelled:
        listed = ", ".join(map(str, values[:4])) + (", ..." if len(values) > 4 else "")
        raise LiverSegError(
            "Expected an image. Received what looks like a mask: it contains only the "
            f"{'value' if len(values) == 1 else 'values'} {listed}."
        )
