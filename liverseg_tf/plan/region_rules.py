"""Regions of a data set whose dataset.json names labels: an organ includes its lesions."""

from liverseg_tf.ct.regions import Regions
from liverseg_tf.predict.tuning.region_kinds import is_lesion


def nest_lesions(regions: Regions) -> Regions:
    """Add the labels of lesions to the only organ, as the presets liver and pancreas do.

    Regions of several organs are left as they are, since names do not tell whose lesions they are.

    Args:
        regions: One region for each label.

    Example:
        >>> nest_lesions(Regions({"liver": (1,), "cancer": (2,)}))
        Regions(liver: 1, 2; cancer: 2)
    """
    lesions = [item for item in regions.items if is_lesion(regions, item[0])]
    organs = [item for item in regions.items if item not in lesions]
    if len(organs) != 1 or not lesions:
        return regions
    ((organ, labels),) = organs
    inside = {label for _, of in lesions for label in of} - set(labels)
    return Regions([(organ, (*labels, *sorted(inside))), *lesions])
