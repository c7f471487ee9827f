"""The labels of an organ and of its lesions, among the regions of a run."""

from liverseg_tf.ct.regions import Regions
from liverseg_tf.errors import SettingsError


def check_lesions(share: float, regions: Regions) -> None:
    """Check that lesions can be drawn if they are to be drawn; see `lesion_labels`."""
    if share:
        lesion_labels(regions)


def lesion_labels(regions: Regions) -> tuple[tuple[int, ...], int]:
    """Return the labels of an organ, and the label of the lesions that lie in it.

    Args:
        regions: Regions of a run, of which one is nested in another one.

    Raises:
        SettingsError: If no region or more than one is nested, or the organ has no label of its
            own.

    Example:
        >>> lesion_labels(Regions({"liver": [1, 2], "tumour": [2]}))
        ((1,), 2)
    """
    nested = [name for name in regions.names if regions.containing(name)]
    if len(nested) != 1:
        raise SettingsError(
            "Expected two regions of which one lies in the other, such as liver=1,2 tumour=2, "
            f"together with synthetic_lesions. Received {regions}."
        )
    labels = dict(regions.items)
    inner, outer = labels[nested[0]], labels[regions.containing(nested[0])[0]]
    organ = tuple(sorted(set(outer) - set(inner)))
    if not organ:
        raise SettingsError(
            "Expected an organ with a label of its own together with synthetic_lesions. "
            f"Received {regions}."
        )
    return organ, inner[0]
