"""A case's image and mask, read and corrected: the one place where cases become volumes."""

from liverseg_tf.ct.grid_correction import lacks_geometry
from liverseg_tf.ct.images import read_image, read_label_image
from liverseg_tf.ct.orientation import to_canonical
from liverseg_tf.ct.volume import Volume, check_finite, check_same_grid
from liverseg_tf.dataset.cases import Case
from liverseg_tf.errors import LiverSegError


def read_case(case: Case, channel: int | None = None) -> tuple[Volume, Volume]:
    """Read a case.

    Args:
        case: with a mask, and the correction of its grid, if any.
        channel: of a 4D image, the volume that is read.

    Returns:
        The image in HU or MR units and its uint8 label map, on one grid, each in its file's
        axis order (they may differ).

    Raises:
        LiverSegError: when there is no mask, a file is missing or broken, or the mask lies on
            another grid, or the image holds NaN or infinity.
    """
    if case.mask is None:
        raise LiverSegError(f"Expected a mask for {case.image}. Received none.")
    image, mask = read_volumes(case, channel)
    check_one_grid(image, mask)
    check_finite(image)
    return image, mask


def read_volumes(case: Case, channel: int | None = None) -> tuple[Volume, Volume | None]:
    """As `read_case`, without looking whether the grids agree; None for a mask that is not there.

    Raises:
        LiverSegError: when a file is missing or broken, or there are two of it.
    """
    if case.ambiguity is not None:
        raise LiverSegError(case.ambiguity)
    image = read_image(case.image, channel)
    mask = None if case.mask is None else read_label_image(case.mask)
    if case.correction is None:
        return image, mask
    if mask is not None:
        mask = case.correction.apply_to_mask(mask, image)
    return case.correction.apply(image), mask


def check_one_grid(image: Volume, mask: Volume) -> None:
    """Refuse a mask of another grid; one stored in another axis order fits, once both are turned.

    Raises:
        LiverSegError: with what to do, where only the headers disagree.
    """
    try:
        check_same_grid(to_canonical(image), to_canonical(mask))
    except LiverSegError as error:
        if image.array.shape != mask.array.shape:
            raise
        raise LiverSegError(
            f"{error} If the mask was drawn on the image's voxels: --same-voxels."
        ) from error


def guesses_geometry(case: Case, image: Volume) -> bool:
    """Whether a header tells nothing of the grid, and no correction gives its spacing."""
    known = case.correction is not None and case.correction.spacing_mm is not None
    return not known and lacks_geometry(image)
