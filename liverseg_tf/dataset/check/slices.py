"""What the slices of a mask contain, compared with the list of those that are labelled."""

from dataclasses import dataclass

import nibabel as nib
import numpy as np

from liverseg_tf.ct.annotation import Annotation
from liverseg_tf.ct.volume import Volume
from liverseg_tf.errors import LiverSegError

_DIRECTIONS = {
    **dict.fromkeys("RL", "from side to side"),
    **dict.fromkeys("AP", "between front and back"),
}


@dataclass(frozen=True)
class SliceMeasurements:
    """What the slices of a mask contain, compared with the list of its labelled slices.

    Args:
        listed: Number of listed slices.
        repeated: Slices that are listed more than once.
        drawn: Slices that are not listed, but contain labels.
        empty: Slices that are listed and empty, although the listed slices before and after them
            contain labels.
    """

    listed: int
    repeated: tuple[int, ...]
    drawn: tuple[int, ...]
    empty: tuple[int, ...]


def measure_slices(mask: Volume, annotation: Annotation) -> SliceMeasurements | None:
    """Compare the slices of a mask with the list of its labelled slices; None if there is no list.

    Args:
        mask: Labels as read, in the axis order of the file.
        annotation: What the mask labels.

    Raises:
        LiverSegError: If the third axis of the file does not run along the body, so that its
            slices are not those of the tiles, or a listed slice does not exist.
    """
    if annotation.slices is None:
        return None
    letter = nib.aff2axcodes(mask.affine)[2]
    if letter in _DIRECTIONS:
        raise LiverSegError(
            "Expected a list of labelled slices for a mask whose third axis runs along the body, "
            "since the network learns axial slices. Received a mask whose third axis runs "
            f"{_DIRECTIONS[letter]}: store it in axial order, and list its axial slices."
        )
    listed = annotation.slices.mask(len(mask.array))
    has_labels = np.array([_has_labels(plane, annotation.ignored) for plane in mask.array])
    known = np.flatnonzero(listed)
    is_empty = ~has_labels[known]
    is_empty[[0, -1]] = False
    is_empty[1:-1] &= has_labels[known[:-2]] & has_labels[known[2:]]
    return SliceMeasurements(
        len(known),
        tuple(annotation.slices.repeated(len(listed))),
        tuple(np.flatnonzero(has_labels & ~listed).tolist()),
        tuple(known[is_empty].tolist()),
    )


def _has_labels(plane: np.ndarray, ignored: int | None) -> bool:
    return bool(((plane != 0) & (plane != (ignored or 0))).any())
